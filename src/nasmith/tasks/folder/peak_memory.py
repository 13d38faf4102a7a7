"""Measures the memory of a forward pass: the most bytes that weights and activations hold at once."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["peak_memory_mb"]


def peak_memory_mb(model: nn.Module, x: torch.Tensor) -> float:
    """Return the most bytes held at once during one forward pass without gradients, in MB (1e6 bytes).

    Weights, buffers and the batch count. On a CUDA device the allocator is asked, in whose blocks sizes are rounded up. On a
    CPU the storages are counted that operations return: what an operation needs inside of itself is not.

    Args:
        model: In evaluation mode, on the device of `x`.
        x: The batch.
    """
    held = [*model.parameters(), *model.buffers(), x]
    with torch.no_grad():
        if x.is_cuda:
            others = torch.cuda.memory_allocated(x.device)  # weights and batch are in it, but other inputs as well
            torch.cuda.reset_peak_memory_stats(x.device)
            model(x)
            return (torch.cuda.max_memory_allocated(x.device) - others + _Watch(held).peak) / 1e6
        with _Watch(held) as watch:
            model(x)
    return watch.peak / 1e6


class _Watch(TorchDispatchMode):
    """Follows the storages of all tensors that operations return, from their making to their end."""

    def __init__(self, held: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self._now = 0
        self.peak = 0
        for tensor in held:
            self._add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note what it returns."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf)
        return result

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self._now -= self._sizes.pop(key, 0)
