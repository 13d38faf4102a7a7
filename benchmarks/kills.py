"""Kills a real search at random moments, resumes it each time, and compares it with one left alone.

    python benchmarks/kills.py --kills 10

The embedded language model, real trainings and tunings, two processors. Exit code 1 where anything differs but times.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from nasmith.api import open_storage

SEARCH = ["search", "mnist1d", "--name", "run", "--rounds", "2", "--prompts", "3", "--samples", "4", "--steps", "100"]
SETTINGS = ["survivors=1", "tuning_epochs=2", "error_threshold=0.8", "verify.best=1", "verify.front=0", "verify.seeds=2"]


def nasmith(storage: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from nasmith.cli import main; main()", *words, "--storage", str(storage)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def begin(storage: Path) -> subprocess.Popen[bytes]:
    return nasmith(storage, *SEARCH, *(word for setting in SETTINGS for word in ("--set", setting)))


def records(storage: Path) -> list[object]:
    opened = open_storage(storage, read_only=True)
    evaluations = [
        replace(e, seconds=0.0, metrics={name: value for name, value in e.metrics.items() if name != "train_seconds"})
        for e in opened.evaluations("run")
    ]
    return [
        opened.candidates("run"),
        sorted(evaluations, key=lambda e: (e.purpose, e.candidate, e.seed)),
        {key: replace(completion, seconds=0.0) for key, completion in opened.completions("run").items()},
        {step: replace(tuning, seconds=0.0) for step, tuning in opened.tunings("run").items()},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder) / "alone.sqlite3", Path(folder) / "killed" / "runs.sqlite3"
        if begin(alone).wait() != 0:
            sys.exit("the undisturbed run failed")
        process, kills = begin(killed), 0
        while kills < arguments.kills:
            patience = dice.uniform(8, 45)  # a start takes about 6 seconds, a run without kills two minutes
            try:
                process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            opened = open_storage(killed)
            known = opened.runs()
            done = (
                f"{len(opened.completions('run'))} replies, {len(opened.evaluations('run'))} evaluations"
                if known
                else "nothing"
            )
            opened.close()
            print(f"killed after {patience:.1f} s with {done} stored", flush=True)
            process = nasmith(killed, "resume", "run") if known else begin(killed)
        code = process.wait()
        names = ("candidates", "evaluations", "replies", "tunings")
        differ = [name for name, a, b in zip(names, records(alone), records(killed), strict=True) if a != b]
        print(f"{kills} kills, exit code {code}; different: {', '.join(differ) or 'nothing'}")
        sys.exit(1 if differ or code else 0)


if __name__ == "__main__":
    main()
