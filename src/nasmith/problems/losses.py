"""What problems train models by. PyTorch is imported when a loss is computed, and not before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from nasmith.errors import UsageError

__all__ = ["NUMBER_LOSSES", "Criterion", "constant", "demand_criterion", "label_loss", "number_loss"]

Criterion = str | Callable[[Any, Any], Any]
"""A loss by name, or a function of (outputs, targets) that returns a torch scalar."""

NUMBER_LOSSES = ("mse", "mae", "huber")


def demand_criterion(owner: str, loss: object, names: Sequence[str]) -> None:
    """Raise UsageError where `loss` is none of the names and no function."""
    if callable(loss) or loss in names:
        return
    valid = " or ".join(map(repr, names))
    raise UsageError(f"{owner}: loss must be {valid}, or a function of (outputs, targets), got {loss!r}.")


def label_loss(logits: Any, labels: Any, *, ignore: int) -> Any:
    """Return the mean cross-entropy in nats of logits (batch, classes, …) for labels (batch, …), those to ignore left out.

    It is 0, not NaN, where all labels are ignored.
    """
    from torch.nn.functional import cross_entropy

    total = cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
    return total / (labels != ignore).sum().clamp(min=1)


def number_loss(name: str, outputs: Any, targets: Any) -> Any:
    """Return the mean squared error ("mse"), absolute error ("mae"), or Huber's loss with its corner at 1 ("huber")."""
    from torch.nn import functional

    losses: dict[str, Any] = {"mse": functional.mse_loss, "mae": functional.l1_loss, "huber": functional.huber_loss}
    return losses[name](outputs, targets)


@lru_cache(maxsize=32)
def constant(values: tuple[float, ...], device: Any) -> Any:
    """Return numbers as a float32 tensor on a device, made once: a step that is being captured for a GPU cannot copy them."""
    import torch

    return torch.tensor(values, dtype=torch.float32, device=device)
