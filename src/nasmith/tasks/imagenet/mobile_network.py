"""The networks of the ImageNet mobile space (Zheng et al. 2023, arXiv 2304.10970): five stages of up to six layers.

This file needs PyTorch alone: an export holds it as it is. All that the space knows of its layers is derived from the constants
here. Where the paper is silent (activation, squeeze-excite, residuals, head) they are as in MobileNetV3 (Howard et al. 2019).
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = [
    "DEPTH",
    "HEAD",
    "INPUTS",
    "OPERATIONS",
    "STAGES",
    "STEM",
    "InvertedResidual",
    "Network",
    "Separable",
    "SqueezeExcite",
    "conv",
    "squeezed",
]

INPUTS, STEM = 3, 16  # channels of an image, and of the first two layers
STAGES = ((16, 24, 2), (24, 40, 2), (40, 80, 2), (80, 96, 1), (96, 192, 2))  # channels in and out, stride of the first layer
DEPTH = 6  # layers of a stage
OPERATIONS = (None, (3, 4), (5, 4), (7, 4), (3, 6), (5, 6), (7, 6))  # kernel size and expansion of an inverted residual
HEAD = (320, 1280)  # channels before and after pooling


class Network(nn.Module):
    """A stem, five stages of up to six layers, a head.

    Args:
        design: 30 numbers from 0 to 6, six for each stage: 0 for no layer (in a stage's first place, a 1x1 convolution that
            changes the shape), otherwise an inverted residual: 1, 2, 3 with kernel size 3, 5, 7 and expansion 4; 4, 5, 6
            likewise with expansion 6.
        classes: Number of logits.
        dropout: Share of the last features that is dropped in training.
    """

    def __init__(self, design: tuple[int, ...], classes: int = 1000, dropout: float = 0.0) -> None:
        super().__init__()
        if len(design) != DEPTH * len(STAGES) or not set(design) <= set(range(len(OPERATIONS))):
            raise ValueError(f"a design is {DEPTH * len(STAGES)} numbers from 0 to {len(OPERATIONS) - 1}, not {design}")
        layers: list[nn.Module] = [conv(INPUTS, STEM, 3, 2), nn.Hardswish(), Separable(STEM)]
        for stage, (inputs, outputs, stride) in enumerate(STAGES):
            first, *rest = (OPERATIONS[choice] for choice in design[stage * DEPTH : (stage + 1) * DEPTH])
            layers.append(InvertedResidual(inputs, outputs, *first, stride) if first else conv(inputs, outputs, 1, stride))
            layers += [InvertedResidual(outputs, outputs, *each, 1) for each in rest if each]
        self.features = nn.Sequential(*layers, conv(STAGES[-1][1], HEAD[0], 1), nn.Hardswish())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(*HEAD), nn.Hardswish())
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(HEAD[1], classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width), normalised, to logits (batch, classes)."""
        return self.classifier(self.head(self.features(x)))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-excite, projection; adds its input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = inputs == outputs and stride == 1
        self.layers = nn.Sequential(
            conv(inputs, hidden, 1),
            nn.Hardswish(),
            conv(hidden, hidden, kernel, stride, groups=hidden),
            nn.Hardswish(),
            SqueezeExcite(hidden),
            conv(hidden, outputs, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) to (batch, outputs, height / stride, width / stride), rounded up."""
        return x + self.layers(x) if self.residual else self.layers(x)


class Separable(nn.Module):
    """Depthwise convolution, squeeze-excite, 1x1 convolution; adds its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        depthwise, pointwise = conv(channels, channels, 3, groups=channels), conv(channels, channels, 1)
        self.layers = nn.Sequential(depthwise, nn.Hardswish(), SqueezeExcite(channels), pointwise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) to the same shape."""
        return x + self.layers(x)


class SqueezeExcite(nn.Module):
    """Scales each channel by a number in [0, 1] that depends on all channels' means (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed(channels), 1)
        self.expand = nn.Conv2d(squeezed(channels), channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) to the same shape."""
        means = x.mean((2, 3), keepdim=True)
        return x * nn.functional.hardsigmoid(self.expand(nn.functional.relu(self.reduce(means))))


def squeezed(channels: int) -> int:
    """Return the inner channels of squeeze-excite: a quarter, rounded to the nearest multiple of 8, at least 8."""
    return max(8, int(channels / 4 + 4) // 8 * 8)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the size at stride 1, and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )
