"""Scored candidates and their ranking. Pure functions; fitness is higher-is-better throughout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from nasmith.types import Objective

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Ranked", "Scored", "front", "ranked", "top"]


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
    """Return those that no other one beats in one objective without losing in another; the earlier of two equals stays.

    Those that lack an objective are on no front.
    """
    signs = [(o.name, 1.0 if o.direction == "minimize" else -1.0) for o in objectives]
    kept: list[tuple[tuple[float, ...], R]] = []
    for entry in sorted((s for s in scored if _complete(s, objectives)), key=lambda s: s.id):
        point = tuple(sign * entry.metrics[name] for name, sign in signs)
        if any(all(a <= b for a, b in zip(other, point, strict=True)) for other, _ in kept):
            continue
        kept = [(other, s) for other, s in kept if not all(a <= b for a, b in zip(point, other, strict=True))]
        kept.append((point, entry))
    return [s for _, s in kept]


def ranked(scored: Iterable[R], objectives: Sequence[Objective]) -> list[R]:
    """Return candidates by the front that they are on, the best front first, and on a front those first that stand alone.

    A front is what no candidate of a later one beats; how alone a candidate stands is its crowding distance, where objectives
    with `log` count by their decimal logarithm. The earlier of two that stand equally alone comes first, and those that lack an
    objective come last.

    Source: Deb, Pratap, Agarwal, Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002,
    doi:10.1109/4235.996017, section III. Unlike there, of candidates with the same metrics the earliest alone is held against
    its neighbours, and the others stand not alone at all: otherwise copies of the ends would all be infinitely alone, and fill
    the places of the survivors (Fortin, Parizeau, "Revisiting the NSGA-II Crowding-Distance Computation", GECCO 2013).
    """
    entries = sorted(scored, key=lambda s: s.id)
    known = [entry for entry in entries if _complete(entry, objectives)]
    lacking = [entry for entry in entries if not _complete(entry, objectives)]
    if not known or not objectives:
        return entries
    import numpy as np
    from moocore import pareto_rank

    points = np.array([[float(entry.metrics[o.name]) for o in objectives] for entry in known])
    fronts = pareto_rank(points, maximise=[o.direction == "maximize" for o in objectives])
    scaled = np.array([[_scaled(entry.metrics[o.name], o) for o in objectives] for entry in known])
    order: list[R] = []
    for rank in sorted(set(fronts.tolist())):
        members = np.flatnonzero(fronts == rank).tolist()
        alone = _crowding(scaled[members])
        order += [known[place] for _, place in sorted(zip(alone, members, strict=True), key=lambda pair: (-pair[0], pair[1]))]
    return order + lacking


def _complete(entry: Ranked, objectives: Sequence[Objective]) -> bool:
    """Whether a candidate has a value for each objective."""
    return all(math.isfinite(entry.metrics.get(objective.name, math.nan)) for objective in objectives)


def _scaled(value: float, objective: Objective) -> float:
    return math.log10(max(value, 1e-12)) if objective.log else value


def _crowding(points: np.ndarray) -> list[float]:
    """Return for each point of a front, (points, objectives), how far apart its neighbours are.

    Infinite at the ends; 0 for a point that is equal to an earlier one.
    """
    import numpy as np

    distance = [0.0] * len(points)
    _, first = np.unique(points, axis=0, return_index=True)
    for values in points.T:
        order = sorted(first.tolist(), key=lambda place: (values[place], place))
        span = float(values[order[-1]] - values[order[0]])
        distance[order[0]] = distance[order[-1]] = math.inf
        for before, place, after in zip(order, order[1:], order[2:], strict=False):
            distance[place] += float(values[after] - values[before]) / span if span else 0.0
    return distance
