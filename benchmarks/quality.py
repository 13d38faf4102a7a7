"""Search quality on MNIST-1D: the full method beside its controls, at equal numbers of children and training steps.

    python benchmarks/quality.py                     # five arms, two seeds; resumable: finished runs are kept
    python benchmarks/quality.py --table             # only print what the storage holds

An arm is a configuration of the search; everything else is equal. Printed for each arm: children that are new programs and
train, best fitness, hypervolume of the front (log10 of the parameters against validation error, reference: 200,000 parameters
and an error of 0.9), and the test error of the best child over its verification seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean

import nasmith
from nasmith import analysis
from nasmith.api import open_storage
from nasmith.config import RunConfig, resolve
from nasmith.population import top
from nasmith.registry import PARTS, create
from nasmith.types import Status

REFERENCE = (200_000, 0.9)


def arms(rounds: int, prompts: int, samples: int) -> dict[str, dict[str, object]]:
    shape = {"rounds": rounds, "prompts": prompts, "samples": samples, "survivors": 5}
    return {
        "evoprompting": {"strategy": "evoprompting", **shape},
        "no tuning": {"strategy": "evoprompting", **shape, "tuning": False},
        "random parents": {"strategy": "evoprompting", **shape, "random_parents": True},
        "few-shot": {"strategy": "few-shot", "prompts": prompts, "samples": rounds * samples},
        "infill only": {"strategy": "evoprompting", **shape, "operators": {"infill": 1.0}},
    }


def carry_out(storage: Path, name: str, config: RunConfig, verification: nasmith.Verification) -> None:
    """Run a configuration under a name, or go on with it; a finished run is left alone."""
    opened = open_storage(storage)
    known = {run.name: run for run in opened.runs()}
    opened.close()
    if name in known and known[name].finished:
        return
    if name in known:
        nasmith.resume(name, storage)
        return
    parts = {part: create(kind, config.component(part).name, config.component(part).options) for part, kind in PARTS.items()}
    nasmith.search(**parts, storage=storage, name=name, seed=config.seed, choice=config.choice, verify=verification)


def run_arm(storage: Path, name: str, options: dict[str, object], seed: int, steps: int) -> None:
    options = dict(options)
    strategy = str(options.pop("strategy"))
    flags = {"task.steps": steps, **{f"strategy.{key}": value for key, value in options.items()}}
    config = resolve(task="mnist1d", strategy=strategy, seed=seed, flags=flags)
    carry_out(storage, name, config, nasmith.Verification(best=1, front=0, seeds=3, baselines=False))


def row(storage: Path, name: str) -> dict[str, float]:
    opened = open_storage(storage, read_only=True)
    records = analysis.read(opened, name)
    task = create("tasks", "mnist1d", records.run.config["task"]["options"])
    children = [item for item in analysis.scored(records) if item.candidate.step >= 0]
    total = sum(candidate.step >= 0 for candidate in records.candidates.values())
    verified = [e for e in records.evaluations if e.purpose == "verify" and e.status is Status.OK]
    best = top(children, 1)
    seeds = [item for item in analysis.scored(records) if item.candidate.step < 0]
    return {
        "children": total,
        "new and trained": len(children) / total,
        "best fitness": best[0].fitness if best else float("nan"),
        "best seed fitness": max(item.fitness for item in seeds),
        "params": best[0].evaluation.metrics["params"] if best else float("nan"),
        "hypervolume": analysis.hypervolume(children, task.objectives, REFERENCE),
        "test error": mean(e.metrics["test_error"] for e in verified) if verified else float("nan"),
        "sampled tokens": sum(c.tokens_out for c in records.completions.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", type=Path, default=Path("nasmith-runs/quality.sqlite3"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=5)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print what is there; run nothing")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    table: dict[str, list[dict[str, float]]] = {}
    for seed in range(arguments.seeds):
        for arm, options in arms(arguments.rounds, arguments.prompts, arguments.samples).items():
            name = f"{arm.replace(' ', '-')}-{seed}"
            if not arguments.table:
                run_arm(arguments.storage, name, options, seed, arguments.steps)
            elif name not in {run.name for run in open_storage(arguments.storage, read_only=True).runs() if run.finished}:
                continue
            table.setdefault(arm, []).append(row(arguments.storage, name))
            print(name, json.dumps(table[arm][-1]), flush=True)
    print("\n| arm | children | new and trained | best fitness | its parameters | hypervolume | test error |")
    print("|---|---|---|---|---|---|---|")
    for arm, rows in table.items():
        cells = [
            " / ".join(f"{entry[key]:{form}}" for entry in rows)
            for key, form in {
                "children": ".0f", "new and trained": ".0%", "best fitness": ".1f", "params": ".0f", "hypervolume": ".3f",
                "test error": ".3f",
            }.items()
        ]  # fmt: skip
        print(f"| {arm} | " + " | ".join(cells) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
