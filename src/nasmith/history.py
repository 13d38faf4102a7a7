"""What a run has stored so far, in the form in which the loop replays it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from nasmith.protocols import Storage
from nasmith.types import Brief, Completion, Evaluation, Tune, Tuning

__all__ = ["History"]


class History:
    """A run's stored records, read once when the loop begins; none where the run is new.

    Attributes:
        run: The run's name.
        asked: The strategy's wishes in order of step, each with the number of evaluations told before it.
        candidates: Ids of the stored candidates.
        backlog: Evaluations of the search, in the order in which they were told.
        evaluated: Ids of the candidates in `backlog`.
        verified: Evaluations of the verification by (candidate, seed).
    """

    def __init__(self, storage: Storage, run: str, *, new: bool = False) -> None:
        evaluations = [] if new else storage.evaluations(run)
        self.run = run
        self.asked: Sequence[tuple[int, Brief | Tune]] = [] if new else storage.asked(run)
        self.backlog = deque(e for e in evaluations if e.purpose == "search")
        self.evaluated = frozenset(e.candidate for e in self.backlog)
        self.verified: dict[tuple[int, int], Evaluation] = {
            (e.candidate, e.seed): e for e in evaluations if e.purpose == "verify"
        }
        self.candidates = frozenset(() if new else (candidate.id for candidate in storage.candidates(run)))
        self._completions = {} if new else storage.completions(run)
        self._tunings = {} if new else storage.tunings(run)

    def completions(self, step: int, first: int, count: int) -> list[Completion] | None:
        """Return `count` replies of a step from `first` on, or None where they were not received."""
        keys = [(step, first + offset) for offset in range(count)]
        return [self._completions[key] for key in keys] if all(key in self._completions for key in keys) else None

    def tuning(self, step: int) -> Tuning | None:
        """Return the tuning that a step led to."""
        return self._tunings.get(step)

    def evaluations_before(self, step: int) -> int | None:
        """Return how many evaluations were told before wish `step` was made; None where it was not made yet."""
        return self.asked[step][0] if step < len(self.asked) else None
