"""The networks of NAS-Bench-Macro (Su et al. 2021, "Prioritized Architecture Sampling with Monto-Carlo Tree Search")."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["InvertedResidual", "Network", "conv"]

STEM, HEAD = 32, 1280  # channels
STRIDES = (2, 1, 2, 1, 1, 2, 1, 1)  # of the eight layers; where the stride is 2, the number of channels doubles
BLOCKS = {1: (3, 3), 2: (5, 6)}  # kernel size and expansion of the inverted residuals, by choice


class Network(nn.Module):
    """A stem, eight layers in three stages (of 2, 3 and 3 layers), a head.

    Args:
        design: The choice of each of the eight layers: 0 identity (a 1x1 convolution where the shape changes), 1 inverted
            residual with kernel size 3 and expansion 3, 2 inverted residual with kernel size 5 and expansion 6.
        classes: Number of logits.
    """

    def __init__(self, design: tuple[int, ...], classes: int = 10) -> None:
        super().__init__()
        if len(design) != len(STRIDES) or not set(design) <= {0, 1, 2}:
            raise ValueError(f"design must be {len(STRIDES)} numbers from 0 to 2, not {design}")
        layers = [conv(3, STEM, 3), nn.ReLU()]
        channels = STEM
        for choice, stride in zip(design, STRIDES, strict=True):
            outputs = channels * stride
            if choice:
                layers.append(InvertedResidual(channels, outputs, *BLOCKS[choice], stride))
            elif stride > 1:
                layers.append(conv(channels, outputs, 1, stride))
            channels = outputs
        self.features = nn.Sequential(*layers, conv(channels, HEAD, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(HEAD, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) to logits (batch, classes)."""
        return self.classifier(self.features(x))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection (Sandler et al. 2018); adds its input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = inputs == outputs and stride == 1
        self.layers = nn.Sequential(
            conv(inputs, hidden, 1),
            nn.ReLU(),
            conv(hidden, hidden, kernel, stride, groups=hidden),
            nn.ReLU(),
            conv(hidden, outputs, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        return x + self.layers(x) if self.residual else self.layers(x)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the size at stride 1, and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )
