"""This process, the device that it trains on, and the processes that it shares a batch with below `torchrun`."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
import torch
from torch import distributed

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.recipes import Recipe

__all__ = ["Process", "Termination", "precision_of"]


class Process:
    """This process, and those that it shares a batch with.

    Args:
        device: "cpu", "cuda", "auto", ….
    """

    def __init__(self, device: str) -> None:
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda":
            device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        try:
            self.device = torch.device(device)
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"device {device!r} cannot be used: {' '.join(str(error).split())[:200]}.") from error
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.backends.cudnn.benchmark = True

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Meet the other processes for the time of the block."""
        if self.world == 1:
            yield
            return
        distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        try:
            yield
            distributed.barrier()  # nobody hangs up while another one is still at it
        finally:
            distributed.destroy_process_group()

    def gathered(self, values: np.ndarray) -> list[np.ndarray]:
        """Return the arrays of all processes."""
        if self.world == 1:
            return [values]
        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, values)
        return found


class Termination:
    """Notices, for the time of a block, that this process is asked to end: clusters send SIGTERM some time before they kill."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        """Listen; not from another thread than the main one, where Python does not allow it."""
        self._former: Any = None
        with contextlib.suppress(ValueError):
            self._former = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)

    def _ask(self, *_: object) -> None:
        self.asked = True


def precision_of(recipe: Recipe, device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Return what makes the context in which a network runs."""
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if recipe.precision == "bf16" or (recipe.precision == "auto" and able):
        return lambda: torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext
