"""Has failed candidates fixed: wraps a strategy, and asks once for a fix of each child that did not build or run.

Order of wrapping: `Repairing(Choosing(strategy))`. The loop numbers the wishes of the outermost strategy. This one adds some of
its own, and so gives the strategy below candidates that are renumbered as if there were none: with the step of that strategy's
own wish, and with the place of the child that was fixed. Ids are left alone: a strategy may name a fixed child as a parent or
in a `Tune` like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from nasmith.protocols import CostAwareStrategy, Strategy
from nasmith.seeding import derive
from nasmith.types import Brief, Candidate, Completion, Evaluation, Sampling, Status, Wish

__all__ = ["Repairing"]

_FIXABLE = frozenset({Status.INVALID, Status.FAILED})  # an error message says what to change; of a timeout it does not
_OPERATOR = "fix"


@dataclass(frozen=True, slots=True)
class _Failure:
    candidate: Candidate  # as the strategy is to see it
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class _Asked:
    action: Wish
    step: int  # of the strategy's own wish that it goes back to
    failure: _Failure | None = None  # what a fix is for


class Repairing:
    """Ask for a fix of each child that failed, and tell the strategy of the better of the two.

    A child that ended INVALID or FAILED is kept back, and a brief for one child of it is asked before anything else: with the
    operator "fix", the error among the facts, and the model, target and temperature of the brief that it came from. If the
    fixed child is OK, the strategy is told of it in the place of the failed one; otherwise of the failed one. So a strategy is
    told exactly once for each child it asked for. A child is fixed once; a fix is not fixed, nor is a reply without a program.
    The evaluation that the strategy is told has the seconds of both attempts.

    Fixes are asked in the order in which failures are told, so that their steps and ids depend on when children end; a run that
    is resumed tells them in the same order.

    `planned` and `rounds` are the strategy's. Fixes come on top of `planned`: at most as many again, and they count against a
    budget of evaluations.

    Args:
        strategy: Whose children they are.
        models: Models (as briefs name them) that can be asked for a fix; True for all, False for none.
    """

    def __init__(self, strategy: Strategy, models: Collection[str] | bool = True) -> None:
        self.strategy, self.models = strategy, models
        self.planned: int = strategy.planned
        self.rounds: int | None = getattr(strategy, "rounds", None)
        self._wishes: list[_Asked] = []  # by step
        self._queue: deque[_Asked] = deque()  # fixes to ask for
        self._own = 0  # wishes of the strategy

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Pass on the run's seed; a fix derives its own from the seed of the brief that it goes back to."""
        self.strategy.begin(seed, temperatures, operators)

    def ask(self) -> Wish | None:
        """Return the next fix, in the order in which failures were told, or else the strategy's wish."""
        if self._queue:
            wish = self._queue.popleft()
        else:
            action = self.strategy.ask()
            if action is None:
                return None
            wish = _Asked(action, self._own)
            self._own += 1
        self._wishes.append(wish)
        return wish.action

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Whether the strategy accepts it."""
        return self.strategy.accepts(metrics)

    def paid(self, candidate: Candidate, completion: Completion) -> None:
        """Pass on what a reply took; of a fix, as a second reply in the place of the child that failed."""
        if isinstance(self.strategy, CostAwareStrategy):
            self.strategy.paid(self._renumbered(candidate), completion)

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Queue a fix of what can be fixed; tell the strategy of all else."""
        if candidate.step < 0:
            self.strategy.tell(candidate, evaluation)
            return
        wish, seen = self._wishes[candidate.step], self._renumbered(candidate)
        if wish.failure is not None:
            first = wish.failure.evaluation
            told, result = (seen, evaluation) if evaluation.status is Status.OK else (wish.failure.candidate, first)
            self.strategy.tell(told, replace(result, seconds=first.seconds + evaluation.seconds))
        elif isinstance(wish.action, Brief) and self._fixable(wish.action, candidate, evaluation):
            self._queue.append(_Asked(_fix(wish.action, candidate, evaluation), wish.step, _Failure(seen, evaluation)))
        else:
            self.strategy.tell(seen, evaluation)

    def _renumbered(self, candidate: Candidate) -> Candidate:
        """Return a child with the step and the index under which the strategy knows its place."""
        wish = self._wishes[candidate.step]
        return replace(candidate, step=wish.step, index=wish.failure.candidate.index if wish.failure else candidate.index)

    def _fixable(self, brief: Brief, candidate: Candidate, evaluation: Evaluation) -> bool:
        asked = self.models if isinstance(self.models, bool) else brief.model in self.models
        return (
            asked
            and evaluation.status in _FIXABLE
            and bool(candidate.text.strip())
            and _OPERATOR not in (candidate.operator, brief.operator)
        )


def _fix(brief: Brief, candidate: Candidate, evaluation: Evaluation) -> Brief:
    """Return the brief for a fix of a child of `brief`."""
    return Brief(
        operator=_OPERATOR,
        parents=(candidate.id,),
        facts=({"error": evaluation.message},),
        target=brief.target,
        sampling=Sampling(1, brief.sampling.temperature, derive(brief.sampling.seed, _OPERATOR, candidate.index)),
        round=brief.round,
        model=brief.model,
    )
