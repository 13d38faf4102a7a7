"""Counts parameters, FLOPs and activations of any number of designs of a space at once, from closed forms.

The four functions take designs as integers of shape (n, positions), the index of the choice at each position, as the files in
`networks` document them, and return `Counts`.

Parameters are all weights, the biases of the linear layer, and scale and shift of batch normalisation. FLOPs are those of one
image: multiply-adds of the convolutions and the linear layer, each counted as one. Biases, normalisation, activations, pooling
and sums count nothing. So the numbers are those in the tables of NAS-Bench-Macro and Channel-Bench-Macro. NAS-Bench-201 counts
the linear layer's biases among the FLOPs: what it publishes is larger by the number of classes. Operations on its edges count
where their results go nowhere too, as in what it publishes. Activations are the outputs of ReLU for one image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Counts", "channel_mobilenet", "channel_resnet", "macro", "nasbench201"]

_Number = int | np.ndarray


class Counts(NamedTuple):
    """What designs have, int64 arrays of shape (n,)."""

    params: np.ndarray
    flops: np.ndarray
    activations: np.ndarray


_MACRO_STEM, _MACRO_HEAD = 32, 1280
_MACRO_STRIDES = (2, 1, 2, 1, 1, 2, 1, 1)
_MACRO_BLOCKS = {1: (3, 3), 2: (5, 6)}  # kernel size and expansion, by choice
_RESNET_BASES = (64, 64, 64, 128, 128, 128, 128)
_MOBILENET_BASES = (32, 192, 192, 192, 64, 384, 256)
_KERNELS = {2: 1, 3: 3}  # of NAS-Bench-201's convolutions, by choice


def macro(designs: np.ndarray, classes: int = 10, size: int = 32) -> Counts:
    """Counts of designs (n, 8) of NAS-Bench-Macro, for images of size by size."""
    designs = _checked(designs, 8, 3)
    tally = _Tally()
    tally.conv(3, _MACRO_STEM, 3, size)
    tally.rectifier(_MACRO_STEM, size)
    layers = [[_Tally() for _ in range(3)] for _ in _MACRO_STRIDES]
    channels = _MACRO_STEM
    for stride, (identity, *blocks) in zip(_MACRO_STRIDES, layers, strict=True):
        outputs, side = channels * stride, _strided(size, stride)
        if stride > 1:
            identity.conv(channels, outputs, 1, side)
        for block, (kernel, expansion) in zip(blocks, _MACRO_BLOCKS.values(), strict=True):
            block.inverted_residual(channels, channels * expansion, outputs, kernel, size, side)
        channels, size = outputs, side
    tally.conv(channels, _MACRO_HEAD, 1, size)
    tally.rectifier(_MACRO_HEAD, size)
    tally.linear(_MACRO_HEAD, classes)
    tally.add_chosen(layers, designs)
    return tally.counts(len(designs))


def channel_resnet(designs: np.ndarray, classes: int = 10, size: int = 32) -> Counts:
    """Counts of designs (n, 7) of Channel-Bench-Macro's ResNets, for images of size by size."""
    first, inner1, inner2, inner3, second, inner4, inner5 = _channels(designs, _RESNET_BASES)
    side1 = _strided(size, 2)
    side2 = _strided(side1, 2)
    tally = _Tally()
    tally.conv(3, first, 3, side1)
    tally.rectifier(first, side1)
    for inputs, inner, outputs, side in (
        (first, inner1, first, side1),
        (first, inner2, first, side1),
        (first, inner3, second, side2),
        (second, inner4, second, side2),
        (second, inner5, second, side2),
    ):
        tally.conv(inputs, inner, 3, side)
        tally.conv(inner, outputs, 3, side)
        tally.rectifier(inner + outputs, side)
    tally.linear(second, classes)
    return tally.counts(len(first))


def channel_mobilenet(designs: np.ndarray, classes: int = 10, size: int = 32) -> Counts:
    """Counts of designs (n, 7) of Channel-Bench-Macro's MobileNets, for images of size by size."""
    first, inner1, inner2, inner3, second, inner4, head = _channels(designs, _MOBILENET_BASES)
    side1 = _strided(size, 2)
    side2 = _strided(side1, 2)
    tally = _Tally()
    tally.conv(3, first, 3, side1)
    tally.rectifier(first, side1)
    tally.inverted_residual(first, inner1, first, 3, side1, side1)
    tally.inverted_residual(first, inner2, first, 3, side1, side1)
    tally.inverted_residual(first, inner3, second, 3, side1, side2)
    tally.inverted_residual(second, inner4, second, 3, side2, side2)
    tally.conv(second, head, 1, side2)
    tally.rectifier(head, side2)
    tally.linear(head, classes)
    return tally.counts(len(first))


def nasbench201(designs: np.ndarray, classes: int = 10, size: int = 32, channels: int = 16, cells: int = 5) -> Counts:
    """Counts of designs (n, 6) of NAS-Bench-201, for images of size by size, a multiple of 4.

    For CIFAR-10 the size is 32 and there are 10 classes, for CIFAR-100 32 and 100, for ImageNet-16-120 16 and 120.
    """
    if size % 4:
        raise ValueError(f"size must be a multiple of 4, not {size}: the network halves it twice")
    designs = _checked(designs, 6, 5)
    tally = _Tally()
    tally.conv(3, channels, 3, size)
    edges = [_Tally() for _ in range(5)]
    for stage in range(3):
        if stage:
            tally.rectifier(channels, size)
            size //= 2
            tally.rectifier(2 * channels, size)
            tally.conv(channels, 2 * channels, 3, size)
            tally.conv(2 * channels, 2 * channels, 3, size)
            tally.conv(channels, 2 * channels, 1, size, normalised=False)
            channels *= 2
        for choice, kernel in _KERNELS.items():
            edges[choice].conv(channels, channels, kernel, size, times=cells)
            edges[choice].rectifier(channels * cells, size)
    tally.normalisation(channels)
    tally.rectifier(channels, size)
    tally.linear(channels, classes)
    tally.add_chosen([edges] * 6, designs)
    return tally.counts(len(designs))


class _Tally:
    """Sums of parameters, FLOPs and activations; numbers of channels are integers, or arrays with one for each design."""

    def __init__(self) -> None:
        self.params: _Number = 0
        self.flops: _Number = 0
        self.activations: _Number = 0

    def conv(
        self, inputs: _Number, outputs: _Number, kernel: int, side: int, *, normalised: bool = True, times: int = 1
    ) -> None:
        """Convolutions without bias whose results are side by side, normalised or not."""
        weights = kernel**2 * inputs * outputs
        self.params = self.params + weights * times
        self.flops = self.flops + weights * side**2 * times
        if normalised:
            self.normalisation(outputs, times)

    def normalisation(self, channels: _Number, times: int = 1) -> None:
        self.params = self.params + 2 * channels * times

    def rectifier(self, channels: _Number, side: int) -> None:
        self.activations = self.activations + channels * side**2

    def linear(self, inputs: _Number, outputs: int) -> None:
        self.params = self.params + (inputs + 1) * outputs
        self.flops = self.flops + inputs * outputs

    def inverted_residual(self, inputs: _Number, inner: _Number, outputs: _Number, kernel: int, side: int, result: int) -> None:
        """From side by side to result by result."""
        self.conv(inputs, inner, 1, side)
        self.rectifier(inner, side)
        self.conv(1, inner, kernel, result)  # depthwise: each channel has one input
        self.rectifier(inner, result)
        self.conv(inner, outputs, 1, result)

    def add_chosen(self, layers: list[list[_Tally]], designs: np.ndarray) -> None:
        """Add to each design's sums those of its choice at each position; `layers` has a tally for each choice."""
        positions = np.arange(len(layers))
        for name in ("params", "flops", "activations"):
            table = np.array([[getattr(choice, name) for choice in layer] for layer in layers], dtype=np.int64)
            setattr(self, name, getattr(self, name) + table[positions, designs].sum(axis=1))

    def counts(self, n: int) -> Counts:
        return Counts(*(np.full(n, each, dtype=np.int64) for each in (self.params, self.flops, self.activations)))


def _channels(designs: np.ndarray, bases: tuple[int, ...]) -> np.ndarray:
    """Channels at each position, (positions, n)."""
    return (_checked(designs, len(bases), 4).T + 1) * np.array(bases, dtype=np.int64)[:, None]


def _strided(side: int, stride: int) -> int:
    return -(-side // stride)


def _checked(designs: np.ndarray, positions: int, choices: int) -> np.ndarray:
    designs = np.asarray(designs)
    if designs.ndim != 2 or designs.shape[1] != positions or not np.issubdtype(designs.dtype, np.integer):
        raise ValueError(f"designs must be integers of shape (n, {positions}), not {designs.dtype} of shape {designs.shape}")
    if designs.size and not 0 <= designs.min() <= designs.max() < choices:
        raise ValueError(f"designs must be numbers from 0 to {choices - 1}, not from {designs.min()} to {designs.max()}")
    return designs.astype(np.int64)
