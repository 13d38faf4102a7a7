"""The MobileNets of Channel-Bench-Macro (Su et al. 2021, "Searching for Network Width with Bilaterally Coupled Network")."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["InvertedResidual", "Network", "conv"]

BASES = (32, 192, 192, 192, 64, 384, 256)  # fewest channels at each of the seven positions


class Network(nn.Module):
    """A stem with stride 2, four inverted residuals, a 1x1 convolution, a linear layer.

    Args:
        design: Seven choices of channels, 0 to 3: choice c at a position means (c + 1) times its base. The table's keys write
            c + 1. In order: stem and output of blocks 1 and 2; inner channels of block 1; of block 2; of block 3, where the
            stride is 2; output of blocks 3 and 4; inner channels of block 4; output of the 1x1 convolution.
        classes: Number of logits.
    """

    def __init__(self, design: tuple[int, ...], classes: int = 10) -> None:
        super().__init__()
        if len(design) != len(BASES) or not set(design) <= {0, 1, 2, 3}:
            raise ValueError(f"design must be {len(BASES)} numbers from 0 to 3, not {design}")
        first, inner1, inner2, inner3, second, inner4, head = (
            base * (choice + 1) for base, choice in zip(BASES, design, strict=True)
        )
        self.features = nn.Sequential(
            conv(3, first, 3, 2),
            nn.ReLU(),
            InvertedResidual(first, inner1, first),
            InvertedResidual(first, inner2, first),
            InvertedResidual(first, inner3, second, stride=2),
            InvertedResidual(second, inner4, second),
            conv(second, head, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(head, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) to logits (batch, classes)."""
        return self.classifier(self.features(x))


class InvertedResidual(nn.Module):
    """Expansion, 3x3 depthwise convolution, projection (Sandler et al. 2018); adds its input at stride 1."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = stride == 1
        self.layers = nn.Sequential(
            conv(inputs, inner, 1),
            nn.ReLU(),
            conv(inner, inner, 3, stride, groups=inner),
            nn.ReLU(),
            conv(inner, outputs, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        return x + self.layers(x) if self.residual else self.layers(x)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the size at stride 1, and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )
