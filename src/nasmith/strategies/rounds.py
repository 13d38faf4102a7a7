"""Wishes for one candidate each, in rounds: what is out, what was told, and when a strategy learns of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nasmith.errors import ConfigError
from nasmith.space import Space
from nasmith.types import Candidate, Evaluation, Status, Wish

__all__ = ["Rounds", "Told", "at_least", "children_planned"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """A candidate with how it did.

    Attributes:
        candidate: The candidate.
        evaluation: How it did.
        kept: What the strategy kept with its wish; None for a seed.
    """

    candidate: Candidate
    evaluation: Evaluation
    kept: T | None = None

    @property
    def fitness(self) -> float | None:
        """Higher is better; None where the candidate failed, so that it can be no parent."""
        return self.evaluation.metrics.get("fitness") if self.evaluation.status is Status.OK else None

    @property
    def is_working_seed(self) -> bool:
        """Whether it is a seed that ran: something to begin with, even where it breaks a bound and has no fitness."""
        return self.candidate.step < 0 and self.evaluation.status is Status.OK


class Rounds(Generic[T]):
    """Asks for the candidates of a round, waits until all are told, and hands them over in the order in which they were asked.

    So what a strategy learns does not depend on the order in which candidates end. Seeds are handed over before the first wish,
    in the order of their ids.

    Args:
        evaluations: Candidates of the whole search.
        batch: Candidates of a round, at most.
    """

    def __init__(self, evaluations: int, batch: int) -> None:
        self.asked = 0
        """Candidates asked for so far."""
        self.number = 0
        """The round, from 0."""
        self._evaluations, self._batch = evaluations, batch
        self._size = min(batch, evaluations)
        self._kept: list[T] = []  # of this round, in the order in which they were asked
        self._told: dict[int, Told[T]] = {}  # of this round, by step
        self._seeds: list[Told[T]] = []

    @property
    def fresh(self) -> list[Told[T]]:
        """Candidates of this round that were told and are not handed over yet, in the order in which they were asked."""
        return [self._told[place] for place in sorted(self._told)]

    def ask(self, make: Callable[[], tuple[Wish, T] | None], learn: Callable[[Sequence[Told[T]]], None]) -> Wish | None:
        """Return the next wish; None while a round is out and at the end.

        Args:
            make: Returns a wish for one candidate with what is to be kept; None where the round can have no more.
            learn: Called with the candidates of a round that is over.
        """
        if self._seeds:
            seeds, self._seeds = sorted(self._seeds, key=lambda seed: seed.candidate.id), []
            learn(seeds)
        while True:
            if self._kept and len(self._told) == len(self._kept) == self._size:
                learn(self._ended())
            if len(self._kept) >= self._size:
                return None
            if (made := make()) is not None:
                self._kept.append(made[1])
                self.asked += 1
                return made[0]
            if not self._kept or len(self._told) < len(self._kept):
                return None
            self._size = len(self._kept)

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Take in how a candidate did; in any order."""
        if candidate.step < 0:
            self._seeds.append(Told(candidate, evaluation))
        else:
            place = candidate.step - (self.asked - len(self._kept))
            self._told[place] = Told(candidate, evaluation, self._kept[place])

    def _ended(self) -> list[Told[T]]:
        """Close the round and return its candidates."""
        told = [self._told[place] for place in range(len(self._kept))]
        self._kept, self._told = [], {}
        self._size = min(self._batch, self._evaluations - self.asked)
        self.number += 1
        return told


def children_planned(evaluations: int, space: Space | None) -> int:
    """Return how many children a whole search makes: no more than there are designs."""
    return evaluations if space is None else min(evaluations, space.size)


def at_least(least: int, strategy: str, **options: int) -> None:
    """Refuse options below `least`.

    Raises:
        ConfigError: One is.
    """
    for name, value in options.items():
        if value < least:
            raise ConfigError(f"{strategy}: {name} must be at least {least}, got {value}.")
