"""Searches for a smaller and a more accurate model than a user's own: digits of 8 x 8 pixels, from a CNN of 100,000 parameters.

    python benchmarks/digits.py [--minutes 30 | --children 200] [--seeds 0,1,2] [--arms nasmith,no-tuning,infill,random]
                                [--storage FILE] [--json FILE]

The task folder is `examples/digits`. Every arm has the embedded language model, two workers, and the same minutes for its
search or the same number of children, which no other load of the machine changes; verification comes after it:

    nasmith     EvoPrompting as it comes: crossover and infill, tuned between rounds
    no-tuning   the same without tuning
    infill      the same with infill alone, without tuning
    random      children of programs that nothing selected

Then the best children by validation data, the Pareto front and the seeds are trained again with three new random seeds, and
these questions are put to what was verified: how small is the smallest model that is at least as accurate as the CNN on
validation data; and how accurate is the most accurate one that is at most as large? Their test errors are printed beside them:
the test data has no say in the choice. Runs are kept in the storage, and one that is finished is not made again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nasmith
from nasmith import analysis
from nasmith.api import open_storage
from nasmith.executors.processes import Processes
from nasmith.lms.smollm2 import SmolLM2
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.strategies.random_search import RandomSearch
from nasmith.tasks.folder import Folder

FOLDER = Path(__file__).parents[1] / "examples" / "digits"
SHAPE: Mapping[str, Any] = {"rounds": 100, "prompts": 4, "samples": 8, "error_threshold": 1.0}
ARMS = {
    "nasmith": lambda: EvoPrompting(**SHAPE),
    "no-tuning": lambda: EvoPrompting(**SHAPE, tuning=False),
    "infill": lambda: EvoPrompting(**SHAPE, tuning=False, operators="infill"),
    "random": lambda: RandomSearch(evaluations=100_000, batch=8),
}


def run(arm: str, seed: int, budget: nasmith.Budget, storage: str) -> nasmith.Result:
    """Make a run, or go on with it."""
    name = f"digits-{arm}-{seed}"
    known = {stored.name: stored for stored in open_storage(storage).runs()} if Path(storage).exists() else {}
    task = Folder(str(FOLDER))
    if name in known and known[name].finished:
        return nasmith.Result(known[name], open_storage(storage), task)
    if name in known:
        return nasmith.resume(name, storage)
    return nasmith.search(
        task,
        SmolLM2(),
        ARMS[arm](),
        Processes(workers=2, timeout_seconds=120),
        storage,
        name=name,
        seed=seed,
        budget=budget,
        verify=nasmith.Verification(best=3, front=5, seeds=3),
    )


def answers(result: nasmith.Result) -> dict[str, Any]:
    """Put the two questions to a run's verified models."""
    records = analysis.read(result.storage, result.run.name)
    verified = [item for item in analysis.verified(records, result.task) if item.evaluations]
    (own,) = [item.metrics for item in verified if item.candidate.label == "cnn"]
    children = [item.metrics for item in verified if item.candidate.operator != "seed"]
    as_accurate = [m for m in children if m["val_error"] <= own["val_error"] and m["params"] < own["params"]]
    as_small = [m for m in children if m["params"] <= own["params"] and m["val_error"] < own["val_error"]]
    return {
        "own": own,
        "smallest": min(as_accurate, key=lambda m: m["params"], default=None),
        "most accurate": min(as_small, key=lambda m: m["val_error"], default=None),
        "children": sum(candidate.step >= 0 for candidate in records.candidates.values()),
        "trained": len([item for item in analysis.scored(records) if item.candidate.step >= 0]),
    }


def row(arm: str, seed: int, found: Mapping[str, Any]) -> str:
    """Write one run as a row."""

    def shown(metrics: Mapping[str, float] | None) -> str:
        if metrics is None:
            return "none | -"
        return f"{metrics['params']:,.0f} | {100 * metrics['val_error']:.2f}% / {100 * metrics['test_error']:.2f}%"

    cells = [shown(found[key]) for key in ("own", "smallest", "most accurate")]
    return f"| {arm} | {seed} | {found['children']} | {found['trained']} | {' | '.join(cells)} |"


def main() -> None:
    """Make the runs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--children", type=int)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--storage", default="nasmith-runs/digits.sqlite3")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    minutes = options.minutes or (None if options.children else 30.0)
    budget = nasmith.Budget(minutes=minutes, evaluations=options.children)
    table = []
    columns = ("arm", "seed", "children", "trained", "own size", "error val / test", "smallest as accurate", "error")
    print(f"| {' | '.join((*columns, 'most accurate as small', 'error'))} |\n{'|---' * 10}|")
    for seed in map(int, options.seeds.split(",")):
        for arm in options.arms.split(","):
            found = answers(run(arm, seed, budget, options.storage))
            table.append({"arm": arm, "seed": seed, **found})
            print(row(arm, seed, found), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"minutes": minutes, "children": options.children, "runs": table}, indent=2))


if __name__ == "__main__":
    main()
