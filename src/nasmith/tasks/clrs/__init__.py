"""CLRS: functions of a graph network that learns to execute algorithms."""

from __future__ import annotations

from nasmith.tasks.clrs.clrs_task import Clrs
from nasmith.tasks.clrs.parts import Part

__all__ = ["Clrs", "Part"]
