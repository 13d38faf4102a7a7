"""How much memory a training takes, found out before it begins: what autograd keeps of two images, and the weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import psutil
import torch
from torch import nn

from nasmith.errors import UsageError

__all__ = ["BatchTooLargeError", "available", "check_batch", "needed"]

_PROBE = 2  # images
_SLACK = 1.3  # gradients of activations, buffers of convolutions, fragments
_LEAST_BATCH = 2


class BatchTooLargeError(UsageError):
    """A batch does not fit; the message says which does."""


def available(device: torch.device) -> int:
    """Return the bytes that a training may take on a device now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return int(psutil.virtual_memory().available)


def needed(
    network: nn.Module, resolution: int, device: torch.device, precision: Callable[[], AbstractContextManager[object]]
) -> tuple[int, int]:
    """Return bytes that do not depend on the batch (weights, gradients, momentum, their average), and bytes for each image.

    Args:
        network: On its device, in training mode; its running statistics are put back.
        resolution: Pixels a side.
        device: Of the network.
        precision: Makes the context in which the network runs.
    """
    seen: dict[int, int] = {}
    own = {tensor.data_ptr() for tensor in (*network.parameters(), *network.buffers())}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    before = {name: value.clone() for name, value in network.named_buffers()}
    x = torch.zeros(_PROBE, 3, resolution, resolution, device=device)
    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), precision(), hooks:
        kept = network(x)  # the name keeps the graph alive
    del kept
    for name, value in network.named_buffers():
        value.copy_(before[name])
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.parameters())
    return 4 * weights, int(_SLACK * sum(seen.values()) / _PROBE)


def check_batch(batch: int, fixed: int, each: int, room: int, where: str, total: int) -> None:
    """Refuse a batch that does not fit, and say which does.

    Args:
        batch: Images that one process holds at a time.
        fixed: Bytes that do not depend on it.
        each: Bytes for each image.
        room: Bytes that there are.
        where: Says which memory: "cuda:0".
        total: The whole batch of a step.

    Raises:
        BatchTooLargeError: It does not fit.
    """
    if fixed + batch * each <= room:
        return
    fits = max(0, (room - fixed) // each)
    wanted, free = (fixed + batch * each) / 1e9, room / 1e9
    said = f"{batch} images at a time need about {wanted:.1f} GB on {where}, where {free:.1f} GB are free."
    if fits < _LEAST_BATCH:
        raise BatchTooLargeError(f"{said} Not even {_LEAST_BATCH} images fit: take a lower resolution, or another device.")
    power = 1 << (int(fits).bit_length() - 1)
    parts = -(-batch // power)
    while total % parts or batch // parts > power:
        parts += 1
    how = f"--set accumulate={parts} to take the {total} of a step in parts, or --set batch_size={power}"
    raise BatchTooLargeError(f"{said} {power} fit: give {how}.")
