"""New evaluations that wait to be told to the strategy, in the order in which that must happen."""

from __future__ import annotations

from collections.abc import Collection

from nasmith.types import Evaluation, Script

__all__ = ["Due"]


class Due:
    """New evaluations that are not told yet: in the order in which they came, or in that of a script.

    Args:
        script: The course that the run follows, where it plays another one again.
    """

    def __init__(self, script: Script | None) -> None:
        self._script = script
        self._waiting: dict[int, Evaluation] = {}

    def add(self, evaluation: Evaluation) -> None:
        """Take in an evaluation; a candidate has one alone."""
        self._waiting[evaluation.candidate] = evaluation

    def next(self, told: int, limit: int | None, backlog: Collection[Evaluation], over: bool) -> Evaluation | None:
        """Take out the one that is to be told now.

        Args:
            told: Evaluations told so far.
            limit: How many were told before the next wish was made, where it was made before.
            backlog: Stored evaluations that are still to be told.
            over: Whether the search ends, so that all are told.
        """
        script = self._script
        first = next(iter(self._waiting), None)
        if first is None or over:
            return None if first is None else self._waiting.pop(first)
        if script is None:
            return self._waiting.pop(first) if limit is None else None
        if backlog or (limit is not None and told >= limit):
            return None
        return self._waiting.pop(script.told[told] if told < len(script.told) else first, None)
