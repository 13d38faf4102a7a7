"""Measures what rungs save: how well a rung predicts the end of a training, and what it takes to find the best.

    python benchmarks/fidelity.py [--children 40] [--seeds 0,1,2] [--steps 600] [--json FILE]

The task is `examples/digits`. A random search with the embedded language model makes `--children` children by infill. Each of
them that trains is then trained from rung to rung, to the end, so that its fitness at every rung is known: the Spearman rank
correlation of each rung with the end, over the children.

Then they are sent in their order through the rule of `nasmith.halving`: which are given up, whether the best of all is among
them, and the steps that were trained until the best was trained whole, as a share of those that training all of them whole
takes until then. Steps stand for time: they are what a training consists of, and no noise of the machine is in them. The
seconds of all trainings are compared likewise.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from shutil import copytree

import nasmith
from nasmith.executors.processes import Processes
from nasmith.halving import Ladder
from nasmith.lms.smollm2 import SmolLM2
from nasmith.seeding import derive
from nasmith.strategies.random_search import RandomSearch
from nasmith.tasks.folder import Folder
from nasmith.types import Candidate, Job, Status

FOLDER = Path(__file__).parents[1] / "examples" / "digits"


def found_children(task: Folder, place: Path, seed: int, children: int) -> list[Candidate]:
    """Make children, and return those that train, in their order."""
    result = nasmith.search(
        task,
        SmolLM2(),
        RandomSearch(evaluations=children, batch=children, operators="infill"),
        Processes(workers=2, timeout_seconds=120),
        place / "runs.sqlite3",
        seed=seed,
        verify=nasmith.Verification(best=0),
    )
    good = {e.candidate for e in result.evaluations if e.status is Status.OK and "fitness" in e.metrics}
    return [result.candidates[number] for number in sorted(good) if result.candidates[number].step >= 0]


def climbed(task: Folder, executor: Processes, child: Candidate, seed: int) -> tuple[list[float], list[float]]:
    """Train a child from rung to rung; return its fitness at each, and the seconds until each."""
    values, seconds, checkpoint = [], [], {}
    for rung in range(len(task.rungs)):
        job = Job(child.id, child.text, derive(seed, "train", child.id), rung=rung, state=checkpoint)
        outcome = executor.submit(job).result()
        if outcome.status is not Status.OK:
            break
        checkpoint = {
            name.removeprefix("checkpoint/"): a for name, a in outcome.arrays.items() if name.startswith("checkpoint/")
        }
        values.append(task.fitness(task.provisional(outcome)))
        seconds.append(outcome.seconds + (seconds[-1] if seconds else 0.0))
    return values, seconds


def measured(seed: int, children: int, steps: int) -> dict[str, object]:
    """Measure one seed."""
    from scipy.stats import spearmanr

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        copytree(FOLDER, place / "digits")
        settings = place / "digits" / "task.yaml"
        made = found_children(Folder(str(place / "digits"), steps=steps), place, seed, children)
        settings.write_text(settings.read_text() + "rungs: {count: 3, factor: 3}\n")
        task = Folder(str(place / "digits"), steps=steps)
        executor = Processes(workers=1, timeout_seconds=120)
        executor.start(task.workload(), task.data)
        known = {child.id: climbed(task, executor, child, seed) for child in made}
        executor.close()
        known = {number: pair for number, pair in known.items() if len(pair[0]) == len(task.rungs)}
        values = {number: pair[0] for number, pair in known.items()}
        ended = sent_through(values, task.rungs, place)
    order, last = sorted(values), len(task.rungs) - 1
    best = max(order, key=lambda number: values[number][last])
    until = order[: order.index(best) + 1]
    ends = [values[number][last] for number in order]
    return {
        "seed": seed,
        "children": len(order),
        "rungs": list(task.rungs),
        "rank correlation with the end": [
            round(float(spearmanr([values[number][rung] for number in order], ends).statistic), 3) for rung in range(last)
        ],
        "given up": sum(rung < last for rung in ended.values()),
        "the best was given up": ended[best] < last,
        "best of those trained whole / best": round(
            max(values[number][last] for number in order if ended[number] == last) / values[best][last], 3
        ),
        "steps until the best, share": round(sum(task.rungs[ended[n]] for n in until) / (task.rungs[last] * len(until)), 3),
        "seconds of all, share": round(sum(known[n][1][ended[n]] for n in order) / sum(known[n][1][last] for n in order), 3),
    }


def sent_through(values: dict[int, list[float]], rungs: tuple[int, ...], place: Path) -> dict[int, int]:
    """Send children through the rule in their order; return the rung at which each ended."""
    ladder, ended = Ladder(rungs, 0, lambda: place), {}
    for number in sorted(values):
        ladder.begin(number)
        rung = 0
        while rung + 1 < len(rungs):
            ladder.reached(number, rung, values[number][rung], {})
            if not ladder.goes_on(number, rung):
                break
            rung += 1
        ladder.over(number)
        ended[number] = rung
    return ended


def main() -> None:
    """Measure each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=40)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    for seed in map(int, options.seeds.split(",")):
        found.append(measured(seed, options.children, options.steps))
        print(json.dumps(found[-1], indent=2), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
