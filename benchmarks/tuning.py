"""What tuning between rounds does to the language model's children: a soft prompt against LoRA against none.

    python benchmarks/tuning.py                      # three arms, three seeds; resumable: finished runs are kept
    python benchmarks/tuning.py --table              # only print what the storage holds

The embedded language model on MNIST-1D, with its own operators. For each arm and round, means over the seeds: the share of
children that are valid and new (status OK), and the loss (nats per token on the round's lessons) before and after the tuning
that follows it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

from quality import carry_out

import nasmith
from nasmith import analysis
from nasmith.api import open_storage
from nasmith.config import resolve
from nasmith.types import Status

ARMS = {
    "soft prompt": ("lm.adapter=soft-prompt", "strategy.tuning=true"),
    "lora": ("lm.adapter=lora", "strategy.tuning=true"),
    "none": ("strategy.tuning=false",),
}


def run_name(arm: str, seed: int) -> str:
    return f"{arm.replace(' ', '-')}-{seed}"


def run_arm(storage: Path, arm: str, settings: list[str], seed: int) -> None:
    config = resolve(task="mnist1d", lm="smollm2", seed=seed, settings=[*settings, *ARMS[arm]])
    carry_out(storage, run_name(arm, seed), config, nasmith.Verification(best=0, front=0, baselines=False))


def rounds_of(storage: Path, arm: str, seed: int) -> list[tuple[float, float, float]]:
    """Return, for each round, the share of valid new children and the losses around its tuning (NaN where there was none)."""
    opened = open_storage(storage, read_only=True)
    records = analysis.read(opened, run_name(arm, seed))
    opened.close()
    ok = {e.candidate for e in records.evaluations if e.purpose == "search" and e.status is Status.OK}
    tunings = {tuning.round: tuning for tuning in records.tunings.values()}
    rows = []
    for number in sorted({candidate.round for candidate in records.candidates.values() if candidate.step >= 0}):
        children = [c.id for c in records.candidates.values() if c.step >= 0 and c.round == number]
        losses = tunings[number].losses if number in tunings else ()
        before, after = (losses[0], losses[-1]) if losses else (float("nan"), float("nan"))
        rows.append((sum(child in ok for child in children) / len(children), before, after))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", type=Path, default=Path("nasmith-runs/tuning.sqlite3"))
    parser.add_argument("--table", action="store_true", help="print what is there; run nothing")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    for name, value in {"rounds": 3, "prompts": 4, "samples": 8, "steps": 150}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    settings = [f"{name}={getattr(options, name)}" for name in ("rounds", "prompts", "samples", "steps")]
    # So short a training leaves few below the usual threshold of 0.5, and so few children leave no rest to learn from.
    settings += ["survivors=5", "error_threshold=0.8", "tune_on=all"]
    for seed in options.seeds if not options.table else ():
        for arm in ARMS:
            run_arm(options.storage, arm, settings, seed)
            print(run_name(arm, seed), rounds_of(options.storage, arm, seed), flush=True)
    print("\n| arm | round | valid and new | loss before | after | each seed's valid and new |")
    print("|---|---:|---:|---:|---:|---|")
    for arm in ARMS:
        seeds = [rounds_of(options.storage, arm, seed) for seed in options.seeds]
        for number, rows in enumerate(zip(*seeds, strict=True), start=1):
            shares = " / ".join(f"{share:.0%}" for share, _, _ in rows)
            valid, before, after = (mean(values) for values in zip(*rows, strict=True))
            print(f"| {arm} | {number} | {valid:.0%} | {before:.3f} | {after:.3f} | {shares} |")


if __name__ == "__main__":
    main()
