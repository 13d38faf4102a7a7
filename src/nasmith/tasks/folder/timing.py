"""Times forward passes, in a process that did not train the model and does nothing else.

The clock is taken before any code of a candidate is loaded. Should that code still bend it, the process that watches this one
has a clock of its own: `clock_seconds` is compared with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median, quantiles

import torch
from torch import nn

__all__ = ["latency"]

_clock = time.perf_counter
_WARM_UP_SECONDS, _SECONDS, _LEAST, _MOST = 0.05, 0.3, 30, 2000
_ENOUGH_SECONDS, _LEAST_OF_SLOW = 10.0, 5  # a model that takes long is timed less often


def latency(
    model: nn.Module, x: torch.Tensor, *, seconds: float = _SECONDS, clock: Callable[[], float] = _clock
) -> dict[str, float]:
    """Time forward passes of one batch.

    Args:
        model: In evaluation mode, on the device of `x`.
        x: The batch.
        seconds: How long to repeat; at least 30 passes are timed (5 where that would take above 10 s), at most 2,000.
        clock: Returns seconds.

    Returns:
        `latency_ms`: the median of a pass; `latency_noise_ms`: half the distance between the quartiles.
    """
    synchronize = torch.cuda.synchronize if x.is_cuda else _nothing
    with torch.no_grad():
        started = clock()
        model(x)
        while clock() - started < min(_WARM_UP_SECONDS, seconds):
            model(x)
        taken: list[float] = []
        started = clock()
        while not _is_enough(len(taken), clock() - started, seconds):
            synchronize()
            began = clock()
            model(x)
            synchronize()
            taken.append(1000 * (clock() - began))
    low, _, high = quantiles(taken, n=4)
    return {"latency_ms": median(taken), "latency_noise_ms": (high - low) / 2}


def _is_enough(passes: int, passed: float, seconds: float) -> bool:
    """Whether so many passes, in so many seconds, are enough."""
    if passes >= _MOST or (passes >= _LEAST_OF_SLOW and passed >= _ENOUGH_SECONDS):
        return True
    return passes >= _LEAST and passed >= seconds


def _nothing() -> None:
    return None
