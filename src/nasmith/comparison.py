"""Compares strategies by their runs: curves of the best so far, their statistics, and tests over seeds. Pure functions.

A run's curve says after each evaluation what its best design so far is worth. Higher is better throughout, regret excepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from statistics import fmean, median, quantiles, stdev
from typing import Any

from nasmith.protocols import Task
from nasmith.types import Candidate, Evaluation

__all__ = [
    "TEST_RULE",
    "Comparison",
    "Curve",
    "Curves",
    "Point",
    "Standing",
    "Test",
    "area",
    "checkpoints_up_to",
    "curve",
    "holm",
    "mean_ranks",
    "paired",
    "standings",
    "whole",
]

Curve = tuple[float | None, ...]
"""What the best so far is worth after each evaluation; None before there is one."""

Curves = Mapping[str, Mapping[int, Curve]]
"""The curve of each run, by strategy and seed."""

TEST_RULE = (
    "Wilcoxon's signed-rank test over the seeds, two-sided, runs paired by seed, at the last checkpoint; p by Holm's step-down "
    "method over the strategies. The effect is the matched-pairs rank-biserial correlation, from -1 (worse in every pair) to 1 "
    "(better in every pair)."
)
"""How strategies are tested against the reference, for people (Wilcoxon 1945; Holm 1979; Kerby 2014)."""

_REVEALED = "test_accuracy"


@dataclass(frozen=True, slots=True)
class Point:
    """A strategy after some evaluations, over its runs.

    Attributes:
        evaluations: How many.
        mean: Of the runs' values.
        sd: Their sample standard deviation; 0 for one run.
        standard_error: sd / √runs.
        median: Half of the runs are above.
        low: The first quartile.
        high: The third.
        rank: Mean over the seeds of the rank among the strategies, 1 is the best; equal ones share their ranks' mean.
        missing: Runs that had no result yet. They count with the lowest value with which any run of the comparison began.
    """

    evaluations: int
    mean: float
    sd: float
    standard_error: float
    median: float
    low: float
    high: float
    rank: float
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Test:
    """A strategy against the reference (`TEST_RULE`).

    Attributes:
        p: Two-sided; 1 where all pairs are equal.
        holm: p, corrected for the number of strategies.
        effect: Rank-biserial correlation, above 0 where the strategy is better than the reference; 0 where all are equal.
        better: Pairs in which the strategy is better.
        equal: Pairs that are equal.
        worse: Pairs in which the reference is better.
    """

    p: float
    holm: float
    effect: float
    better: int
    equal: int
    worse: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a strategy did.

    Attributes:
        strategy: Its label.
        points: At each checkpoint.
        area: Mean over the runs of the mean over evaluations of the regret, lower is better; where no optimum is known, of
            the value, higher is better.
        area_sd: Its sample standard deviation over the runs; 0 for one run.
        test: Against the reference; None for the reference itself, or with one seed alone.
    """

    strategy: str
    points: tuple[Point, ...]
    area: float
    area_sd: float
    test: Test | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Strategies on one task, with the same seeds and the same number of evaluations each.

    Attributes:
        name: Of the runs' group in the storage.
        task: The task's part of the configuration.
        title: What people call the task.
        measure: What the best so far is valued by: "test_accuracy", which the search does not see, or "fitness".
        unit: Of the measure; may be empty.
        evaluations: Of each run.
        seeds: Of the runs.
        checkpoints: Numbers of evaluations at which the strategies are compared, ascending.
        reference: The strategy that the others are tested against.
        curves: Of every run.
        standings: In the order in which the strategies were named.
        optimum: The highest value that there is; None where nobody knows.
        arms: The configuration of each strategy's runs, seed excepted.
        runs: Names of the runs, by strategy and seed.
        versions: Of nasmith, that made the runs.
        environment: Of the newest run.
        notes: What a reader should know.
    """

    name: str
    task: Mapping[str, Any]
    title: str
    measure: str
    unit: str
    evaluations: int
    seeds: tuple[int, ...]
    checkpoints: tuple[int, ...]
    reference: str
    curves: Curves
    standings: tuple[Standing, ...]
    optimum: float | None = None
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    runs: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all as plain values; of the curves what they are at the checkpoints, null before a first result."""
        plain = ("name", "title", "measure", "unit", "evaluations", "reference", "optimum")
        return {
            **{key: getattr(self, key) for key in plain},
            "task": dict(self.task),
            "seeds": list(self.seeds),
            "checkpoints": list(self.checkpoints),
            "area": "regret" if self.optimum is not None else "value",
            "test": TEST_RULE,
            "strategies": [
                {**asdict(standing), "config": dict(self.arms.get(standing.strategy, {}))} for standing in self.standings
            ],
            "curves": {
                label: [
                    {
                        "seed": seed,
                        "run": self.runs.get(label, {}).get(seed, ""),
                        "values": [run[at - 1] for at in self.checkpoints],
                    }
                    for seed, run in by_seed.items()
                ]
                for label, by_seed in self.curves.items()
            },
            "versions": list(self.versions),
            "environment": dict(self.environment),
            "notes": list(self.notes),
        }


def checkpoints_up_to(evaluations: int) -> tuple[int, ...]:
    """Return 10, 30, 100, 300, … below `evaluations`, and that itself."""
    steps = (factor * 10**power for power in range(1, len(str(evaluations))) for factor in (1, 3))
    return (*(step for step in steps if step < evaluations), evaluations)


def curve(
    task: Task,
    candidates: Mapping[int, Candidate],
    evaluations: Sequence[Evaluation],
    length: int,
    recommended: Sequence[int | None] | None = None,
) -> Curve:
    """Return what a run's best so far is worth after each of `length` evaluations of children, in the order of their telling.

    The best is the fittest child, the earlier of equal ones; or what the strategy recommended. It is worth the test accuracy
    that the task reveals, or its fitness where the task reveals none. A run that ended early keeps its last value.

    Args:
        task: The runs' task.
        candidates: By id.
        evaluations: Of the search, in order.
        length: Evaluations that every run of the comparison may make.
        recommended: After each evaluation the id of the candidate that the strategy recommends; None where it does not.
    """
    reveal = getattr(task, "reveal", None)
    fitness: dict[int, float] = {}
    worth: dict[int, float | None] = {}

    def value(number: int) -> float | None:
        if number not in worth:
            worth[number] = fitness.get(number) if reveal is None else reveal(candidates[number].text)[_REVEALED]
        return worth[number]

    best: int | None = None
    points: list[float | None] = []
    for place, evaluation in enumerate(evaluations):
        number = evaluation.candidate
        if "fitness" in evaluation.metrics:
            fitness[number] = evaluation.metrics["fitness"]
        if candidates[number].step < 0:
            continue  # a seed: every strategy is given it
        if number in fitness and (best is None or fitness[number] > fitness[best]):
            best = number
        chosen = recommended[place] if recommended is not None else None
        shown = best if chosen is None or chosen not in fitness else chosen
        points.append(None if shown is None else value(shown))
    points = points[:length]
    return (*points, *[points[-1] if points else None] * (length - len(points)))


def whole(curves: Curves) -> dict[str, dict[int, tuple[float, ...]]]:
    """Return curves without gaps: before its first result a run has the lowest value with which any run began."""
    begun = [next((value for value in run if value is not None), None) for runs in curves.values() for run in runs.values()]
    lowest = min((value for value in begun if value is not None), default=0.0)
    return {
        label: {seed: tuple(lowest if value is None else value for value in run) for seed, run in runs.items()}
        for label, runs in curves.items()
    }


def area(run: Sequence[float], optimum: float | None = None) -> float:
    """Return the mean over evaluations of the regret (optimum - value), or of the value where no optimum is known."""
    return fmean(run) if optimum is None else optimum - fmean(run)


def mean_ranks(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the mean rank of each strategy over the seeds; the highest value has rank 1, equal ones share their ranks' mean.

    Args:
        values: Of each strategy, one for each seed, in the same order of seeds.
    """
    ranks: dict[str, list[float]] = {label: [] for label in values}
    for row in zip(*values.values(), strict=True):
        for label, value in zip(values, row, strict=True):
            above = sum(other > value for other in row)
            ranks[label].append(above + (1 + sum(other == value for other in row)) / 2)
    return {label: fmean(found) for label, found in ranks.items()}


def paired(values: Sequence[float], reference: Sequence[float]) -> Test:
    """Test a strategy's values against the reference's, paired by place (`TEST_RULE`); `holm` is p as it is.

    Differences below 1e-9 of the larger value count as none.
    """
    from scipy.stats import rankdata, wilcoxon

    pairs = zip(values, reference, strict=True)
    differences = [a - b if abs(a - b) > 1e-9 * max(abs(a), abs(b)) else 0.0 for a, b in pairs]
    found = [difference for difference in differences if difference]
    if not found:
        return Test(1.0, 1.0, 0.0, 0, len(differences), 0)
    # Rounded, so that differences that are equal but for the last bits share their ranks.
    rounded = [float(f"{difference:.9g}") for difference in found]
    p = float(wilcoxon(rounded).pvalue)
    ranks = rankdata([abs(difference) for difference in rounded])
    signed = sum(rank if difference > 0 else -rank for rank, difference in zip(ranks, rounded, strict=True))
    better = sum(difference > 0 for difference in found)
    effect = float(signed / sum(ranks))
    return Test(p, p, effect, better, len(differences) - len(found), len(found) - better)


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Return p values corrected by Holm's step-down method (Holm 1979)."""
    corrected, highest = {}, 0.0
    for place, label in enumerate(sorted(ps, key=lambda label: ps[label])):
        highest = max(highest, min(1.0, (len(ps) - place) * ps[label]))
        corrected[label] = highest
    return {label: corrected[label] for label in ps}


def standings(curves: Curves, checkpoints: Sequence[int], reference: str, optimum: float | None = None) -> tuple[Standing, ...]:
    """Return how each strategy did, in their order.

    Args:
        curves: Of all runs; each strategy has the same seeds.
        checkpoints: Numbers of evaluations, from 1 to the curves' length.
        reference: The strategy that the others are tested against.
        optimum: The highest value that there is, if it is known.
    """
    filled = whole(curves)
    at = {count: {label: [run[count - 1] for run in runs.values()] for label, runs in filled.items()} for count in checkpoints}
    ranks = {count: mean_ranks(values) for count, values in at.items()}
    last = at[checkpoints[-1]]
    tests = {}
    if len(last[reference]) > 1:
        tests = {label: paired(values, last[reference]) for label, values in last.items() if label != reference}
    corrected = holm({label: test.p for label, test in tests.items()})
    made = []
    for label, runs in filled.items():
        missing = [sum(run[count - 1] is None for run in curves[label].values()) for count in checkpoints]
        points = tuple(
            _point(count, at[count][label], ranks[count][label], gaps) for count, gaps in zip(checkpoints, missing, strict=True)
        )
        areas = [area(run, optimum) for run in runs.values()]
        test = tests.get(label)
        if test is not None:
            test = Test(test.p, corrected[label], test.effect, test.better, test.equal, test.worse)
        made.append(Standing(label, points, fmean(areas), stdev(areas) if len(areas) > 1 else 0.0, test))
    return tuple(made)


def _point(evaluations: int, values: Sequence[float], rank: float, missing: int) -> Point:
    several = len(values) > 1
    sd = stdev(values) if several else 0.0
    low, _, high = quantiles(values, n=4, method="inclusive") if several else [values[0]] * 3
    return Point(evaluations, fmean(values), sd, sd / sqrt(len(values)), median(values), low, high, rank, missing)
