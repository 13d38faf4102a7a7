"""Captures one training step as a CUDA graph: a small model's step then costs one launch instead of hundreds."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

__all__ = ["capture_step"]

_WARM_UP_STEPS = 3


def capture_step(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, learning_rate: float, weight_decay: float
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None:
    """Capture an AdamW step on batches shaped like `x` and `y`.

    Weights, buffers and the optimiser's state are as before when it returns.

    Args:
        model: On a CUDA device, in training mode.
        x: A batch, (batch, ...), on the same device.
        y: Its labels, int64 (batch,).
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.

    Returns:
        A step that takes a batch and returns its loss; None where the model cannot be captured (it synchronises with the
        processor, say, or depends on values).
    """
    before = copy.deepcopy(model.state_dict())
    static_x, static_y = x.clone(), y.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True, capturable=True)

    def forward_backward() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(model(static_x), static_y)
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.detach()

    graph = torch.cuda.CUDAGraph()
    try:
        side: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                forward_backward()
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            static_loss = forward_backward()
    except RuntimeError:
        # Capture turns whatever it cannot record into a RuntimeError; a fault of the model itself shows again in an eager step.
        torch.cuda.synchronize()
        optimizer.zero_grad(set_to_none=True)
        model.load_state_dict(before)
        return None
    model.load_state_dict(before)
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()

    def step(batch: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        static_x.copy_(batch)
        static_y.copy_(labels)
        graph.replay()
        return static_loss.clone()

    return step
