"""Measures what nasmith costs per candidate beside the language model and the training, at each level of the sandbox.

    python benchmarks/overhead.py

- Time from `submit` to the result of a job that does nothing, in workers with PyTorch and its optimisers warm, level by level
  (a level that this machine cannot hold is left out), against a fresh interpreter that imports the same.
- Such jobs per second with two workers, and with the second account that a search takes of every trained candidate.
- Memory: what the processes that stay hold by themselves, and what a candidate's process adds.
- A training of a seed of MNIST-1D in the strictest sandbox, as a ratio to the same training in a plain process, in turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait

import psutil

from nasmith.executors.launch import try_sandbox
from nasmith.executors.processes import Processes
from nasmith.executors.sandbox.policy import Level
from nasmith.protocols import Data
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Job, Status

_JOBS = 200
_FRESH = 5
_STEPS, _TURNS = 1000, 9
_WARM = """
import torch
weight = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.ones(1)
torch.optim.AdamW([weight], fused=True).step()
"""


class Nothing:
    """A workload that has PyTorch warm and then does nothing with it."""

    def warm(self) -> None:
        """Import what a training needs."""
        exec(_WARM, {})

    def screen(self, text: str) -> Mapping[str, float]:
        """Accept everything."""
        return {}

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train nothing."""
        if text == "sleep":
            time.sleep(1)
        return {}, {}

    def examine(self, text: str, state: Mapping[str, object], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Look at nothing."""
        return {}, {}


def milliseconds(action: Callable[[], object], times: int) -> list[float]:
    measured = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        measured.append(1000 * (time.perf_counter() - began))
    return measured


def summary(measured: list[float]) -> dict[str, float]:
    deciles = statistics.quantiles(measured, n=10)
    return {"median_ms": round(statistics.median(measured), 2), "p90_ms": round(deciles[-1], 2), "times": len(measured)}


def level(name: str) -> dict[str, object]:
    """Measure one level."""
    processes = Processes(workers=1, sandbox=name)
    began = time.perf_counter()
    processes.start(Nothing())

    def job() -> None:
        outcome = processes.submit(Job(1, "", 0)).result()
        if outcome.status is not Status.OK:
            raise SystemExit(outcome.message)

    job()
    warm = time.perf_counter() - began
    found = {**summary(milliseconds(job, _JOBS)), "start_to_first_result_s": round(warm, 2), "layers": processes.layers}
    found |= memory(processes)
    processes.close()
    return found


def memory(processes: Processes) -> dict[str, float]:
    """Memory by process, in MB: what no other process shares."""
    staying = psutil.Process().children(recursive=True)
    sleeping = processes.submit(Job(1, "sleep", 0))
    while not (new := [p for p in psutil.Process().children(recursive=True) if p not in staying]):
        time.sleep(0.01)
    time.sleep(0.2)
    found = {
        "worker_mb": sum(p.memory_full_info().uss for p in staying) / 1e6,
        "candidate_mb": new[0].memory_full_info().uss / 1e6,
    }
    sleeping.result()
    return {name: round(value, 1) for name, value in found.items()}


def rate() -> dict[str, float]:
    """Jobs per second through two workers, all layers on."""
    processes = Processes(workers=2)
    processes.start(Nothing())
    processes.submit(Job(0, "", 0)).result()
    found = {}
    for name, actions in {"jobs": ("fit",), "candidates with a second account": ("fit", "examine")}.items():
        began = time.perf_counter()
        futures = [processes.submit(Job(n, "", 0, action=action)) for n in range(_JOBS) for action in actions]
        wait(futures)
        found[f"{name} per second"] = round(_JOBS / (time.perf_counter() - began), 1)
    processes.close()
    return found


def training() -> dict[str, float]:
    """Seconds of the same training inside and outside, in turns."""
    task = Mnist1d(steps=_STEPS, evaluations=5, device="cpu")
    text = task.seeds()["reference_cnn"]
    facts: dict[str, list[float]] = {"strict": [], "off": []}
    executors = {name: Processes(workers=1, sandbox=name) for name in facts}
    for processes in executors.values():
        processes.start(task.workload(), task.data)
    for _ in range(_TURNS):
        for name, processes in executors.items():
            facts[name].append(processes.submit(Job(1, text, 1)).result().facts["train_seconds"])
    for processes in executors.values():
        processes.close()
    ratios = [inside / outside for inside, outside in zip(facts["strict"], facts["off"], strict=True)]
    return {"inside / outside, median of turns": round(statistics.median(ratios), 3), "turns": _TURNS, "steps": _STEPS}


def main() -> None:
    found = {name: level(name) for name in Level if name == Level.OFF or try_sandbox(name).holds}
    fresh = milliseconds(lambda: subprocess.run([sys.executable, "-c", _WARM], check=True), _FRESH)
    report = {
        "a job that does nothing": found,
        "a fresh interpreter that imports the same": summary(fresh),
        "rate, two workers": rate(),
        "training": training(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
