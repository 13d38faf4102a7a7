"""What the tests of nasmith and of its plug-ins share: a task and a language model that cost nothing and learn something."""

from __future__ import annotations

from nasmith.testing.toys import ToyLM, ToyTask, ToyWorkload

__all__ = ["ToyLM", "ToyTask", "ToyWorkload"]
