"""What an EvoPrompting prompt says of its parents and asks of the child (Chen, Dohan, So 2023, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from nasmith.types import Objective

__all__ = ["MetricsPrompt"]

_MOST_ACCURATE = 0.999  # the largest tenth of a percent below 1
_LOWER, _HIGHER = 0.95, 0.02
_WHOLE = 1000  # numbers from here on are written without decimals


@dataclass(frozen=True, slots=True)
class MetricsPrompt:
    """Turns metrics into the strings that stand in a prompt.

    The paper's two, parameters and error, have the paper's words and targets. Other objectives have their own names, without
    "val_". The target of a size (`Objective.log`) is 0.9 of the parents' smallest, rounded down where it counts something; of
    the validation error what the paper asks of the accuracy; of all else that is minimised 0.95 of the lowest; and what is
    maximised must grow by 2%, or between 0 and 1 by no more than half of what is left to 1. Nothing is said of a metric that a
    parent lacks.

    Attributes:
        size: Metric that counts parameters.
        error: Metric that holds the validation error, in [0, 1].
        size_factor: Target size as a share of the smallest parent's (paper: 0.9).
        accuracy_factor: Target accuracy as a multiple of the best parent's (paper: 1.02).
        objectives: The task's; none for the paper's two.
    """

    size: str = "params"
    error: str = "val_error"
    size_factor: float = 0.9
    accuracy_factor: float = 1.02
    objectives: tuple[Objective, ...] = ()

    def about(self, objectives: Sequence[Objective]) -> MetricsPrompt:
        """Return the same for a task's objectives."""
        return replace(self, objectives=tuple(objectives))

    def facts(self, metrics: Mapping[str, float]) -> dict[str, str]:
        """Say what a parent has reached."""
        words = _words(metrics[self.size], 1 - metrics[self.error]) if self._has_papers(metrics) else {}
        return words | {_name(each): _number(metrics[each.name]) for each in self._others if each.name in metrics}

    def target(self, parents: Iterable[Mapping[str, float]]) -> dict[str, str]:
        """Say what the child should reach: smaller than the smallest parent, more accurate than the best.

        The size is rounded to the nearest 100 (but is at least 100), the accuracy to a tenth of a percent and kept below 1.
        """
        parents = list(parents)
        with_papers = [metrics for metrics in parents if self._has_papers(metrics)]
        words = self._papers_target(with_papers) if with_papers else {}
        for each in self._others:
            values = [metrics[each.name] for metrics in parents if each.name in metrics]
            if values:
                words[_name(each)] = _number(self._aim(each, values))
        return words

    def _papers_target(self, parents: Sequence[Mapping[str, float]]) -> dict[str, str]:
        size = self.size_factor * min(m[self.size] for m in parents)
        return _words(max(100.0, _to_nearest(size, "1E2")), self._accuracy(max(1 - m[self.error] for m in parents)))

    def _accuracy(self, best: float) -> float:
        """Return what to ask for where the best parent has this accuracy; below 0, which a regression's can be, less below."""
        wanted = best * (self.accuracy_factor if best >= 0 else 2 - self.accuracy_factor)
        return min(_MOST_ACCURATE, _to_nearest(wanted, "0.001"))

    def _aim(self, objective: Objective, values: Sequence[float]) -> float:
        """Return what a child should reach, from what its parents have."""
        if objective.direction == "maximize":
            best = max(values)
            more = best + _HIGHER * (abs(best) or 1.0)
            return min(more, (1 + best) / 2) if 0 <= best < 1 else more
        best = min(values)
        if objective.log:
            size = best - (1 - self.size_factor) * abs(best)
            counted = not objective.unit and best >= 1 and all(float(value).is_integer() for value in values)
            return max(1.0, float(math.floor(size))) if counted else size
        if objective.name == self.error and (error := 1 - self._accuracy(1 - best)) < best:
            return error
        return best - (1 - _LOWER) * abs(best)

    @property
    def _papers(self) -> bool:
        """Whether the task has the paper's two objectives."""
        return not self.objectives or {self.size, self.error} <= {each.name for each in self.objectives}

    def _has_papers(self, metrics: Mapping[str, float]) -> bool:
        return self._papers and self.size in metrics and self.error in metrics

    @property
    def _others(self) -> list[Objective]:
        """Objectives that the paper's words do not cover."""
        known = {self.size, self.error} if self._papers else set()
        return [each for each in self.objectives if each.name not in known]


def _name(objective: Objective) -> str:
    return objective.name.removeprefix("val_")


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= _WHOLE else f"{value:.4g}"


def _to_nearest(value: float, step: str) -> float:
    """Round halves up, as a person does; Python's own `round` takes halves to the even side."""
    return float(Decimal(str(value)).quantize(Decimal(step), ROUND_HALF_UP))


def _words(size: float, accuracy: float) -> dict[str, str]:
    return {"num_params": str(int(size)), "val_accuracy": f"{accuracy:.3f}"}
