"""The ImageNet mobile space as GENIUS searched it, and the sizes of its networks: by a table, and by counting.

FLOPs are counted as in the paper's table: one for each multiply-add of a convolution or a linear layer, 4 for each output of a
batch normalisation, 1 for each input of the pooling layer, none for activations, biases, sums and scalings. This gives all 70
numbers of that table to the digits printed. Its fixed layers are printed without two batch normalisations (1.61 M together)
and with rounded numbers; counted in full they are 1.62 M more, which is what the authors' own messages have more than the
table's sum.

Source: Zheng et al., "Can GPT-4 Perform Neural Architecture Search?", 2023, arXiv:2304.10970.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from nasmith.space import Choice, Design, Position, Space
from nasmith.tasks.imagenet.mobile_network import DEPTH, HEAD, INPUTS, OPERATIONS, STAGES, STEM, squeezed

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

__all__ = [
    "RESOLUTION",
    "Sizes",
    "Table",
    "canonical",
    "count_by_building",
    "count_by_layers",
    "counted_flops",
    "mobile",
    "table",
]

RESOLUTION = 224  # pixels a side, for which FLOPs are stated
_PER_NORM = 4  # FLOPs of batch normalisation for each output
_MEASURES = ("params", "flops", "activations")


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a part of a network has, and computes for one image."""

    params: int = 0
    flops: int = 0
    activations: int = 0

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(self.params + other.params, self.flops + other.flops, self.activations + other.activations)


@dataclass(frozen=True)
class Table:
    """Sizes of all choices at a resolution.

    Attributes:
        params: Parameters, int64 (positions, choices).
        flops: FLOPs for one image, int64 (positions, choices).
        activations: Outputs of activation functions for one image, int64 (positions, choices).
        fixed: What the layers that are not searched have, int64 (3,): parameters, FLOPs, activations.
    """

    params: np.ndarray
    flops: np.ndarray
    activations: np.ndarray
    fixed: np.ndarray

    def measure(self, designs: np.ndarray) -> np.ndarray:
        """Return parameters, FLOPs and activations of designs, (n, 30) int, as (n, 3) float64."""
        import numpy as np

        places = np.arange(designs.shape[1])
        columns = [sizes[places, designs].sum(axis=1) for sizes in (self.params, self.flops, self.activations)]
        measured: np.ndarray = (np.stack(columns, axis=1) + self.fixed).astype(np.float64)
        return measured


def mobile(resolution: int = RESOLUTION, classes: int = 1000) -> Space:
    """Return the space: 30 positions with 7 choices each, written as a list.

    Args:
        resolution: Pixels a side, for which FLOPs are counted.
        classes: Of the data set; the last layer's parameters depend on it.
    """
    return Space(
        "ImageNet mobile space",
        tuple(Position(_place(number), _choices(number)) for number in range(DEPTH * len(STAGES))),
        form=canonical,
        measures=_MEASURES,
        measure=partial(_measure, resolution, classes),
        conversation="restarted",
    )


def _place(number: int) -> str:
    stage, layer = divmod(number, DEPTH)
    inputs, outputs, stride = STAGES[stage]
    shape = f"{inputs} to {outputs} channels, stride {stride}" if layer == 0 else f"{outputs} channels, stride 1"
    return f"stage {stage + 1}, layer {layer + 1}: {shape}"


def _choices(number: int) -> tuple[Choice, ...]:
    skip = "no layer" if number % DEPTH else "a 1x1 convolution that changes the shape"
    blocks = (each for each in OPERATIONS if each is not None)
    named = ((f"ir_k{k}_e{e}", f"inverted residual block, kernel size {k}, expansion {e}") for k, e in blocks)
    return tuple(Choice(str(code), *each) for code, each in enumerate([("skip", skip), *named]))


def canonical(designs: np.ndarray) -> np.ndarray:
    """Return designs, (n, 30) int, with the layers of each stage moved up: where "no layer" stands does not matter."""
    import numpy as np

    stages = designs.reshape(len(designs), len(STAGES), DEPTH).copy()
    rest = stages[:, :, 1:]
    order = np.argsort(rest == 0, axis=2, kind="stable")
    stages[:, :, 1:] = np.take_along_axis(rest, order, axis=2)
    return stages.reshape(designs.shape)


def _measure(resolution: int, classes: int, designs: np.ndarray) -> np.ndarray:
    return table(resolution, classes).measure(designs)


@lru_cache(maxsize=16)
def table(resolution: int = RESOLUTION, classes: int = 1000) -> Table:
    """Return the sizes of all choices, from the shapes of the layers; nothing is built.

    Args:
        resolution: Pixels a side of an image.
        classes: Number of logits.
    """
    import numpy as np

    side = _halved(resolution)
    stem = _conv(INPUTS, STEM, 3, side) + _activation(STEM, side)
    fixed = (
        stem + _conv(STEM, STEM, 3, side, groups=STEM) + _activation(STEM, side) + _excite(STEM) + _conv(STEM, STEM, 1, side)
    )
    rows: list[list[Sizes]] = []
    for inputs, outputs, stride in STAGES:
        for layer in range(DEPTH):
            rows.append([_layer(each, inputs if layer == 0 else outputs, outputs, side, stride, layer) for each in OPERATIONS])
            side = _halved(side) if layer == 0 and stride == 2 else side
    last = STAGES[-1][1]
    fixed += _conv(last, HEAD[0], 1, side) + _activation(HEAD[0], side) + Sizes(flops=HEAD[0] * side * side)
    fixed += _linear(*HEAD) + _activation(HEAD[1], 1) + _linear(HEAD[1], classes)
    params, flops, activations = (np.array([[getattr(each, name) for each in row] for row in rows]) for name in _MEASURES)
    return Table(params, flops, activations, np.array([getattr(fixed, name) for name in _MEASURES]))


def _layer(operation: tuple[int, int] | None, inputs: int, outputs: int, side: int, stride: int, layer: int) -> Sizes:
    """Return the sizes of one layer; `side` is that of its input."""
    stride = stride if layer == 0 else 1
    after = _halved(side) if stride == 2 else side
    if operation is None:
        return _conv(inputs, outputs, 1, after) if layer == 0 else Sizes()
    kernel, expansion = operation
    hidden = inputs * expansion
    expanded = _conv(inputs, hidden, 1, side) + _activation(hidden, side)
    depthwise = _conv(hidden, hidden, kernel, after, groups=hidden) + _activation(hidden, after)
    return expanded + depthwise + _excite(hidden) + _conv(hidden, outputs, 1, after)


def _conv(inputs: int, outputs: int, kernel: int, side: int, groups: int = 1) -> Sizes:
    """A convolution without bias, with batch normalisation; `side` is that of its output."""
    weights = inputs // groups * outputs * kernel * kernel
    return Sizes(weights + 2 * outputs, (weights + _PER_NORM * outputs) * side * side)


def _excite(channels: int) -> Sizes:
    """Squeeze-excite."""
    return _linear(channels, squeezed(channels)) + _linear(squeezed(channels), channels)


def _linear(inputs: int, outputs: int) -> Sizes:
    return Sizes(inputs * outputs + outputs, inputs * outputs)


def _activation(channels: int, side: int) -> Sizes:
    return Sizes(activations=channels * side * side)


def _halved(side: int) -> int:
    return (side + 1) // 2


def counted_flops(module: nn.Module, resolution: int = RESOLUTION, channels: int = INPUTS) -> int:
    """Run a network, or a layer of one, for one image, and count its FLOPs by `torch.utils.flop_counter`.

    Args:
        module: Of this space; it is left in evaluation mode.
        resolution: Pixels a side of its input.
        channels: Of its input.
    """
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    aten: Any = torch.ops.aten
    norms = (aten.native_batch_norm, aten._native_batch_norm_legit_no_training, aten.cudnn_batch_norm)
    pooled: list[int] = []
    # Pooling is a mean like that of squeeze-excite, which the table leaves out: the counter cannot tell them apart.
    pools = [part for part in module.modules() if isinstance(part, nn.AdaptiveAvgPool2d)]
    hooks = [pool.register_forward_hook(lambda _, inputs, __: pooled.append(inputs[0].numel())) for pool in pools]
    x = torch.zeros(1, channels, resolution, resolution, device=next(module.parameters()).device)
    try:
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=dict.fromkeys(norms, _of_norm)) as counter:
            module.eval()(x)
    finally:
        for hook in hooks:
            hook.remove()
    return counter.get_total_flops() // 2 + sum(pooled)


def _of_norm(shape: torch.Size, *_: object, **__: object) -> int:
    """Count a batch normalisation, by the shape of its input, as the counter does: it says two for a multiply-add."""
    return 2 * _PER_NORM * shape.numel()


def count_by_building(design: Design, resolution: int = RESOLUTION, classes: int = 1000) -> tuple[int, int]:
    """Build the network of a design and run it once; return its parameters and FLOPs for one image."""
    from nasmith.tasks.imagenet.mobile_network import Network

    return _counted(lambda: Network(design, classes), resolution, INPUTS)


def count_by_layers(design: Design, resolution: int = RESOLUTION, classes: int = 1000) -> tuple[int, int]:
    """Return what `count_by_building` returns, from layers that are each built and run once in a process."""
    sizes, side = [_layers_around(resolution, classes)], _halved(resolution)
    for number, choice in enumerate(design):
        stage, layer = divmod(number, DEPTH)
        inputs, outputs, stride = STAGES[stage]
        if layer == 0:
            sizes.append(_counted_layer(OPERATIONS[choice], inputs, outputs, stride, side))
            side = _halved(side) if stride == 2 else side
        elif choice:
            sizes.append(_counted_layer(OPERATIONS[choice], outputs, outputs, 1, side))
    return sum(params for params, _ in sizes), sum(flops for _, flops in sizes)


@lru_cache(maxsize=1024)
def _counted_layer(operation: tuple[int, int] | None, inputs: int, outputs: int, stride: int, side: int) -> tuple[int, int]:
    from nasmith.tasks.imagenet.mobile_network import InvertedResidual, conv

    if operation is None:
        return _counted(lambda: conv(inputs, outputs, 1, stride), side, inputs)
    return _counted(lambda: InvertedResidual(inputs, outputs, *operation, stride), side, inputs)


@lru_cache(maxsize=16)
def _layers_around(resolution: int, classes: int) -> tuple[int, int]:
    """Return what the layers that are not searched have: those of the smallest network without its projections."""
    params, flops = count_by_building((0,) * (DEPTH * len(STAGES)), resolution, classes)
    side = _halved(resolution)
    for inputs, outputs, stride in STAGES:
        own, taken = _counted_layer(None, inputs, outputs, stride, side)
        params, flops, side = params - own, flops - taken, _halved(side) if stride == 2 else side
    return params, flops


def _counted(make: Callable[[], nn.Module], side: int, channels: int) -> tuple[int, int]:
    """Build a module and run it once; return its parameters and FLOPs."""
    import torch

    with torch.device("meta"):
        module = make()
    params = sum(parameter.numel() for parameter in module.parameters())
    # It runs on the CPU, with whatever lies in memory for weights: 20 ms for a network, where the meta kernels take 110 ms.
    return params, counted_flops(module.to_empty(device="cpu"), side, channels)
