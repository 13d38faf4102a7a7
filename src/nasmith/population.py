"""Scored candidates and their ranking. Pure functions; fitness is higher-is-better throughout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nasmith.types import Objective

__all__ = ["Ranked", "Scored", "front", "top"]


class Ranked(Protocol):
    """What can be ranked: a candidate by its metrics."""

    @property
    def id(self) -> int:
        """The candidate's id."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What its training measured."""

    @property
    def fitness(self) -> float:
        """The task's fitness, higher is better."""


R = TypeVar("R", bound=Ranked)


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's id with what its training measured."""

    id: int
    metrics: Mapping[str, float]

    @property
    def fitness(self) -> float:
        """The task's fitness, higher is better."""
        return self.metrics["fitness"]


def top(scored: Iterable[R], count: int) -> list[R]:
    """Return the `count` fittest, best first; the earlier candidate wins a tie, so that the order is total."""
    return sorted(scored, key=lambda s: (-s.fitness, s.id))[:count]


def front(scored: Iterable[R], objectives: Sequence[Objective]) -> list[R]:
    """Return those that no other one beats in one objective without losing in another; the earlier of two equals stays."""
    signs = [(o.name, 1.0 if o.direction == "minimize" else -1.0) for o in objectives]
    kept: list[tuple[tuple[float, ...], R]] = []
    for entry in sorted(scored, key=lambda s: s.id):
        point = tuple(sign * entry.metrics[name] for name, sign in signs)
        if any(all(a <= b for a, b in zip(other, point, strict=True)) for other, _ in kept):
            continue
        kept = [(other, s) for other, s in kept if not all(a <= b for a, b in zip(point, other, strict=True))]
        kept.append((point, entry))
    return [s for _, s in kept]
