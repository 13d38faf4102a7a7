"""A label for each position of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nasmith.problems.losses import label_loss
from nasmith.problems.scores import sequence_scores, source_of
from nasmith.problems.targets import check_labels, count_classes, demand_classes

if TYPE_CHECKING:
    import numpy as np

    from nasmith.problems.problem import Direction
    from nasmith.problems.splits import Splits

__all__ = ["Sequence"]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A label for each position of a sequence; a model returns logits, float32 (batch, t, classes).

    Labels are int64 (n, t), from 0. Models are trained by the cross-entropy. Metrics: `error` (share of wrong labels), `loss`
    (cross-entropy in nats).

    Args:
        classes: How many labels there are; by default they are counted in the training targets.
        ignore: Label of positions that do not count, such as those behind the end.

    Raises:
        UsageError: An argument breaks a rule.
    """

    classes: int | None = None
    ignore: int = -100

    def __post_init__(self) -> None:
        demand_classes("Sequence", self.classes)

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """What `score` returns."""
        return {"error": "minimize", "loss": "minimize"}

    @property
    def primary(self) -> str:
        """The share of wrong labels."""
        return "error"

    def check(self, splits: Splits) -> None:
        """Raise DataError where the targets are no labels."""
        check_labels(splits, ("n", "t"), self.classes, self.ignore)

    def fitted(self, splits: Splits) -> Sequence:
        """Return this with the number of classes."""
        return replace(self, classes=self.classes or count_classes(splits, self.ignore))

    def output_shape(self, splits: Splits) -> tuple[int, ...]:
        """Return (t, classes)."""
        return (splits.train[1].shape[1], self.classes or count_classes(splits, self.ignore))

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Return the mean cross-entropy over positions that count, in nats."""
        return label_loss(outputs.transpose(1, 2), targets, ignore=self.ignore)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return error and loss; see `scores.sequence_scores`."""
        return sequence_scores(outputs, targets, self.ignore)

    def describe(self) -> str:
        """Say what a model maps to what."""
        number = f"{self.classes:,} " if self.classes else ""
        return (
            f"This is a labelling of sequences: for each position the model returns {number}logits, one for each class, in the "
            "last axis."
        )

    def source(self) -> str:
        """Return `score` as a module that needs NumPy alone."""
        return source_of(sequence_scores, {"ignore": self.ignore})
