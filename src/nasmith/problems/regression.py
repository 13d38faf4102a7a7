"""One number, or some, for each input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasmith.errors import UsageError
from nasmith.problems.losses import NUMBER_LOSSES, Criterion, constant, demand_criterion, number_loss
from nasmith.problems.scores import regression_scores, source_of
from nasmith.problems.splits import DataError
from nasmith.problems.targets import check_numbers

if TYPE_CHECKING:
    from nasmith.problems.problem import Direction
    from nasmith.problems.splits import Splits

__all__ = ["Regression"]


@dataclass(frozen=True, slots=True, init=False)
class Regression:
    """One number or some for each input; a model returns float32 (batch, k). Targets are (n, k), or (n,) where k is 1.

    Metrics: `error` (1 - R2, the mean of the k numbers: 0 is perfect, 1 as good as always saying the mean), `rmse` and `mae`,
    in the targets' unit.

    Args:
        loss: What models are trained by: "mse", "mae", "huber", or a function of (outputs, targets), both (batch, k), that
            returns a torch scalar. Only a function that can be imported, as one that `task.py` defines, can travel to workers.
        standardize: Models learn, and return, how many standard deviations a target lies from the mean, both of the training
            targets; scores are of the targets themselves.
        outputs: The number k; by default that of the training targets.

    Raises:
        UsageError: An argument breaks a rule.
    """

    criterion: Criterion
    standardize: bool
    outputs: int | None
    mean: tuple[float, ...]
    sd: tuple[float, ...]

    def __init__(self, loss: Criterion = "mse", standardize: bool = True, outputs: int | None = None) -> None:
        demand_criterion("Regression", loss, NUMBER_LOSSES)
        if outputs is not None and (not isinstance(outputs, int) or outputs < 1):
            raise UsageError(f"Regression: outputs must be a whole number from 1, got {outputs!r}.")
        self._set(criterion=loss, standardize=standardize, outputs=outputs, mean=(0.0,), sd=(1.0,))

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """What `score` returns."""
        return {"error": "minimize", "rmse": "minimize", "mae": "minimize"}

    @property
    def primary(self) -> str:
        """1 - R2."""
        return "error"

    def check(self, splits: Splits) -> None:
        """Raise DataError where the targets are no numbers."""
        check_numbers(splits)
        width = _width(splits)
        if self.outputs not in (None, width):
            raise DataError(f"train: y holds {width} numbers a row, and Regression(outputs={self.outputs}) was asked for")

    def fitted(self, splits: Splits) -> Regression:
        """Return this with the number of outputs, and the mean and standard deviation of each in the training targets."""
        targets = splits.train[1].reshape(len(splits.train[1]), -1).astype(np.float64)
        fitted = Regression(self.criterion, self.standardize, _width(splits))
        if self.standardize:
            fitted._set(mean=tuple(targets.mean(axis=0).tolist()), sd=tuple(targets.std(axis=0).tolist()))
        return fitted

    def output_shape(self, splits: Splits) -> tuple[int, ...]:
        """Return (k,)."""
        return (_width(splits),)

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Return the loss of a batch, of standardised targets where they are."""
        targets = targets.to(outputs.dtype).reshape(outputs.shape)
        if self.standardize:
            targets = (targets - constant(self.mean, targets.device)) / constant(self.sd, targets.device)
        return self.criterion(outputs, targets) if callable(self.criterion) else number_loss(self.criterion, outputs, targets)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return error, rmse and mae, in the targets' unit; see `scores.regression_scores`."""
        return regression_scores(outputs, targets, self.mean, self.sd)

    def describe(self) -> str:
        """Say what a model maps to what."""
        what = "one number" if self.outputs == 1 else f"{self.outputs or 'some'} numbers"
        unit = (
            " The targets were standardised: their mean is 0 and their standard deviation 1 over the training data."
            if self.standardize
            else ""
        )
        return f"This is a regression: for each input the model returns {what}.{unit}"

    def source(self) -> str:
        """Return `score` as a module that needs NumPy alone."""
        return source_of(regression_scores, {"mean": self.mean, "sd": self.sd})

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _width(splits: Splits) -> int:
    y = splits.train[1]
    return 1 if y.ndim == 1 else int(y.shape[1])
