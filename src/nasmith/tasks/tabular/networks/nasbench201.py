"""The networks of NAS-Bench-201 (Dong and Yang 2020, arXiv 2001.00326): one cell, repeated."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Cell", "Network", "Reduction", "conv", "edge_operation"]

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # from node, to node; in the order of a design
NONE, SKIP, CONV_1X1, CONV_3X3, POOL_3X3 = range(5)


class Network(nn.Module):
    """A stem, three stages of cells with a residual block of stride 2 before the second and the third, a linear layer.

    Args:
        design: The operation on each of a cell's six edges, as `EDGES` orders them: 0 none, 1 skip, 2 1x1 convolution,
            3 3x3 convolution, 4 3x3 average pooling. So a benchmark's "|a~0|+|b~0|c~1|+|d~0|e~1|f~2|" is (a, b, c, d, e, f).
        classes: Number of logits.
        channels: Of the stem and the first stage; doubles with each stage.
        cells: In a stage.
    """

    def __init__(self, design: tuple[int, ...], classes: int = 10, channels: int = 16, cells: int = 5) -> None:
        super().__init__()
        if len(design) != len(EDGES) or not set(design) <= set(range(5)):
            raise ValueError(f"design must be {len(EDGES)} numbers from 0 to 4, not {design}")
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
        for stage in range(3):
            if stage:
                layers.append(Reduction(channels))
                channels *= 2
            layers += [Cell(design, channels) for _ in range(cells)]
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) to logits (batch, classes); height and width are multiples of 4."""
        return self.classifier(self.features(x))


class Cell(nn.Module):
    """Four nodes: 0 is the input, 3 the output; a node is the sum of its edges, or zero where it has none."""

    def __init__(self, design: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.edges = [edge for edge, operation in zip(EDGES, design, strict=True) if operation != NONE]
        self.operations = nn.ModuleList(edge_operation(choice, channels) for choice in design if choice != NONE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) to the same shape."""
        nodes = [x] + [torch.zeros_like(x)] * 3
        for (source, target), operation in zip(self.edges, self.operations, strict=True):
            nodes[target] = nodes[target] + operation(nodes[source])
        return nodes[3]


class Reduction(nn.Module):
    """A residual block that halves height and width, and doubles the channels; the shortcut is pooled and projected."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(channels, 2 * channels, 3, stride=2), conv(2 * channels, 2 * channels, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) to (batch, 2 * channels, height / 2, width / 2)."""
        return self.shortcut(x) + self.layers(x)


def edge_operation(choice: int, channels: int) -> nn.Module:
    """What lies on an edge that is not `NONE`."""
    if choice == SKIP:
        return nn.Identity()
    if choice == POOL_3X3:
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return conv(channels, channels, 3 if choice == CONV_3X3 else 1)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, a convolution without bias that keeps the size at stride 1, batch normalisation."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )
