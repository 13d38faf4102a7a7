"""Scores what workers returned for a user's task, by labels that no worker ever had."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasmith.errors import ConfigError
from nasmith.tasks.folder.definition import Definition
from nasmith.tasks.folder.settings import MACHINE_METRICS
from nasmith.types import Outcome

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Scoring", "check_clock", "compare"]

_TOLERANCE = 0.02  # share of inputs on which two runs of one model may differ by rounding, and how much that may be
_SLOWEST_CLOCK, _UNTIMED_SECONDS = 2.0, 5.0


@dataclass(frozen=True, slots=True)
class Scoring:
    """The labels of a task folder, and what is measured by them."""

    definition: Definition

    def outputs(self, outcome: Outcome, split: str) -> np.ndarray:
        """Return the checked outputs at each point, float32 (points, n, …).

        Raises:
            ValueError: The worker returned something else.
        """
        import numpy as np

        wanted = (len(self._part(split)[0]), *self.definition.plan.output_shape)
        rows: Any = outcome.arrays.get(f"outputs/{split}")
        if not isinstance(rows, np.ndarray):
            raise ValueError(f"the worker returned no outputs/{split}")
        if rows.dtype != np.float32 or rows.ndim < 1 or len(rows) < 1 or rows.shape[1:] != wanted:
            raise ValueError(
                f"outputs/{split} has type {rows.dtype} and shape {rows.shape}, not float32 and (points, "
                f"{', '.join(map(str, wanted))})"
            )
        if not np.isfinite(rows).all():
            raise ValueError(f"the outputs for the {split} inputs are not all finite")
        return rows

    def best_point(self, outcome: Outcome) -> tuple[int, np.ndarray]:
        """Return the best point by the first objective that the problem measures, and the outputs of all points.

        Raises:
            ValueError: The worker returned no outputs, or a metric of them is not finite.
        """
        points, problem = self.outputs(outcome, "val"), self.definition.problem
        aims = [(aim.name, aim.direction) for aim in self.definition.settings.objectives if aim.name not in MACHINE_METRICS]
        name, direction = (*aims, (problem.primary, problem.metrics[problem.primary]))[0]
        sign = 1.0 if direction == "minimize" else -1.0
        values = [sign * self.measured("val", rows)[name] for rows in points]
        return min(range(len(values)), key=lambda place: values[place]), points

    def measured(self, split: str, outputs: np.ndarray) -> dict[str, float]:
        """Return the metrics of outputs, (n, …), by the labels of a split.

        Raises:
            ConfigError: `score` of task.py does not return a dictionary of numbers, or lacks an objective.
            ValueError: A metric is not finite.
        """
        targets, code = self._part(split)[1], self.definition.code
        if code.defines("score"):
            metrics = _numbers(code.call("score", outputs, targets), code.line("score"))
        else:
            metrics = self.definition.problem.score(outputs, targets)
        for aim in self.definition.settings.objectives:
            if aim.name not in metrics and aim.name not in MACHINE_METRICS:
                raise ConfigError(code.line("score") + self.definition.nobody_returns(aim.name, metrics))
        odd = [name for name, value in metrics.items() if not math.isfinite(value)]
        if odd:
            by = " by score() of task.py" if code.defines("score") else ""
            raise ValueError(f"the metric {odd[0]} is {metrics[odd[0]]}{by}")
        return metrics

    def _part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        splits = self.definition.splits
        return splits.val if split == "val" else splits.test


def compare(claimed: np.ndarray, found: np.ndarray) -> None:
    """Raise ValueError where the trained weights give other outputs in a process that did not train them."""
    import numpy as np

    scale = float(found.std()) or 1.0
    same = np.isclose(claimed, found, rtol=_TOLERANCE, atol=_TOLERANCE * scale).reshape(len(found), -1).all(axis=1)
    share = 1 - float(same.mean())
    if share > _TOLERANCE:
        raise ValueError(
            f"from its source and its weights alone, the model gives other outputs for {share:.0%} of the validation "
            "inputs than it did in the process that trained it"
        )


def check_clock(examined: Outcome) -> None:
    """Raise ValueError where much less time passed by the clock that timed the model than by that of its supervisor."""
    told = examined.facts.get("clock_seconds")
    if told is not None and examined.seconds > _SLOWEST_CLOCK * told + _UNTIMED_SECONDS:
        raise ValueError(
            f"{told:.1f} s passed by the clock that timed the model, and {examined.seconds:.1f} s by another: its latency "
            "cannot be believed"
        )


def _numbers(returned: object, where: str) -> dict[str, float]:
    """Check what `score` of task.py returned."""
    example = 'such as {"f1": 0.9}'
    if not isinstance(returned, Mapping) or not returned:
        what = "nothing" if returned is None else f"a value of type {type(returned).__name__}"
        raise ConfigError(f"{where}score() must return a dictionary of numbers by name, {example}; it returned {what}.")
    numbers = {}
    for name, value in returned.items():
        try:
            if isinstance(value, str):
                raise TypeError
            numbers[str(name)] = float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"{where}score() must return numbers, {example}; {name!r} is {value!r}.") from None
    return numbers
