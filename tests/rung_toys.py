"""A toy task whose trainings may be given up at rungs, and that counts the steps that were really trained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasmith.testing import ToyTask, ToyWorkload
from nasmith.types import Outcome

RUNGS = (1, 3, 9)


@dataclass(frozen=True)
class RungWorkload(ToyWorkload):
    """A training gets better with every step; `log` takes (candidate's text, from step, to step) as lines."""

    log: str = ""

    def fit_rung(self, text, seed, data, rung, checkpoint):
        begun = int(checkpoint["steps"]) if checkpoint else 0
        steps = RUNGS[rung]
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as stream:
                stream.write(f"{len(text)} {begun} {steps}\n")
        arrays, _ = self.fit(text, seed, data)
        right = int(arrays["predictions/val"].sum()) - (RUNGS[-1] - steps)
        arrays["predictions/val"] = (np.arange(100) < right).astype(arrays["predictions/val"].dtype)
        arrays["checkpoint/steps"] = np.array(steps)
        return arrays, {"steps": float(steps), "params": self.screen(text)["params"]}


class RungTask(ToyTask):
    """The toy task with three rungs."""

    rungs = RUNGS

    def __init__(self, log: str = "") -> None:
        super().__init__()
        self.log = log

    def workload(self):
        return RungWorkload(log=self.log)

    def provisional(self, outcome: Outcome):
        return {
            "params": float(outcome.arrays["state/widths"].sum()),
            "val_error": 1 - float(outcome.arrays["predictions/val"].mean()),
        }
