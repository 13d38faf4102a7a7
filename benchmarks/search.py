"""What a search costs beside its language model and its trainings.

    python benchmarks/search.py start       # seconds from the command to the first prompt, with warm caches
    python benchmarks/search.py busy        # share of the processors in use once children exist, two rounds with a tuning
    python benchmarks/search.py overhead    # ms per candidate of the loop, the storage and the worker processes

`start` trains the seeds for 20 steps, so that it is the start which is measured. `busy` counts the processor time of this
process and of the workers, ended ones included. `overhead` runs the toy task and the toy language model, which cost nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import nasmith
from nasmith.events import Event, Finished, Proposed, Verifying
from nasmith.executors.processes import Processes
from nasmith.strategies.evoprompting import EvoPrompting

NO_VERIFICATION = nasmith.Verification(best=0)


def start(repeats: int) -> None:
    times = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            command = [Path(sys.executable).with_name("nasmith"), "search", "mnist1d", "--steps", "20", "--rounds", "1"]
            command += ["--prompts", "1", "--samples", "2", "--set", "verify.best=0"]
            begin = time.perf_counter()
            with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                times += [time.perf_counter() - begin for line in process.stdout or () if "writing" in line]
    print(f"first prompt after {statistics.median(times):.1f} s (median of {repeats})")


def used() -> float:
    """Processor seconds of this process, of the workers, and of their ended children."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system
        if process.pid != os.getpid():
            total += times.children_user + times.children_system
    return total


def busy(steps: int) -> None:
    from nasmith.lms.smollm2 import SmolLM2
    from nasmith.tasks.mnist1d import Mnist1d

    marks: dict[str, tuple[float, float]] = {}

    def observe(event: Event) -> None:
        if isinstance(event, Proposed) and event.candidate.step >= 0:
            marks.setdefault("begin", (time.perf_counter(), used()))
        if isinstance(event, Verifying | Finished):
            marks.setdefault("end", (time.perf_counter(), used()))

    with tempfile.TemporaryDirectory() as folder:
        nasmith.search(
            Mnist1d(steps=steps), SmolLM2(), EvoPrompting(rounds=2, prompts=6, samples=8, survivors=4), Processes(),
            Path(folder) / "runs.sqlite3", verify=NO_VERIFICATION, observers=[observe],
        )  # fmt: skip
    wall = marks["end"][0] - marks["begin"][0]
    share = (marks["end"][1] - marks["begin"][1]) / wall / len(os.sched_getaffinity(0))
    print(f"{share:.0%} of {len(os.sched_getaffinity(0))} processors in use over {wall:.0f} s")


def overhead() -> None:
    from nasmith.testing import ToyLM, ToyTask

    with tempfile.TemporaryDirectory() as folder:
        marks = []
        begin = time.perf_counter()
        result = nasmith.search(
            ToyTask(), ToyLM(broken=0.0), EvoPrompting(rounds=4, prompts=10, samples=16), Processes(workers=1),
            Path(folder) / "runs.sqlite3", verify=NO_VERIFICATION,
            observers=[lambda event: marks.append(time.perf_counter()) if isinstance(event, Proposed) else None],
        )  # fmt: skip
        wall, children = time.perf_counter() - marks[2], len(result.candidates) - 2
        trained = sum(e.status == "ok" for e in result.evaluations) - 2
    print(
        f"{1e3 * wall / children:.1f} ms per candidate, {1e3 * wall / trained:.1f} ms per trained one ({children}, {trained})"
    )
    print(f"(start: {marks[2] - begin:.1f} s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["start", "busy", "overhead", "all"], default="all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.part in ("start", "all"):
        start(arguments.repeats)
    if arguments.part in ("busy", "all"):
        busy(arguments.steps)
    if arguments.part in ("overhead", "all"):
        overhead()


if __name__ == "__main__":
    main()
