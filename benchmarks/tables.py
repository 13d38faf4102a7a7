"""Search quality on the six public tables, beside the published numbers, and what a table costs to use.

    python benchmarks/tables.py                      # the main table: 10, 30 and 100 evaluations, 200 seeds
    python benchmarks/tables.py --part check         # random search's best of 10 beside the published mean, 1,000 seeds
    python benchmarks/tables.py --part ablations     # parts of the strategy `nasmith` left out or changed, 40 seeds
    python benchmarks/tables.py --part disguised     # `nasmith` on the renamed spaces, a new disguise for each seed
    python benchmarks/tables.py --part held-out      # shown one training of each design, judged by its two others, 30 seeds
    python benchmarks/tables.py --part start         # queries a second, time and memory to open, against the plain JSON

`--data DIR` names the folder with the tables, `--seeds`, `--evaluations` and `--tasks` do less or more. Runs are kept in
`--storage`: the same command goes on where it was stopped. Accuracies are test accuracies of the design with the best accuracy
that the search was shown, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nasmith
from nasmith import registry
from nasmith.strategies.nasmith import Nasmith
from nasmith.tasks.tabular.tables import fetched
from nasmith.types import Candidate, Evaluation, Status

TASKS = (
    "nasbench-macro", "channelbench-resnet", "channelbench-mobilenet",
    "nasbench201-cifar10", "nasbench201-cifar100", "nasbench201-imagenet16",
)  # fmt: skip
CONTROLS = ("random", "regularized-evolution", "local-search", "tpe")
RANDOM_BEST_OF_10 = dict(zip(TASKS, (92.43, 93.52, 91.38, 93.03, 69.74, 43.30), strict=True))
"""Means of 10,000 repeats, published with the tables."""

GPT4_RANKS: Mapping[str, tuple[int, ...]] = {
    "nasbench-macro": (8, 27, 61), "channelbench-resnet": (33, 8, 37), "channelbench-mobilenet": (16, 16, 16),
}  # fmt: skip
GPT4_ACCURACY = {
    "nasbench201-cifar10": (93.79, 0.09), "nasbench201-cifar100": (70.91, 0.72), "nasbench201-imagenet16": (44.96, 1.02),
}  # fmt: skip
"""GENIUS with GPT-4 and 10 designs (Zheng et al. 2023): ranks of three trials, or the test accuracy of five."""

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "nasmith": {},
    "no surrogate: largest first": {"surrogate": False},
    "no belief": {"capacity": 0.0, "activations": 0.0, "shortcut": 0.0},
    "no belief in shortcuts": {"shortcut": 0.0},
    "no belief in FLOPs": {"capacity": 0.0},
    "no belief in activations": {"activations": 0.0},
    "half the belief in both": {"capacity": 0.5, "activations": 0.5},
    "twice the belief in both": {"capacity": 2.0, "activations": 2.0},
    "a fifth of the noise": {"noise": 0.1},
    "every candidate": {"keep": 1.0},
    "neighbours alone": {"radius": 1},
    "three changes": {"radius": 3},
    "one incumbent": {"incumbents": 1},
    "no explorers": {"explorers": 0},
    "recommends the blend": {"recommend": "blend"},
    "recommends the prediction": {"recommend": "predicted"},
}

START = """
import json, sys, time
import numpy, psutil
import nasmith.tasks.tabular, nasmith.registry
task = nasmith.registry.create("tasks", sys.argv[2], {"folder": sys.argv[4] or None})
before, began = psutil.Process().memory_info().rss, time.perf_counter()
if sys.argv[1] == "json":
    table = json.load(open(sys.argv[3]))
else:
    task.check()
print(json.dumps({"seconds": time.perf_counter() - began, "bytes": psutil.Process().memory_info().rss - before}))
"""


def task_of(name: str, options: argparse.Namespace, **more: Any) -> Any:
    return registry.create("tasks", name, {"folder": options.data, **more})


def compared(name: str, strategies: Any, options: argparse.Namespace, **more: Any) -> nasmith.Comparison:
    """Compare strategies on a table, with a line of progress on the terminal."""
    began = time.monotonic()
    found = nasmith.compare(
        task_of(name, options, **more), strategies, options.seeds, options.evaluations, storage=options.storage
    )
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return found


def published(name: str, task: Any) -> str:
    """Return what GPT-4 reached: the mean of its trials."""
    if name in GPT4_ACCURACY:
        mean, spread = GPT4_ACCURACY[name]
        return f"{mean:.2f} ± {spread:.2f}"
    accuracies = []
    for rank in GPT4_RANKS[name]:
        accuracies.append(sorted((task.reveal(text)["test_accuracy"] for text in every(task)), reverse=True)[rank - 1])
    return f"{statistics.fmean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f}"


def every(task: Any) -> Iterator[str]:
    return (task.space.write(design) for design in task.space.designs())


def main_table(options: argparse.Namespace) -> None:
    rows: list[list[str]] = []
    points: tuple[int, ...] = ()
    for name in options.tasks:
        task = task_of(name, options)
        strategies = {"nasmith": "nasmith", "largest first": Nasmith(surrogate=False), **{each: each for each in CONTROLS}}
        found = compared(name, strategies, options)
        points = found.checkpoints
        rows.append([f"**{name}**", *[""] * len(points), ""])
        rows.append(["optimum", *[f"{task.optimum:.3f}"] * len(points), ""])
        if 10 in points:
            rows.append(["GPT-4 (GENIUS)", *[published(name, task) if point == 10 else "" for point in points], ""])
        for standing in found.standings:
            cells = [f"{point.mean:.3f} ± {point.sd:.3f}" for point in standing.points]
            test = standing.test
            rows.append([standing.strategy, *cells, "" if test is None else f"{test.holm:.1g}, {test.effect:+.2f}"])
    show(["", *[f"{point} evaluations" for point in points], "p, effect"], rows)


def check(options: argparse.Namespace) -> None:
    """Whether the harness gives what is known: the mean of 10,000 repeats, published to two decimals."""
    rows = []
    for name in options.tasks:
        ten = argparse.Namespace(**{**vars(options), "evaluations": 10})
        (point,) = compared(name, ["random"], ten).standings[0].points
        away = (point.mean - RANDOM_BEST_OF_10[name]) / point.standard_error
        rows.append([name, f"{RANDOM_BEST_OF_10[name]:.2f}", f"{point.mean:.3f} ± {point.standard_error:.3f}", f"{away:+.1f}"])
    show(["task", "published", "mean ± standard error", "standard errors away"], rows)


def ablations(options: argparse.Namespace) -> None:
    strategies = {label: Nasmith(**changed) for label, changed in VARIANTS.items()}
    cells: dict[str, list[str]] = {label: [] for label in strategies}
    for name in options.tasks:
        for standing in compared(name, strategies, options).standings:
            cells[standing.strategy].append(" / ".join(f"{point.mean:.3f}" for point in standing.points))
    show(["", *options.tasks], [[label, *row] for label, row in cells.items()])


def disguised(options: argparse.Namespace) -> None:
    """One seed of each of many disguises: `compare` uses one disguise for all seeds, so it is called for each."""
    rows = []
    for name in options.tasks:
        plain = compared(name, ["nasmith"], options).standings[0].points
        curves = []
        for seed in range(options.seeds):
            one = argparse.Namespace(**{**vars(options), "seeds": 1})
            curves.append([point.mean for point in compared(name, ["nasmith"], one, disguise=seed).standings[0].points])
        for place, point in enumerate(plain):
            values = [curve[place] for curve in curves]
            hidden = f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"
            rows.append([name, str(point.evaluations), f"{point.mean:.3f} ± {point.sd:.3f}", hidden])
    show(["task", "evaluations", "plain", "disguised"], rows)


def held_out(options: argparse.Namespace) -> None:
    """How much of what is found is luck: the three tables with three trainings of each design."""
    strategies = {"nasmith": ("nasmith", {}), "largest first": ("nasmith", {"surrogate": False}), "random": ("random", {})}
    rows = []
    for name in options.tasks:
        task = task_of(name, options)
        entries = json.loads(fetched(task.bench.file, options.data).read_text())
        trainings = {key: entry.get("test_acc") or entry.get("acc") for key, entry in entries.items()}
        if not all(trainings.values()):
            continue
        for label, (kind, changed) in strategies.items():
            values: dict[int, list[float]] = {10: [], options.evaluations: []}
            for seed in range(options.seeds):
                strategy = registry.create("strategies", kind, {"evaluations": options.evaluations, **changed})
                best = list(incumbents(strategy, task, {key: each[seed % 3] for key, each in trainings.items()}, seed))
                for point, found in values.items():
                    others = [value for place, value in enumerate(trainings[best[point - 1]]) if place != seed % 3]
                    found.append(statistics.fmean(others))
            rows.append([name, label, *(f"{statistics.fmean(v):.3f} ± {statistics.stdev(v):.3f}" for v in values.values())])
    show(["task", "strategy", "10 evaluations", f"{options.evaluations} evaluations"], rows)


def incumbents(strategy: Any, task: Any, shown: Mapping[str, float], seed: int) -> Iterator[str]:
    """Play a strategy without a loop; yield the best design so far after each."""
    strategy.enter(task.space, task.objectives)
    strategy.begin(seed, (1.0,), {"none": 1.0})
    best, number = "", 0
    while (wish := strategy.ask()) is not None:
        (text,) = wish.texts
        best = max(best or text, text, key=lambda each: shown[each])
        number += 1
        candidate = Candidate(number, text, step=number - 1)
        strategy.tell(candidate, Evaluation(number, Status.OK, {"fitness": shown[text]}))
        yield best


def start(options: argparse.Namespace) -> None:
    rows = []
    for name in options.tasks:
        task = task_of(name, options)
        task.check()  # from now on the arrays are cached
        path = fetched(task.bench.file, options.data)
        words = [name, str(path), options.data or ""]
        found = {how: best_of(5, [sys.executable, "-c", START, how, *words]) for how in ("json", "arrays")}
        texts = list(every(task))[::7]
        began = time.perf_counter()
        for text in texts:
            task.reveal(text)
        looked_up = len(texts) / (time.perf_counter() - began)
        row = [name]
        for unit, scale in (("seconds", 1e3), ("bytes", 1e-6)):
            row += [f"{found[how][unit] * scale:.1f}" for how in ("json", "arrays")]
        rows.append([*row, f"{looked_up:,.0f}"])
    show(["task", "plain JSON, ms", "nasmith, ms", "plain JSON, MB", "nasmith, MB", "queries a second"], rows)


def best_of(times: int, command: list[str]) -> dict[str, float]:
    """Run a command that prints JSON some times; return the smallest of each number."""
    found = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(times)]
    return {key: min(each[key] for each in found) for key in found[0]}


def show(head: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


PARTS = {
    "main": (main_table, 200), "check": (check, 1000), "ablations": (ablations, 40), "disguised": (disguised, 20),
    "held-out": (held_out, 30), "start": (start, 1),
}  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, default="main")
    parser.add_argument("--data", help="folder with the tables")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--storage", type=Path, default=Path("benchmark-runs/tables.sqlite3"))
    given = parser.parse_args()
    run, seeds = PARTS[given.part]
    given.seeds = given.seeds or seeds
    run(given)
