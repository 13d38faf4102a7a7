"""A task whose candidates are designs of a small space, measured by arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from nasmith.protocols import Data
from nasmith.space import Choice, Position, Space
from nasmith.tasks.tabular.design_workload import DesignWorkload
from nasmith.types import Description, Objective, Outcome, Purpose

__all__ = ["TOY_SPACE", "ToySpaceTask"]


def _measure(designs: Any) -> Any:
    """Parameters and FLOPs of designs: the sum of the choices, and twice that."""
    sums = designs.sum(axis=1).astype("float64") + 1
    return _stack(sums, 2 * sums)


def _stack(*columns: Any) -> Any:
    import numpy as np

    return np.stack(columns, axis=1)


_CHOICES = tuple(Choice(str(index), name) for index, name in enumerate(("none", "narrow", "wide")))
TOY_SPACE = Space(
    "toy space",
    tuple(Position(f"layer {number + 1}", _CHOICES) for number in range(4)),
    template="{}{}{}{}",
    measures=("params", "flops"),
    measure=_measure,
)
"""Four layers of three choices: "0120"."""


class ToySpaceTask:
    """Find the design with the highest "accuracy": layers that are wide and no wider than the one before."""

    name = "toy-space"
    objectives = (Objective("accuracy", "maximize", "%"), Objective("params", "minimize"))
    defaults: Mapping[str, Any] = {"strategy": "random", "executor": "inline", "verify": {"best": 3, "front": 0, "seeds": 1}}
    space = TOY_SPACE

    def describe(self) -> Description:
        """What prompts and people need to know."""
        return Description("toy space", "a design", statement="Choose a width for each of four layers.")

    def seeds(self) -> Mapping[str, str]:
        """None are needed."""
        return {}

    def workload(self) -> DesignWorkload:
        """Return what reads designs."""
        return DesignWorkload(self.space)

    def data(self) -> Data:
        """Nothing is trained."""
        return {"train": {}, "val": {}, "test": {}}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Look at the design; the test accuracy is a little lower."""
        if "design" not in examined.arrays:
            raise ValueError("the worker returned no design")
        design = tuple(int(index) for index in examined.arrays["design"])
        metrics = {"accuracy": _accuracy(design), "params": float(sum(design) + 1)}
        return {**metrics, **(self.reveal(self.space.write(design)) if purpose == "verify" else {})}

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """The accuracy."""
        return metrics["accuracy"]

    def best_state(self, outcome: Outcome) -> Mapping[str, Any]:
        """Nothing was trained."""
        return {}

    def reveal(self, text: str) -> Mapping[str, float]:
        """What is known of a design that the search is not shown."""
        return {"test_accuracy": _accuracy(self.space.read(text)) - 1.0}


def _accuracy(design: tuple[int, ...]) -> float:
    grown = sum(after > before for before, after in pairwise(design))
    return 60.0 + 4.0 * sum(design) - 5.0 * grown
