"""Compares strategies on a task: makes their runs, with many seeds, and goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasmith import api
from nasmith.arms import Arm, group_of, lineup, parts_of
from nasmith.choosing import Choice
from nasmith.comparison import Comparison, Curve, checkpoints_up_to, curve, standings
from nasmith.errors import RunBusyError, RunStoppedError, UnknownNameError, UsageError
from nasmith.events import Evaluated, Event, Observer
from nasmith.fleet import Order, made_whole, processors, recommendations
from nasmith.interrupts import graceful
from nasmith.loop import Budget
from nasmith.protocols import Executor, LanguageModel, Storage, Strategy, Task
from nasmith.types import Run
from nasmith.verify import Verification

__all__ = ["Progress", "StoppedError", "compare"]


class StoppedError(RunStoppedError):
    """A comparison was stopped before its last run; the same call goes on with it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a comparison has come.

    Attributes:
        name: The comparison's.
        runs: Finished runs by strategy, in order.
        seeds: Runs of each strategy in all.
        evaluations: Of each run in all.
        running: The strategy of the run that goes on now, where runs are made one after the other; otherwise empty.
        evaluated: Its evaluations so far.
        found: Runs that were there before.
    """

    name: str
    runs: Mapping[str, int]
    seeds: int
    evaluations: int
    running: str = ""
    evaluated: int = 0
    found: int = 0


def compare(
    task: Task | str,
    strategies: Sequence[Strategy | str] | Mapping[str, Strategy | str],
    seeds: int = 20,
    evaluations: int = 100,
    *,
    lm: LanguageModel | str | Sequence[str] | None = None,
    executor: Executor | str | None = None,
    storage: Storage | str | Path | None = None,
    settings: Sequence[str] = (),
    against: str = "",
    checkpoints: Sequence[int] = (),
    disguise: int | None = None,
    workers: int | None = None,
    observers: Sequence[Observer] = (),
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Comparison:
    """Run every strategy with seeds 0, 1, … on a task, and compare what they find.

    Runs are made once: a call with more seeds or strategies takes those that are there. Strategies that ask no language model,
    on a space that is looked up, run in worker processes, each run stored when it is finished. All others run one after the
    other, with all workers of their executor. Winners are not verified. `nasmith.report.standings.write_comparison` writes the
    result as a table, pictures and JSON.

    Args:
        task: What to search for.
        strategies: Names or objects, or a mapping of what they are to be called.
        seeds: Runs of each strategy.
        evaluations: Candidates of each run, broken ones and duplicates included; also a strategy's option of that name.
        lm: Who proposes for strategies that ask a language model.
        executor: Where candidates run; by default what the task prefers, or sandboxed processes.
        storage: A path, a URL or a Storage; by default `nasmith-runs/nasmith.sqlite3`.
        settings: "KEY=VALUE" for every run that has such an option, "STRATEGY.OPTION=VALUE" for one strategy's.
        against: What the others are tested against; by default the first.
        checkpoints: Numbers of evaluations at which they are compared; by default 10, 30, 100, … and the last.
        disguise: Run every strategy on the disguised task, too (its option `disguise`), at this seed.
        workers: Processes; by default one for each processor.
        observers: Called with every event of the runs that are made one after the other.
        progress: Called with how far it is.

    Raises:
        UsageError, RunBusyError: Something cannot be used as said; another process makes this comparison.
        MissingDependencyError, StorageError: Something is not installed; the storage cannot be written.
        StoppedError, RunStoppedError: It was stopped, or a run cannot go on. What was finished is stored.
    """
    if seeds < 1 or evaluations < 1 or (workers is not None and workers < 1):
        raise UsageError(f"seeds, evaluations and workers must be at least 1, got {seeds}, {evaluations} and {workers}.")
    points = _points(checkpoints, evaluations)
    given: dict[str, Any] = {"lm": lm, "executor": executor, "settings": settings, "workers": workers, "disguise": disguise}
    arms = lineup(task, strategies, evaluations, **given)
    reference = against or arms[0].label
    if reference not in [arm.label for arm in arms]:
        raise UnknownNameError("strategy of this comparison", reference, [arm.label for arm in arms])
    made = _Comparing(arms, range(seeds), evaluations, api.open_storage(storage), observers, progress)
    try:
        made.run(workers or processors())
    finally:
        if made.storage is not storage:
            made.storage.close()
    return made.result(points, reference)


def _points(checkpoints: Sequence[int], evaluations: int) -> tuple[int, ...]:
    for point in checkpoints:
        if not 1 <= point <= evaluations:
            raise UsageError(f"checkpoints lie between 1 and the evaluations of a run, {evaluations}; got {point}.")
    return tuple(sorted({*checkpoints, evaluations})) if checkpoints else checkpoints_up_to(evaluations)


class _Comparing:
    """A comparison while it is made."""

    def __init__(
        self,
        arms: Sequence[Arm],
        seeds: Sequence[int],
        evaluations: int,
        storage: Storage,
        observers: Sequence[Observer],
        progress: Callable[[Progress], None],
    ) -> None:
        self.arms, self.seeds, self.evaluations, self.storage = arms, seeds, evaluations, storage
        self._observers, self._progress = observers, progress
        self._tasks: dict[str, Task] = {}
        self._task = self._task_of(arms[0])
        self.name = group_of(arms, self._task)
        self._curves: dict[str, dict[int, Curve]] = {arm.label: {} for arm in arms}
        self._runs: list[Run] = []
        self._found = 0
        self._stopped = False

    def run(self, workers: int) -> None:
        """Make all runs that are not there; StoppedError where it was stopped before the last."""
        with ExitStack() as held, graceful(self._stop):
            try:
                held.enter_context(self.storage.claim(self.name))
            except RunBusyError as error:
                raise RunBusyError(f"another process makes this comparison. Wait until it ends. ({error})") from error
            known = {run.name: run for run in self.storage.runs()}
            missing = list(self._take_up(known))
            self._tell()
            self._make_whole([(arm, seed) for arm, seed in missing if arm.quick], workers)
            for arm, seed in missing:
                if not arm.quick and not self._stopped:
                    self._make(arm, seed, known)
        done, total = sum(map(len, self._curves.values())), len(self.arms) * len(self.seeds)
        if done < total:
            raise StoppedError(f"the comparison was stopped after {done:,} of {total:,} runs, and these are stored.")

    def result(self, points: tuple[int, ...], reference: str) -> Comparison:
        """Return what came of it."""
        first, newest = self.arms[0], max(self._runs, key=lambda run: run.created)
        revealed = hasattr(self._task, "reveal")
        optimum = getattr(self._task, "optimum", None) if revealed else None
        curves = {label: {seed: runs[seed] for seed in self.seeds} for label, runs in self._curves.items()}
        return Comparison(
            name=self.name,
            task=first.config["task"],
            title=self._task.describe().title,
            measure="test_accuracy" if revealed else "fitness",
            unit=next((o.unit for o in self._task.objectives if "accuracy" in o.name), "") if revealed else "",
            evaluations=self.evaluations,
            seeds=tuple(self.seeds),
            checkpoints=points,
            reference=reference,
            curves=curves,
            standings=standings(curves, points, reference, optimum),
            optimum=optimum,
            arms={arm.label: arm.config for arm in self.arms},
            runs={arm.label: {seed: self._name(arm, seed) for seed in self.seeds} for arm in self.arms},
            versions=tuple(sorted({run.version for run in self._runs})),
            environment=dict(newest.environment),
            notes=tuple(self._notes(points)),
        )

    def _notes(self, points: Sequence[int]) -> Iterator[str]:
        if len(self.seeds) == 1:
            yield "One seed alone says nothing about chance: nothing was tested."
        for arm in self.arms:
            if arm.planned < self.evaluations:
                yield f"{arm.label} plans {arm.planned:,} evaluations alone; its last value counts for the rest."
            gaps = sum(run[points[0] - 1] is None for run in self._curves[arm.label].values())
            if gaps:
                yield (
                    f"{gaps:,} of the runs of {arm.label} had no result after {points[0]:,} evaluations; until its first "
                    "result a run counts with the lowest value with which any run began."
                )

    def _stop(self) -> None:
        self._stopped = True

    def _name(self, arm: Arm, seed: int) -> str:
        return f"{self.name}.{arm.key}.{seed}"

    def _take_up(self, known: Mapping[str, Run]) -> Iterator[tuple[Arm, int]]:
        """Read the runs that are finished; yield those that are not, seed by seed, so that a part of all is a fair one."""
        for seed in self.seeds:
            for arm in self.arms:
                run = known.get(self._name(arm, seed))
                if run is None or not run.finished or self._stopped:
                    yield arm, seed
                else:
                    self._note(arm, seed, self.storage)
                    self._found += 1

    def _make_whole(self, missing: Sequence[tuple[Arm, int]], workers: int) -> None:
        """Make short runs in worker processes."""
        orders = {
            self._name(arm, seed): (arm, Order(self._name(arm, seed), arm.config, seed, self.name)) for arm, seed in missing
        }
        for order, memory, recommended in made_whole([order for _, order in orders.values()], workers, lambda: self._stopped):
            _store(self.storage, memory, order.name)
            self._note(orders[order.name][0], order.seed, memory, recommended)
            memory.close()
            self._tell()

    def _make(self, arm: Arm, seed: int, known: Mapping[str, Run]) -> None:
        """Make a run with its records stored as they come, or go on with it."""
        name, config = self._name(arm, seed), arm.config
        count = 0

        def watch(event: Event) -> None:
            nonlocal count
            if isinstance(event, Evaluated) and event.candidate.step >= 0:
                count += 1
                self._tell(arm.label, count)

        observers = [*self._observers, watch]
        if name in known:
            result = api.resume(name, self.storage, observers=observers)
        else:
            result = api.search(
                **parts_of(config),
                storage=self.storage,
                name=name,
                seed=seed,
                budget=Budget(**config["budget"]),
                verify=Verification(**config["verify"]),
                choice=Choice(**config["choice"]),
                templates=config["templates"],
                comparison=self.name,
                observers=observers,
            )
        if result.run.finished:
            self._note(arm, seed, self.storage)
            self._tell()
        else:
            self._stop()

    def _note(self, arm: Arm, seed: int, storage: Storage, recommended: Sequence[int | None] | None = None) -> None:
        """Read a finished run."""
        name, task = self._name(arm, seed), self._task_of(arm)
        if hasattr(task, "space") and recommended is None:
            recommended = recommendations(storage, name, task)
        candidates = {candidate.id: candidate for candidate in storage.candidates(name)}
        evaluations = [evaluation for evaluation in storage.evaluations(name) if evaluation.purpose == "search"]
        self._curves[arm.label][seed] = curve(task, candidates, evaluations, self.evaluations, recommended)
        self._runs.append(storage.run(name))

    def _task_of(self, arm: Arm) -> Task:
        """Return the task of an arm's runs, made once: it may have read a large table."""
        key = json.dumps(arm.config["task"], sort_keys=True)
        if key not in self._tasks:
            self._tasks[key] = parts_of(arm.config)["task"]
        return self._tasks[key]

    def _tell(self, running: str = "", evaluated: int = 0) -> None:
        runs = {label: len(found) for label, found in self._curves.items()}
        self._progress(Progress(self.name, runs, len(self.seeds), self.evaluations, running, evaluated, self._found))


def _store(storage: Storage, source: Storage, name: str) -> None:
    """Put a finished run into the storage: at once where it can, otherwise record by record, finished last."""
    take: Any = getattr(storage, "take", None)
    if take is not None:
        take(source, name)
        return
    run = source.run(name)
    storage.add_run(replace(run, finished=""))
    for step, (told, wish) in enumerate(source.asked(name)):
        storage.add_asked(name, step, told, wish)
    storage.add_candidates(name, source.candidates(name))
    for evaluation in source.evaluations(name):
        storage.add_evaluation(name, evaluation)
    storage.finish_run(name, run.finished)
