"""What a run has stored so far, in the form in which the loop replays it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from nasmith.protocols import Storage
from nasmith.types import Call, Completion, Evaluation, Script, Tuning, Wish

__all__ = ["History"]


class History:
    """A run's stored records, read once when the loop begins; none where the run is new.

    Args:
        storage: Where they are.
        run: The run's name.
        new: Whether the storage does not have the run yet.
        script: The course that the run follows, where it plays another one again.

    Attributes:
        asked: The strategy's wishes in order of step, each with the number of evaluations told before it.
        candidates: Ids of the stored candidates.
        backlog: Evaluations of the search, in the order in which they were told.
        evaluated: Ids of the candidates in `backlog`.
        rungs: Evaluations in the middle of trainings, in the order in which they were made.
        verified: Evaluations of the verification by (candidate, seed).
        spent: All that the language model has cost.
    """

    def __init__(self, storage: Storage, run: str, *, new: bool = False, script: Script | None = None) -> None:
        evaluations = [] if new else storage.evaluations(run)
        self.run, self.script = run, script
        self.asked: Sequence[tuple[int, Wish]] = [] if new else storage.asked(run)
        self.backlog = deque(e for e in evaluations if e.purpose == "search")
        self.evaluated = frozenset(e.candidate for e in self.backlog)
        self.verified: dict[tuple[int, int], Evaluation] = {
            (e.candidate, e.seed): e for e in evaluations if e.purpose == "verify"
        }
        self.rungs = [e for e in evaluations if e.purpose == "rung"]
        self.candidates = frozenset(() if new else (candidate.id for candidate in storage.candidates(run)))
        self._completions = {} if new else storage.completions(run)
        self._tunings = {} if new else storage.tunings(run)
        self.spent: list[Completion | Call] = [] if new else [*self._completions.values(), *storage.calls(run)]

    def replies(self, step: int, first: int, count: int) -> tuple[list[Completion], int]:
        """Return what is stored of `count` replies of a step, from `first` on: the first of them, or how many are missing."""
        keys = [(step, first + offset) for offset in range(count)]
        known = [self._completions[key] for key in takewhile(self._completions.__contains__, keys)]
        return known, 0 if known else len(list(takewhile(lambda key: key not in self._completions, keys)))

    def tuning(self, step: int) -> Tuning | None:
        """Return the tuning that a step led to."""
        return self._tunings.get(step)

    def wish(self, step: int) -> tuple[int, Wish] | None:
        """Return a wish that was made before, here or in the script, with the number of evaluations told before it."""
        if step < len(self.asked):
            return self.asked[step]
        if self.script is not None and step < len(self.script.asked):
            return self.script.asked[step]
        return None

    def evaluations_before(self, step: int) -> int | None:
        """Return how many evaluations were told before wish `step` was made; None where it was not made yet."""
        wish = self.wish(step)
        return None if wish is None else wish[0]
