"""What nasmith asks of a kind of problem. Structural: a class of the user's own needs to inherit nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from nasmith.problems.splits import Splits

__all__ = ["Direction", "Problem"]

Direction = Literal["minimize", "maximize"]


@runtime_checkable
class Problem(Protocol):
    """A kind of problem: what models are trained by, and what their outputs are scored by.

    Frozen and picklable: it travels to workers. It holds no data, and PyTorch is imported in `loss` alone.

    One method is optional: `check(splits)` raises DataError where the targets are not of this kind.
    """

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """What `score` returns, and whether less or more of it is better."""

    @property
    def primary(self) -> str:
        """The metric that a model is chosen by where nothing else is said."""

    def fitted(self, splits: Splits) -> Problem:
        """Return this problem with what follows from the training targets: number of classes, mean, standard deviation."""

    def output_shape(self, splits: Splits) -> tuple[int, ...]:
        """Return the shape of a model's output for one input, without the batch."""

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Return the training loss of a batch, a torch scalar.

        Args:
            outputs: torch, float32 (batch, *output_shape).
            targets: torch, int64 or float32 (batch, …).
        """

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return the metrics of outputs, float32 (n, *output_shape), for targets (n, …)."""

    def describe(self) -> str:
        """Say in one or two sentences what a model maps to what; a language model reads it."""

    def source(self) -> str:
        """Return the source of `score(outputs, targets)` as a function that needs NumPy alone."""
