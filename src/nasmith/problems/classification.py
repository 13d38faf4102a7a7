"""One label for each input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasmith.errors import UsageError
from nasmith.problems.losses import Criterion, demand_criterion
from nasmith.problems.scores import classification_scores, source_of
from nasmith.problems.targets import check_labels, count_classes, demand_classes

if TYPE_CHECKING:
    import numpy as np

    from nasmith.problems.problem import Direction
    from nasmith.problems.splits import Splits

__all__ = ["Classification"]


@dataclass(frozen=True, slots=True, init=False)
class Classification:
    """One label for each input; a model returns logits, float32 (batch, classes). Labels are int64 (n,), from 0.

    Metrics: `error` (share of wrong labels), `loss` (cross-entropy of the logits in nats), `f1` (mean over classes).

    Args:
        classes: How many labels there are; by default they are counted in the training targets.
        loss: What models are trained by: "cross_entropy", or a function of (logits, labels) that returns a torch scalar. Only a
            function that can be imported, as one that `task.py` defines, can travel to workers.
        label_smoothing: Of the cross-entropy, in [0, 1).

    Raises:
        UsageError: An argument breaks a rule.
    """

    classes: int | None
    criterion: Criterion
    label_smoothing: float

    def __init__(self, classes: int | None = None, loss: Criterion = "cross_entropy", label_smoothing: float = 0.0) -> None:
        demand_classes("Classification", classes)
        demand_criterion("Classification", loss, ["cross_entropy"])
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"Classification: label_smoothing must lie in [0, 1), got {label_smoothing!r}.")
        for name, value in {"classes": classes, "criterion": loss, "label_smoothing": label_smoothing}.items():
            object.__setattr__(self, name, value)

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """What `score` returns."""
        return {"error": "minimize", "loss": "minimize", "f1": "maximize"}

    @property
    def primary(self) -> str:
        """The share of wrong labels."""
        return "error"

    def check(self, splits: Splits) -> None:
        """Raise DataError where the targets are no labels."""
        check_labels(splits, ("n",), self.classes)

    def fitted(self, splits: Splits) -> Classification:
        """Return this with the number of classes."""
        return Classification(self.classes or count_classes(splits), self.criterion, self.label_smoothing)

    def output_shape(self, splits: Splits) -> tuple[int, ...]:
        """Return (classes,)."""
        return (self.classes or count_classes(splits),)

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Return the loss of a batch of logits."""
        if callable(self.criterion):
            return self.criterion(outputs, targets)
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return error, loss and f1; see `scores.classification_scores`."""
        return classification_scores(outputs, targets)

    def describe(self) -> str:
        """Say what a model maps to what."""
        number = f"{self.classes:,} " if self.classes else ""
        return f"This is a classification: for each input the model returns {number}logits, one for each class."

    def source(self) -> str:
        """Return `score` as a module that needs NumPy alone."""
        return source_of(classification_scores, {})
