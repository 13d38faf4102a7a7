"""The final table of CLRS: functions trained on many algorithms, each beside the standard function and published numbers.

What is trained is kept line by line in a file, so that a table goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith.errors import UsageError
from nasmith.executors.processes import Processes
from nasmith.files import write_whole
from nasmith.seeding import derive
from nasmith.tasks.clrs import Clrs
from nasmith.tasks.clrs.parts import load_part
from nasmith.tasks.clrs.published import PUBLISHED
from nasmith.types import Job, Outcome, Status

if TYPE_CHECKING:
    from concurrent.futures import Future

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BASELINE", "Row", "Table", "evaluate", "parameters"]

BASELINE = "baseline"
"""Name of the standard function, the first seed of the part."""

_RESULTS, _TABLE, _PICTURE = "results.jsonl", "table.csv", "table.png"


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a function on an algorithm. Accuracies are on the benchmark's test set (length 64), in percent.

    Attributes:
        function: Its name.
        algorithm: As dm-clrs names it.
        params: Parameters of the whole network; 0 where no training succeeded.
        accuracies: Of each seed.
        baseline: Accuracies of the standard function, trained in the same way.
        published: Published (mean, standard deviation) of the standard network, if there are.
        failures: Why trainings failed.
    """

    function: str
    algorithm: str
    params: int
    accuracies: Sequence[float]
    baseline: Sequence[float]
    published: tuple[float, float] | None
    failures: Sequence[str] = ()

    @property
    def mean(self) -> float | None:
        """Mean accuracy; None where no training succeeded."""
        return statistics.fmean(self.accuracies) if self.accuracies else None

    @property
    def wins(self) -> bool:
        """Whether it is above both baselines: the standard function trained here, and its published accuracy."""
        others = [statistics.fmean(self.baseline)] if self.baseline else []
        others += [self.published[0]] if self.published else []
        return self.mean is not None and bool(others) and self.mean > max(others)


@dataclass
class Table:
    """A table on its way, in a folder.

    Args:
        folder: Where it is kept.
        functions: Programs by name; the standard function is put first.
        algorithms: Which rows.
        seeds: Trainings of each.
        options: Of the task `Clrs`, besides the algorithm.
    """

    folder: Path
    functions: Mapping[str, str]
    algorithms: Sequence[str]
    seeds: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the standard function first.

        Raises:
            UsageError: No row or no training is asked for, or the options are wrong.
        """
        if self.seeds < 1 or not self.algorithms:
            raise UsageError("an evaluation needs a task and a seed at least.")
        part = load_part(self.task(self.algorithms[0]).part)
        self.functions = {BASELINE: next(iter(part.seeds.values())), **self.functions}
        self._known = self._read()

    def task(self, algorithm: str) -> Clrs:
        """Return the task of a row."""
        return Clrs(algorithm, **self.options)

    def known(self, function: str, algorithm: str, seed: int) -> Mapping[str, Any] | None:
        """Return what is kept of a training: its metrics, or why it failed; None where it was not made."""
        return self._known.get(self._key(function, algorithm, seed))

    def keep(self, function: str, algorithm: str, seed: int, found: Mapping[str, Any]) -> None:
        """Keep a training; it is on the disk when this returns."""
        line = {
            "key": self._key(function, algorithm, seed),
            "function": function,
            "algorithm": algorithm,
            "seed": seed,
            **found,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _RESULTS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._known[line["key"]] = line

    def rows(self, algorithm: str) -> list[Row]:
        """Return the rows of an algorithm, one for each function but the standard one; that one where it is alone."""
        baseline = self._found(BASELINE, algorithm)
        names = [name for name in self.functions if name != BASELINE] or [BASELINE]
        rows = []
        for name in names:
            found = self._found(name, algorithm)
            good = [each for each in found if "test_error" in each]
            rows.append(
                Row(
                    name,
                    algorithm,
                    int(good[0]["params"]) if good else 0,
                    [100 * (1 - each["test_error"]) for each in good],
                    [100 * (1 - each["test_error"]) for each in baseline if "test_error" in each],
                    PUBLISHED.get(algorithm),
                    [each["failed"] for each in found if "failed" in each],
                )
            )
        return rows

    def write(self) -> list[Path]:
        """Write the table as it is now, and its picture; return the files."""
        rows = [row for algorithm in self.algorithms for row in self.rows(algorithm) if row.accuracies or row.failures]
        lines = ["function,task,params,accuracy,sd,baseline,baseline_sd,published,published_sd,wins"]
        lines += [",".join(map(str, _cells(row))) for row in rows]
        write_whole(self.folder / _TABLE, ("\n".join(lines) + "\n").encode())
        if any(row.accuracies for row in rows):
            _draw([row for row in rows if row.accuracies], self.folder / _PICTURE)
        return [path for name in (_RESULTS, _TABLE, _PICTURE) if (path := self.folder / name).exists()]

    def _found(self, function: str, algorithm: str) -> list[Mapping[str, Any]]:
        known = (self.known(function, algorithm, seed) for seed in range(self.seeds))
        return [found for found in known if found is not None]

    def _key(self, function: str, algorithm: str, seed: int) -> str:
        task = self.task(algorithm)
        what = [self.functions[function], algorithm, seed, asdict(task.recipe), task.part, task.data_seed]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]

    def _read(self) -> dict[str, Mapping[str, Any]]:
        """Read what is kept; a line that a crash cut off is none. What failed is tried again."""
        known: dict[str, Mapping[str, Any]] = {}
        path = self.folder / _RESULTS
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if "test_error" in found:
                known[found["key"]] = found
        return known


def evaluate(
    table: Table, executor: Callable[[], Processes], tell: Callable[[Sequence[Row]], None], note: Callable[[str], None]
) -> None:
    """Train what is missing, one algorithm after the other.

    Args:
        table: What to do, and where it is kept.
        executor: Makes an executor; each algorithm takes a new one.
        tell: Told the rows of each algorithm when they are complete.
        note: Told of each training that ends, in a line.
    """
    for algorithm in table.algorithms:
        wanted = [(name, seed) for name in table.functions for seed in range(table.seeds)]
        missing = [each for each in wanted if table.known(each[0], algorithm, each[1]) is None]
        if missing:
            _train(table, algorithm, missing, executor(), note)
            table.write()
        tell(table.rows(algorithm))


def parameters(
    functions: Mapping[str, str], algorithms: Sequence[str], options: Mapping[str, Any], executor: Processes
) -> dict[str, dict[str, int]]:
    """Return the parameters of whole networks by function and algorithm. The functions are traced in a worker process.

    Raises:
        UsageError: A function cannot be accepted; the message says why.
    """
    from nasmith.tasks.clrs.clrs_workload import params_around

    task = Clrs(algorithms[0], **{**options, "max_params": 10**12})
    own: dict[str, int] = {}
    executor.start(task.workload())
    try:
        futures = {name: executor.submit(Job(0, text, 0, (), "screen")) for name, text in functions.items()}
        for name, future in futures.items():
            outcome = future.result()
            if outcome.status is not Status.OK:
                raise UsageError(f"{name}: {outcome.message}")
            own[name] = int(outcome.facts["part_params"])
    finally:
        executor.close()
    recipe = task.recipe
    around = {algorithm: params_around(algorithm, task.part, recipe.hidden, recipe.features) for algorithm in algorithms}
    return {name: {algorithm: around[algorithm] + params for algorithm in algorithms} for name, params in own.items()}


def _train(
    table: Table, algorithm: str, missing: Sequence[tuple[str, int]], executor: Processes, note: Callable[[str], None]
) -> None:
    """Train and test some functions, as many at a time as there are workers, and keep each when it is done."""
    task = table.task(algorithm)
    task.check()
    executor.start(task.workload(), task.data)
    try:
        futures: dict[tuple[str, int], Future[Outcome]] = {
            (name, seed): executor.submit(Job(0, table.functions[name], derive(seed, "evaluate"))) for name, seed in missing
        }
        for (name, seed), future in futures.items():
            found = _tested(task, table.functions[name], future.result(), executor)
            table.keep(name, algorithm, seed, found)
            said = f"test accuracy {100 * (1 - found['test_error']):.2f}%" if "test_error" in found else found["failed"]
            note(f"{algorithm}, {name}, seed {seed}: {said}")
    finally:
        executor.close()


def _tested(task: Clrs, text: str, outcome: Outcome, executor: Processes) -> dict[str, Any]:
    """Return the metrics of a training, tested in another process; {"failed": why} where there are none."""
    if outcome.status is not Status.OK:
        return {"failed": outcome.message}
    try:
        job = Job(0, text, 0, ("val", "test"), "examine", task.best_state(outcome))
        examined = executor.submit(job).result()
        if examined.status is not Status.OK:
            return {"failed": examined.message}
        return dict(task.score(outcome, examined, "verify"))
    except ValueError as error:
        return {"failed": str(error)}


def _cells(row: Row) -> list[object]:
    """Return a row of the CSV file."""
    mean, sd = _summary(row.accuracies)
    baseline = _summary(row.baseline)
    published = row.published or ("", "")
    return [row.function, row.algorithm, row.params, mean, sd, *baseline, *published, int(row.wins)]


def _summary(values: Sequence[float]) -> tuple[object, object]:
    if not values:
        return "", ""
    return round(statistics.fmean(values), 2), round(statistics.stdev(values), 2) if len(values) > 1 else ""


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the accuracies of every row beside both baselines."""
    from nasmith.report.plots import styled

    with styled():
        buffer = io.BytesIO()
        _figure(rows).savefig(buffer, format="png", dpi=160)
    write_whole(path, buffer.getvalue())


def _figure(rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    several = len({row.function for row in rows}) > 1
    figure = Figure(figsize=(7.2, 1.5 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(rows))
    _points(axes, places, [row.accuracies for row in rows], "o", "#0072b2", "this function")
    trained = [place for place in places if rows[place].baseline]
    below = [place + 0.22 for place in trained]
    _points(axes, below, [rows[place].baseline for place in trained], "s", "#888888", "standard, trained here")
    known = [(place, row.published[0]) for place, row in enumerate(rows) if row.published]
    axes.plot([mean for _, mean in known], [place for place, _ in known], "d", color="#d55e00", markersize=5, label="published")
    names = [f"{row.algorithm}{f' ({row.function})' if several else ''}{'  *' if row.wins else ''}" for row in rows]
    axes.set_yticks(places, names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("accuracy at length 64, %   (* above both others)")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _points(
    axes: Axes, places: Sequence[float], values: Sequence[Sequence[float]], marker: str, color: str, label: str
) -> None:
    means = [statistics.fmean(each) for each in values]
    spread = [statistics.stdev(each) if len(each) > 1 else 0.0 for each in values]
    axes.errorbar(means, places, xerr=spread, fmt=marker, color=color, markersize=5, capsize=2, label=label)
