"""Reads a stored search as numbers: best, Pareto front, lineage, counts, costs, progress, verified winners. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Any

from nasmith import population
from nasmith.protocols import Storage, Task
from nasmith.seeding import generator
from nasmith.types import Call, Candidate, Completion, Evaluation, Objective, Run, Status, Tuning, Wish

__all__ = [
    "FLAG_RULE",
    "Records",
    "Scored",
    "Totals",
    "Verified",
    "best_seed",
    "bootstrap_curve",
    "count_by_operator",
    "count_by_status",
    "diff",
    "example_reasons",
    "front",
    "half_width",
    "hypervolume",
    "is_flagged",
    "lineage",
    "lm_title",
    "progress_curve",
    "read",
    "scored",
    "split_objective",
    "totals",
    "verified",
]

FLAG_RULE = (
    "A winner is flagged where its mean test error is above the error that the search saw by more than 0.02 and by more than "
    "three standard errors, 3·s·√(1 + 1/n), with s the standard deviation of the test error over n seeds, n at least 2."
)
"""The rule of `is_flagged`, for people."""


@dataclass(frozen=True, slots=True)
class Records:
    """All records of one run.

    Attributes:
        run: The run itself.
        candidates: By id, in order of id.
        evaluations: In the order in which they were stored.
        completions: By (step, index).
        asked: The strategy's wishes, in order of step.
        tunings: By step.
        calls: Exchanges with the language model that gave no completion, in the order in which they were stored.
    """

    run: Run
    candidates: Mapping[int, Candidate]
    evaluations: tuple[Evaluation, ...]
    completions: Mapping[tuple[int, int], Completion]
    asked: tuple[Wish, ...]
    tunings: Mapping[int, Tuning]
    calls: tuple[Call, ...] = ()

    def of(self, candidate: int) -> list[Evaluation]:
        """Return the evaluations of one candidate, in the order in which they were stored."""
        return [evaluation for evaluation in self.evaluations if evaluation.candidate == candidate]

    def completion(self, candidate: Candidate) -> Completion | None:
        """Return the reply that a child came from; None for a seed."""
        return self.completions.get((candidate.step, candidate.index))


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its successful search evaluation; `population` ranks it."""

    candidate: Candidate
    evaluation: Evaluation

    @property
    def id(self) -> int:
        """The candidate's id."""
        return self.candidate.id

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the evaluation measured."""
        return self.evaluation.metrics

    @property
    def fitness(self) -> float:
        """The task's fitness, higher is better."""
        return self.metrics["fitness"]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run's language model cost: replies, tokens, US dollars, seconds of wall time, and exchanges that gave no reply."""

    completions: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    calls_without_reply: int = 0


@dataclass(frozen=True, slots=True)
class Verified:
    """A candidate that was trained again with new seeds and scored on data that the search never saw.

    Attributes:
        candidate: The candidate.
        search: Its evaluation in the search; None where it has none.
        evaluations: The successful verifications, in the order in which they were stored.
        failures: The other verifications.
        metrics: Mean of each metric over `evaluations`.
        spreads: Sample standard deviation of each metric; 0 where there is one evaluation alone.
        fitness: The task's fitness of the mean validation metrics of the new seeds; higher is better. Orders the winners.
        test_fitness: The same with the test error in the validation error's place.
        flagged: Whether a child's test error is much above its search error (`FLAG_RULE`).
        intervals: Half the 95% confidence interval of each mean over trainings (`half_width`); empty for a single training.
    """

    candidate: Candidate
    search: Evaluation | None
    evaluations: tuple[Evaluation, ...]
    failures: tuple[Evaluation, ...]
    metrics: Mapping[str, float]
    spreads: Mapping[str, float]
    fitness: float
    test_fitness: float
    flagged: bool
    intervals: Mapping[str, float] = field(default_factory=dict)


def read(storage: Storage, name: str) -> Records:
    """Read all records of the run `name`."""
    return Records(
        run=storage.run(name),
        candidates={candidate.id: candidate for candidate in storage.candidates(name)},
        evaluations=tuple(storage.evaluations(name)),
        completions=storage.completions(name),
        asked=tuple(action for _, action in storage.asked(name)),
        tunings=storage.tunings(name),
        calls=tuple(storage.calls(name)),
    )


def lm_title(part: Mapping[str, Any]) -> str:
    """Return what people call a language model, by its part of a run's configuration."""
    options = part["options"]
    if options.get("recorded"):
        return f"a replay of {lm_title(options['recorded'])}"
    if "members" in options:
        return " + ".join(lm_title(member) for member in options["members"])
    return options.get("name") or part["name"]


def split_objective(objectives: Sequence[Objective]) -> tuple[Objective | None, str]:
    """Return the objective measured on validation data and the name of its twin on test data.

    By convention a metric `val_x` of the search has a twin `test_x` in verifications. (None, "") where there is none.
    """
    for objective in objectives:
        if objective.name.startswith("val_"):
            return objective, "test_" + objective.name.removeprefix("val_")
    return None, ""


def scored(records: Records) -> list[Scored]:
    """Return every candidate that counts as a result, with its first evaluation of the search, in order of id."""
    first: dict[int, Evaluation] = {}
    for evaluation in records.evaluations:
        if evaluation.purpose == "search" and "fitness" in evaluation.metrics:
            first.setdefault(evaluation.candidate, evaluation)
    return [Scored(records.candidates[i], first[i]) for i in sorted(first)]


def best_seed(items: Iterable[Scored]) -> Scored | None:
    """Return the fittest seed, or None where no seed has a score."""
    return next(iter(population.top((item for item in items if item.candidate.operator == "seed"), 1)), None)


def front(items: Iterable[Scored], objectives: Sequence[Objective]) -> list[Scored]:
    """Return those that no other one beats in one objective without losing in another, ordered by the first objective.

    Candidates that lack an objective, or whose value is not finite, are left out; of equal points the earliest stays.
    """
    names = [objective.name for objective in objectives]
    known = (item for item in items if all(isfinite(item.metrics.get(name, float("nan"))) for name in names))
    return sorted(population.front(known, objectives), key=lambda item: [item.metrics[name] for name in names])


def hypervolume(items: Sequence[Scored], objectives: Sequence[Objective], reference: Sequence[float]) -> float:
    """Return the volume that the items dominate up to `reference` (a point worse than all); higher is better.

    Objectives with `log` count by their decimal logarithm, in the items and in `reference` alike.
    """
    if not items:
        return 0.0
    from math import log10

    from moocore import hypervolume as volume

    def scale(point: Sequence[float]) -> list[float]:
        return [log10(max(v, 1e-12)) if o.log else v for v, o in zip(point, objectives, strict=True)]

    points = [scale([item.evaluation.metrics[objective.name] for objective in objectives]) for item in items]
    return float(volume(points, ref=scale(reference), maximise=[o.direction == "maximize" for o in objectives]))


def lineage(candidates: Mapping[int, Candidate], candidate: int) -> list[tuple[int, Candidate]]:
    """Return a candidate's ancestors as (generations back, candidate), nearest first, each once; itself first with 0."""
    depth = {candidate: 0}
    queue = [candidate]
    for current in queue:
        for parent in candidates[current].parents:
            if parent in candidates and parent not in depth:
                depth[parent] = depth[current] + 1
                queue.append(parent)
    return [(depth[i], candidates[i]) for i in sorted(depth, key=lambda i: (depth[i], i))]


def _outcomes(records: Records) -> list[tuple[Candidate, Evaluation]]:
    """Pair each child with its first search evaluation."""
    first: dict[int, Evaluation] = {}
    for evaluation in records.evaluations:
        if evaluation.purpose == "search":
            first.setdefault(evaluation.candidate, evaluation)
    children = (candidate for candidate in records.candidates.values() if candidate.operator != "seed")
    return [(child, first[child.id]) for child in children if child.id in first]


def count_by_status(records: Records) -> dict[Status, int]:
    """Count the children by how their search evaluation ended, in the order of `Status`; zeros are left out."""
    counts = Counter(evaluation.status for _, evaluation in _outcomes(records))
    return {status: counts[status] for status in Status if counts[status]}


def count_by_operator(records: Records) -> dict[str, dict[Status, int]]:
    """Count the children by operator (in order of name), then by status (in the order of `Status`)."""
    counts: dict[str, Counter[Status]] = {}
    for child, evaluation in _outcomes(records):
        counts.setdefault(child.operator, Counter())[evaluation.status] += 1
    return {name: {s: counts[name][s] for s in Status if counts[name][s]} for name in sorted(counts)}


def example_reasons(records: Records, limit: int = 3) -> dict[Status, list[tuple[str, int, int]]]:
    """Return, by status, the commonest messages as (message, count, id of the first child), at most `limit` each."""
    seen: dict[Status, dict[str, list[int]]] = {}
    for child, evaluation in _outcomes(records):
        if evaluation.status is not Status.OK and evaluation.message:
            line = evaluation.message.strip().splitlines()[-1]
            seen.setdefault(evaluation.status, {}).setdefault(line, []).append(child.id)
    return {
        status: [(line, len(ids), ids[0]) for line, ids in sorted(seen[status].items(), key=lambda x: -len(x[1]))[:limit]]
        for status in Status
        if status in seen
    }


def totals(completions: Iterable[Completion], calls: Iterable[Call] = ()) -> Totals:
    """Sum what the language model took, exchanges that gave no completion included."""
    replies, others = list(completions), list(calls)
    items: list[Completion | Call] = [*replies, *others]
    return Totals(
        len(replies),
        sum(item.tokens_in for item in items),
        sum(item.tokens_out for item in items),
        sum(item.cost for item in items),
        sum(item.seconds for item in items),
        len(others),
    )


def _children_fitness(records: Records, task: Task) -> list[float | None]:
    fitness = {item.candidate.id: item.fitness for item in scored(records)}
    return [fitness.get(child.id) for child, _ in sorted(_outcomes(records), key=lambda pair: pair[0].id)]


def progress_curve(records: Records, task: Task) -> list[tuple[int, float]]:
    """Return (children made, best fitness among them), a point for each improvement and one at the end.

    Children count in order of id, and those without a score count too: they were paid for.
    """
    curve: list[tuple[int, float]] = []
    values = _children_fitness(records, task)
    for count, value in enumerate(values, start=1):
        if value is not None and (not curve or value > curve[-1][1]):
            curve.append((count, value))
    if curve and curve[-1][0] < len(values):
        curve.append((len(values), curve[-1][1]))
    return curve


def bootstrap_curve(
    records: Records, task: Task, *, size: int = 20, samples: int = 100, points: int = 50, seed: int = 0
) -> list[tuple[int, float]]:
    """Return (children made, mean over bootstrap samples of the best fitness in a sample): the paper's smoother curve.

    At each of about `points` counts, `samples` samples of `size` children are drawn with replacement from the scored children
    so far (Chen et al. 2023, figure 3).
    """
    values = _children_fitness(records, task)
    random = generator(seed, "bootstrap")
    stride = max(1, len(values) // points)
    curve = []
    for count in sorted({*range(stride, len(values) + 1, stride), len(values)} - {0}):
        pool = [value for value in values[:count] if value is not None]
        if pool:
            curve.append((count, fmean(max(random.choices(pool, k=size)) for _ in range(samples))))
    return curve


def is_flagged(search_error: float, test_errors: Sequence[float]) -> bool:
    """Return whether the mean test error is much above the error that the search saw; see `FLAG_RULE`."""
    if len(test_errors) < 2:
        return False
    gap = fmean(test_errors) - search_error
    return gap > 0.02 and gap > 3 * stdev(test_errors) * sqrt(1 + 1 / len(test_errors))


def half_width(values: Sequence[float]) -> float:
    """Return half the 95% confidence interval of the mean of at least two values, by Student's t distribution."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))


def verified(records: Records, task: Task) -> list[Verified]:
    """Return the verified candidates, best first: by fitness on validation data with the new seeds, never by the test data."""
    groups: dict[int, list[Evaluation]] = {}
    for evaluation in records.evaluations:
        if evaluation.purpose == "verify":
            groups.setdefault(evaluation.candidate, []).append(evaluation)
    search = {item.candidate.id: item.evaluation for item in scored(records)}
    items = [_verify(records.candidates[i], search.get(i), groups[i], task) for i in groups]
    return sorted(items, key=lambda item: (-item.fitness, item.candidate.id))


def _verify(candidate: Candidate, search: Evaluation | None, evaluations: Sequence[Evaluation], task: Task) -> Verified:
    fine = tuple(evaluation for evaluation in evaluations if evaluation.status is Status.OK)
    names = [name for name in (fine[0].metrics if fine else ()) if all(name in e.metrics for e in fine)]
    values = {name: [evaluation.metrics[name] for evaluation in fine] for name in names}
    metrics = {name: fmean(values[name]) for name in names}
    objective, twin = split_objective(task.objectives)
    fitness = test_fitness = float("-inf")
    flagged = False
    if fine:
        fitness = task.fitness(metrics)
        if objective is not None and twin in metrics:
            test_fitness = task.fitness({**metrics, objective.name: metrics[twin]})
            seen = search.metrics.get(objective.name) if search is not None and candidate.operator != "seed" else None
            if seen is not None and objective.direction == "minimize":
                flagged = is_flagged(seen, values[twin])
    return Verified(
        candidate=candidate,
        search=search,
        evaluations=fine,
        failures=tuple(evaluation for evaluation in evaluations if evaluation.status is not Status.OK),
        metrics=metrics,
        spreads={name: stdev(values[name]) if len(fine) > 1 else 0.0 for name in names},
        fitness=fitness,
        test_fitness=test_fitness,
        flagged=flagged,
        intervals={name: half_width(values[name]) for name in names} if len(fine) > 1 else {},
    )


def diff(parent: Candidate, child: Candidate) -> str:
    """Return the unified diff of two candidates' text; empty where they are the same."""
    lines = unified_diff(
        parent.text.splitlines(), child.text.splitlines(), f"candidate {parent.id}", f"candidate {child.id}", lineterm=""
    )
    return "\n".join(lines)
