"""Holds what a run found against the seeds that it began with: how much smaller, how much more accurate. Pure functions.

Of two objectives one is the quality (the first that is measured on validation data) and the other the cost, such as a size.
Names say "accurate" and "small" for the usual pair; each objective counts in its own direction, whatever it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Protocol, TypeVar

from nasmith import analysis, population
from nasmith.analysis import Records, Verified
from nasmith.protocols import Task
from nasmith.types import Bound, Candidate, Evaluation, Objective, Status

__all__ = [
    "AgainstSeed",
    "Measured",
    "Standing",
    "against_seeds",
    "cost_pairs",
    "intervals_overlap",
    "most_accurate_as_small",
    "no_worse",
    "smallest_as_accurate",
]


class Measured(Protocol):
    """A model with its metrics."""

    @property
    def id(self) -> int:
        """The candidate's id."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """By name."""


M = TypeVar("M", bound=Measured)


@dataclass(frozen=True, slots=True)
class Standing:
    """A model with what is known of it on one basis: the means of its verification, or what the search saw.

    Attributes:
        candidate: The model.
        metrics: By name.
        intervals: Half the 95% confidence interval of each mean; empty where one training alone is known.
        trainings: How many the metrics are means over.
        flagged: Whether its test error is much above its search error (`analysis.FLAG_RULE`).
    """

    candidate: Candidate
    metrics: Mapping[str, float]
    intervals: Mapping[str, float] = field(default_factory=dict)
    trainings: int = 1
    flagged: bool = False

    @classmethod
    def of(cls, item: Verified) -> Standing:
        """Return a verified model's."""
        metrics = {**item.metrics, "fitness": item.fitness}
        return cls(item.candidate, metrics, item.intervals, len(item.evaluations), item.flagged)

    @property
    def id(self) -> int:
        """The candidate's id."""
        return self.candidate.id

    @property
    def fitness(self) -> float:
        """The task's fitness, higher is better; NaN where a bound is broken, so that there is none."""
        return self.metrics.get("fitness", nan)


@dataclass(frozen=True, slots=True)
class AgainstSeed:
    """A seed, and the children that are better than it.

    Attributes:
        seed: The seed.
        quality: What is to be no worse, or better.
        cost: What is to be less; None where the task has one objective alone.
        verified: Whether metrics are means over trainings with new seeds; otherwise they are what the search saw, and chose by.
        children: How many were held against the seed.
        smallest: The child with the best cost among those that are at least as good; None where none costs less.
        best: The best child among those that cost at most as much; None where none is better.
        trade_off: The children from `smallest` to `best` that no other one beats, ordered by cost. None of them is worse than
            the seed in either.
    """

    seed: Standing
    quality: Objective
    cost: Objective | None
    verified: bool
    children: int
    smallest: Standing | None
    best: Standing | None
    trade_off: tuple[Standing, ...]


def no_worse(value: float, reference: float, objective: Objective) -> bool:
    """Whether a value is at least as good as a reference; False where one is NaN."""
    return value <= reference if objective.direction == "minimize" else value >= reference


def smallest_as_accurate(items: Iterable[M], seed: Measured, cost: Objective, quality: Objective) -> M | None:
    """Return the item that costs least among those whose quality is at least the seed's.

    The better one wins a tie, then the earlier. None where no such item costs less than the seed.
    """
    return _first(items, seed, wanted=cost, kept=quality)


def most_accurate_as_small(items: Iterable[M], seed: Measured, cost: Objective, quality: Objective) -> M | None:
    """Return the item with the best quality among those that cost at most what the seed costs.

    The cheaper one wins a tie, then the earlier. None where no such item is better than the seed.
    """
    return _first(items, seed, wanted=quality, kept=cost)


def _first(items: Iterable[M], seed: Measured, wanted: Objective, kept: Objective | None) -> M | None:
    """Return the best in one objective that is better there than the seed, and no worse in another."""
    found = [
        item
        for item in items
        if not no_worse(_value(seed, wanted), _value(item, wanted), wanted)
        and isfinite(_value(item, wanted))
        and (kept is None or no_worse(_value(item, kept), _value(seed, kept), kept))
    ]
    order = [wanted] if kept is None else [wanted, kept]
    return min(found, key=lambda item: (*(_lower(item, objective) for objective in order), item.id), default=None)


def _value(item: Measured, objective: Objective) -> float:
    return item.metrics.get(objective.name, nan)


def _lower(item: Measured, objective: Objective) -> float:
    """Return an objective's value, lower is better."""
    return _value(item, objective) if objective.direction == "minimize" else -_value(item, objective)


def intervals_overlap(one: Standing, other: Standing, name: str) -> bool | None:
    """Whether the 95% confidence intervals of two means overlap; None where one of them is not known."""
    if name not in one.intervals or name not in other.intervals:
        return None
    return abs(one.metrics[name] - other.metrics[name]) <= one.intervals[name] + other.intervals[name]


def cost_pairs(objectives: Sequence[Objective]) -> list[tuple[Objective | None, Objective]]:
    """Return each cost with the quality that it is held against; the cost is None where there is one objective alone.

    The quality is the first objective on validation data, and where there is none the first of all.
    """
    if not objectives:
        return []
    quality = analysis.split_objective(objectives)[0] or objectives[0]
    costs: list[Objective | None] = [objective for objective in objectives if objective.name != quality.name]
    return [(cost, quality) for cost in costs or [None]]


def against_seeds(records: Records, task: Task) -> list[AgainstSeed]:
    """Hold the children of a run against each of its seeds, and each cost.

    By the means over the trainings with new seeds where the seed and a child have such, by validation data as all choices are;
    otherwise by what the search saw. Seeds that could not be trained are left out. The fittest seed comes first, and those that
    break a bound, so that they have no fitness, last.
    """
    verified = [Standing.of(item) for item in analysis.verified(records, task) if item.evaluations]
    searched = _searched(records)
    found = []
    for seed in (item for item in searched if _is_seed(item)):
        checked = next((item for item in verified if item.id == seed.id), None)
        is_verified = checked is not None and not all(_is_seed(item) for item in verified)
        children = [item for item in (verified if is_verified else searched) if not _is_seed(item) and _counts(item, task)]
        chosen = checked if checked is not None and is_verified else seed
        found += [_hold(chosen, children, cost, quality, is_verified) for cost, quality in cost_pairs(task.objectives)]
    return sorted(found, key=lambda item: -item.seed.fitness if isfinite(item.seed.fitness) else float("inf"))


def _hold(
    seed: Standing, children: Sequence[Standing], cost: Objective | None, quality: Objective, verified: bool
) -> AgainstSeed:
    """Hold children against one seed."""
    if cost is None:
        best = _first(children, seed, wanted=quality, kept=None)
        return AgainstSeed(seed, quality, None, verified, len(children), None, best, () if best is None else (best,))
    smallest = smallest_as_accurate(children, seed, cost, quality)
    best = most_accurate_as_small(children, seed, cost, quality)
    pair = (cost, quality)
    better = [item for item in children if all(no_worse(_value(item, o), _value(seed, o), o) for o in pair)]
    front = population.front(better, pair) if smallest is not None or best is not None else []
    ordered = tuple(sorted(front, key=lambda item: (_lower(item, cost), item.id)))
    return AgainstSeed(seed, quality, cost, verified, len(children), smallest, best, ordered)


def _is_seed(item: Standing) -> bool:
    return item.candidate.operator == "seed"


def _counts(item: Standing, task: Task) -> bool:
    """Whether a child is a result: it has a fitness, and its means keep to the bounds."""
    bounds: Sequence[Bound] = getattr(task, "bounds", ())
    return isfinite(item.fitness) and all(bound.admits(item.metrics.get(bound.name, nan)) for bound in bounds)


def _searched(records: Records) -> list[Standing]:
    """Return every candidate that was trained in the search, what broke a bound included, in order of id."""
    first: dict[int, Evaluation] = {}
    for evaluation in records.evaluations:
        if evaluation.purpose == "search" and evaluation.status is Status.OK:
            first.setdefault(evaluation.candidate, evaluation)
    return [Standing(records.candidates[number], first[number].metrics) for number in sorted(first)]
