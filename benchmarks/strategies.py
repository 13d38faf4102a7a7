"""Times what a strategy for spaces takes to ask for a design and to be told of it, after many were told.

    python benchmarks/strategies.py [--strategies random,tpe] [--space channels] [--told 10,1000,10000] [--json FILE]

The space is "channels", seven positions of four choices, 16,384 designs of which none are equal, or "nasbench201", six
positions of five choices, 15,625 designs, 5,044 of them different. A design's fitness is the sum of random numbers, one for
each choice, and a tenth fail. A search is played without a loop, a language model or a storage up to each count; then each of
the next asks is timed together with its tell. A strategy that takes longer than `--seconds` to get to a count is not timed
there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from nasmith import registry
from nasmith.matching import asks_lm, fitting
from nasmith.protocols import SpaceStrategy
from nasmith.seeding import generator
from nasmith.space import Space
from nasmith.tasks.tabular.spaces import channel_resnet, nasbench201
from nasmith.types import Candidate, Evaluation, Objective, Status, Suggestion

SPACES = {"channels": channel_resnet(), "nasbench201": nasbench201(10, 32)}
OBJECTIVES = (Objective("accuracy", "maximize"), Objective("params", "minimize"))
_TIMED = 200


def measured(space: Space, text: str) -> Evaluation:
    """Measure a design."""
    design = space.read(text)
    if generator(0, "fails", text).random() < 0.1:
        return Evaluation(0, Status.INVALID)
    accuracy = sum(generator(0, place, index).random() for place, index in enumerate(design))
    return Evaluation(0, Status.OK, {"accuracy": accuracy, "params": float(sum(design)), "fitness": accuracy})


class Play:
    """A search without a loop."""

    def __init__(self, name: str, space: Space, evaluations: int) -> None:
        self.space = space
        self.strategy: SpaceStrategy = registry.create("strategies", name, {"evaluations": evaluations})
        self.strategy.enter(space, OBJECTIVES)
        self.strategy.begin(0, (1.0,), {"none": 1.0})
        self.told = 0

    def step(self) -> float:
        """Ask once and tell once; return the seconds that both took."""
        began = time.perf_counter()
        wish = self.strategy.ask()
        asked = time.perf_counter() - began
        if not isinstance(wish, Suggestion):
            raise SystemExit(f"{type(self.strategy).__name__} asked for {wish} after {self.told} designs")
        (text,) = wish.texts
        candidate = Candidate(self.told + 1, text, wish.parents, wish.operator, step=self.told, round=wish.round)
        evaluation = measured(self.space, text)
        evaluation = Evaluation(candidate.id, evaluation.status, evaluation.metrics)
        began = time.perf_counter()
        self.strategy.tell(candidate, evaluation)
        self.told += 1
        return asked + time.perf_counter() - began


def times(name: str, space: Space, counts: list[int], seconds: float) -> dict[str, dict[str, float]]:
    """Return median, 90th percentile and mean of a step in microseconds, by how many were told before."""
    play, found, began = Play(name, space, max(counts) + _TIMED), {}, time.perf_counter()
    for count in sorted(counts):
        while play.told < count:
            play.step()
            if time.perf_counter() - began > seconds:
                return found
        taken = [1e6 * play.step() for _ in range(min(_TIMED, max(20, count)))]
        found[str(count)] = {
            "median_us": round(statistics.median(taken), 1),
            "p90_us": round(statistics.quantiles(taken, n=10)[-1], 1),
            "mean_us": round(statistics.fmean(taken), 1),
        }
    return found


def table(record: Mapping[str, Mapping[str, Mapping[str, float]]], counts: list[int]) -> str:
    lines = [
        "| strategy | " + " | ".join(f"{count:,} told, µs" for count in counts) + " |",
        "|---" * (len(counts) + 1) + "|",
    ]
    for name, found in record.items():
        cells = [found.get(str(count)) for count in counts]
        texts = ["-" if cell is None else f"{cell['median_us']:g} (p90 {cell['p90_us']:g})" for cell in cells]
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default="", help="names with commas between; all that suit spaces by default")
    parser.add_argument("--told", default="10,1000,10000")
    parser.add_argument("--space", choices=list(SPACES), default="channels")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each strategy")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    counts = sorted(map(int, options.told.split(",")))
    chosen = (
        options.strategies.split(",")
        if options.strategies
        else [n for n in fitting("spaces") if not asks_lm(registry.load("strategies", n), "spaces")]
    )
    record = {name: times(name, SPACES[options.space], counts, options.seconds) for name in chosen}
    print(table(record, counts))
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
