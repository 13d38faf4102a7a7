"""The ResNets of Channel-Bench-Macro (Su et al. 2021, "Searching for Network Width with Bilaterally Coupled Network")."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Block", "Network", "conv"]

BASES = (64, 64, 64, 128, 128, 128, 128)  # fewest channels at each of the seven positions


class Network(nn.Module):
    """A stem with stride 2, five blocks of two 3x3 convolutions, a linear layer.

    Args:
        design: Seven choices of channels, 0 to 3: choice c at a position means (c + 1) times its base. The table's keys write
            c + 1. In order: stem and output of blocks 1 and 2; inner channels of block 1; of block 2; of block 3, where the
            stride is 2; output of blocks 3, 4 and 5; inner channels of block 4; of block 5.
        classes: Number of logits.
    """

    def __init__(self, design: tuple[int, ...], classes: int = 10) -> None:
        super().__init__()
        if len(design) != len(BASES) or not set(design) <= {0, 1, 2, 3}:
            raise ValueError(f"design must be {len(BASES)} numbers from 0 to 3, not {design}")
        first, inner1, inner2, inner3, second, inner4, inner5 = (
            base * (choice + 1) for base, choice in zip(BASES, design, strict=True)
        )
        self.features = nn.Sequential(
            conv(3, first, 2),
            nn.ReLU(),
            Block(first, inner1, first),
            Block(first, inner2, first),
            Block(first, inner3, second, stride=2),
            Block(second, inner4, second),
            Block(second, inner5, second),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(second, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) to logits (batch, classes)."""
        return self.classifier(self.features(x))


class Block(nn.Module):
    """Two convolutions (He et al. 2016); adds its input at stride 1, and has no shortcut at stride 2."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = stride == 1
        self.layers = nn.Sequential(conv(inputs, inner, stride), nn.ReLU(), conv(inner, outputs))
        self.rectifier = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        return self.rectifier(x + self.layers(x) if self.residual else self.layers(x))


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution without bias, and batch normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs))
