"""Measures what nasmith costs per candidate beside the language model and the training.

Executor: time from `submit` to the result of a job that does nothing, with PyTorch and its optimisers warm, against a fresh
interpreter that imports the same.

    python benchmarks/overhead.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from nasmith.executors.processes import Processes
from nasmith.protocols import Data
from nasmith.types import Job, Status

_JOBS = 200
_FRESH = 5
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


def executor() -> dict[str, object]:
    processes = Processes(workers=1)
    began = time.perf_counter()
    processes.start(Nothing())

    def job() -> None:
        outcome = processes.submit(Job(1, "", 0)).result()
        if outcome.status is not Status.OK:
            raise SystemExit(outcome.message)

    job()
    warm = time.perf_counter() - began
    warmed = milliseconds(job, _JOBS)
    processes.close()
    fresh = milliseconds(lambda: subprocess.run([sys.executable, "-c", _WARM], check=True), _FRESH)
    return {
        "processes: one job that does nothing": summary(warmed),
        "processes: start to first result, s": round(warm, 2),
        "a fresh interpreter that imports the same": summary(fresh),
        "ratio of the medians": round(statistics.median(fresh) / statistics.median(warmed), 1),
    }


if __name__ == "__main__":
    print(json.dumps({"executor": executor()}, indent=2))
