"""The language model of searches that ask none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasmith.errors import UsageError
from nasmith.types import Completion, Request

__all__ = ["Nobody"]


class Nobody:
    """Stands where a language model would, for strategies that make their candidates themselves."""

    name = "none"
    temperatures: Sequence[float] = (1.0,)
    operators: Mapping[str, float] = {"none": 1.0}

    def warm(self) -> None:
        """Need nothing."""

    def complete(self, request: Request) -> list[Completion]:
        """Refuse.

        Raises:
            UsageError: Always.
        """
        raise UsageError("this strategy asks a language model, and the run has none. Name one: --lm smollm2")

    def close(self) -> None:
        """Hold nothing."""
