"""Counts how many repairs a language model needs for a design of the ImageNet mobile space within its range of FLOPs.

    python benchmarks/repairs.py [--lm smollm2 ...] [--chat FILE ...] [--designs 10] [--flops 270..330] [--seeds 3]

Each model has the conversation of GENIUS, with as many repairs as it wants (at most 20 for a design). Nothing is trained: the
accuracy that it is told is made up, a smooth function of the parameters of each stage, so that this says nothing of the worth
of designs. `--chat` counts what a recorded chat holds. A base model, such as the embedded one, goes on with a list of designs,
and is held to the grammar and the range.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nasmith import registry
from nasmith.api import search
from nasmith.chat_playing import play
from nasmith.storage.memory import Memory
from nasmith.tasks.imagenet import ImageNetMobile
from nasmith.tasks.imagenet.mobile_space import table
from nasmith.tasks.imagenet.ranges import FLOPS, Range
from nasmith.tasks.imagenet.recorded_chat import ChatTask, Record
from nasmith.types import Description, Outcome, Purpose, Status
from nasmith.verify import Verification

_HEADINGS = ("designs", "answers", "unreadable", "above", "below", "repeated")


class MadeUp(ChatTask):
    """The space with an accuracy that is made up."""

    name = "mobile-space-without-training"

    def __init__(self, flops: str) -> None:
        super().__init__(Record((), Range.parse(FLOPS, flops)))
        self.flops = flops

    def describe(self) -> Description:
        """What the task that trains says of itself."""
        return ImageNetMobile(flops=self.flops).describe()

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Return 70 to 76%: more where parameters lie in the middle stages."""
        design = outcome.arrays["design"].astype(int)
        stages = table().params[np.arange(30), design].reshape(5, 6).sum(axis=1) / 1e6
        accuracy = 70 + 6 * (1 - np.exp(-(stages * [8, 6, 4, 2, 0.5]).sum() / 6))
        return {"val_accuracy": float(accuracy), "flops": outcome.facts["flops"]}


def count(lm: str, flops: str, designs: int, seed: int) -> Counter[str]:
    """Search with a language model; return how its answers ended."""
    storage = Memory()
    strategy = registry.create("strategies", "genius", {"designs": designs, "repairs": 20})
    made = registry.create("lms", lm)
    result = search(MadeUp(flops), made, strategy, "inline", storage, seed=seed, verify=Verification(best=0))
    texts = {candidate.id: candidate.text for candidate in storage.candidates(result.run.name)}
    found: Counter[str] = Counter()
    for evaluation in storage.evaluations(result.run.name):
        found["answers"] += 1
        if evaluation.status is Status.OK:
            found["designs"] += 1
        elif evaluation.status is Status.DUPLICATE:
            found["repeated"] += 1
        elif not texts[evaluation.candidate]:
            found["unreadable"] += 1
        else:
            found["above" if " above " in evaluation.message else "below"] += 1
    return found


def of_chat(path: Path) -> Counter[str]:
    """Count how the answers of a record ended."""
    found = Counter({"in range": "designs"}.get(turn.decision, turn.decision) for turn in play(path).turns)
    found["answers"] = sum(found.values())
    return found


def row(name: str, found: Counter[str]) -> str:
    """Return a line of the table."""
    repairs = (found["answers"] - found["designs"]) / max(1, found["designs"])
    return f"| {name} | " + " | ".join(str(found[heading]) for heading in _HEADINGS) + f" | {repairs:.1f} |"


def main() -> None:
    """Read the command line and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm", nargs="*", default=["smollm2"])
    parser.add_argument("--chat", nargs="*", type=Path, default=[])
    parser.add_argument("--designs", type=int, default=10)
    parser.add_argument("--flops", default="270..330")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print("| language model | " + " | ".join(_HEADINGS) + " | repairs per design |")
    print("|---" * (len(_HEADINGS) + 2) + "|")
    for path in arguments.chat:
        print(row(path.name, of_chat(path)), flush=True)
    for lm in arguments.lm:
        total: Counter[str] = Counter()
        for seed in range(arguments.seeds):
            total += count(lm, arguments.flops, arguments.designs, seed)
        print(row(lm, total), flush=True)


if __name__ == "__main__":
    main()
