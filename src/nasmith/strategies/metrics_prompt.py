"""What an EvoPrompting prompt says of its parents and asks of the child (Chen, Dohan, So 2023, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

__all__ = ["MetricsPrompt"]

_MOST_ACCURATE = 0.999  # the largest tenth of a percent below 1


@dataclass(frozen=True, slots=True)
class MetricsPrompt:
    """Turns metrics into the strings that stand in a prompt.

    Attributes:
        size: Metric that counts parameters.
        error: Metric that holds the validation error, in [0, 1].
        size_factor: Target size as a share of the smallest parent's (paper: 0.9).
        accuracy_factor: Target accuracy as a multiple of the best parent's (paper: 1.02).
    """

    size: str = "params"
    error: str = "val_error"
    size_factor: float = 0.9
    accuracy_factor: float = 1.02

    def facts(self, metrics: Mapping[str, float]) -> dict[str, str]:
        """Say what a parent has reached."""
        return _words(metrics[self.size], 1 - metrics[self.error])

    def target(self, parents: Iterable[Mapping[str, float]]) -> dict[str, str]:
        """Say what the child should reach: smaller than the smallest parent, more accurate than the best.

        The size is rounded to the nearest 100 (but is at least 100), the accuracy to a tenth of a percent and kept below 1.
        """
        parents = list(parents)
        size = self.size_factor * min(m[self.size] for m in parents)
        accuracy = self.accuracy_factor * max(1 - m[self.error] for m in parents)
        return _words(max(100.0, _to_nearest(size, "1E2")), min(_MOST_ACCURATE, _to_nearest(accuracy, "0.001")))


def _to_nearest(value: float, step: str) -> float:
    """Round halves up, as a person does; Python's own `round` takes halves to the even side."""
    return float(Decimal(str(value)).quantize(Decimal(step), ROUND_HALF_UP))


def _words(size: float, accuracy: float) -> dict[str, str]:
    return {"num_params": str(int(size)), "val_accuracy": f"{accuracy:.3f}"}
