"""A label for each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nasmith.problems.scores import segmentation_scores, source_of
from nasmith.problems.splits import DataError
from nasmith.problems.targets import check_labels, count_classes, demand_classes

if TYPE_CHECKING:
    import numpy as np

    from nasmith.problems.problem import Direction
    from nasmith.problems.splits import Splits

__all__ = ["Segmentation"]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A label for each pixel of pictures (n, c, h, w); a model returns logits, float32 (batch, classes, h, w).

    Labels are int64 (n, h, w), from 0. Models are trained by the cross-entropy. Metrics: `error` (share of pixels with a wrong
    label), `iou` (intersection over union, mean over classes).

    Args:
        classes: How many labels there are; by default they are counted in the training targets.

    Raises:
        UsageError: An argument breaks a rule.
    """

    classes: int | None = None

    def __post_init__(self) -> None:
        demand_classes("Segmentation", self.classes)

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """What `score` returns."""
        return {"error": "minimize", "iou": "maximize"}

    @property
    def primary(self) -> str:
        """The share of pixels with a wrong label."""
        return "error"

    def check(self, splits: Splits) -> None:
        """Raise DataError where the targets are no labels of these pictures' pixels."""
        check_labels(splits, ("n", "h", "w"), self.classes)
        for name, (x, y) in splits.parts().items():
            if x.ndim != 4 or x.shape[2:] != y.shape[1:]:
                raise DataError(
                    f"{name}: x has shape {x.shape} and y has shape {y.shape}; they must be (n, channels, h, w) and (n, h, w): "
                    "grey pictures get their channel with x[:, None], channels that come last move with x.transpose(0, 3, 1, 2)"
                )

    def fitted(self, splits: Splits) -> Segmentation:
        """Return this with the number of classes."""
        return replace(self, classes=self.classes or count_classes(splits))

    def output_shape(self, splits: Splits) -> tuple[int, ...]:
        """Return (classes, h, w)."""
        return (self.classes or count_classes(splits), *splits.train[1].shape[1:])

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Return the mean cross-entropy over pixels, in nats."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return error and iou; see `scores.segmentation_scores`."""
        return segmentation_scores(outputs, targets)

    def describe(self) -> str:
        """Say what a model maps to what."""
        number = f"{self.classes:,} " if self.classes else ""
        return f"This is a segmentation: for each pixel the model returns {number}logits, one for each class, in axis 1."

    def source(self) -> str:
        """Return `score` as a module that needs NumPy alone."""
        return source_of(segmentation_scores, {})
