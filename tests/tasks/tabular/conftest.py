"""The published tables, where this machine has them, and a count of a network's size that measures it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def table():
    """A function that reads a published table by the name of its file, and skips the test where it is not there."""

    def read(name: str) -> dict[str, dict]:
        folder = Path(os.environ.get("NASMITH_DATA", ROOT.parent / "shared" / "data" / "genius"))
        path = folder / name
        if not path.is_file():
            pytest.skip(f"no {name} in {folder}: name the folder with the published tables by NASMITH_DATA")
        return json.loads(path.read_text(encoding="utf-8"))

    return read


@pytest.fixture(scope="session")
def measured():
    """A function that builds a network without memory, passes one image through it, and returns its `Counts`, a tuple."""
    import torch
    from torch import nn

    def measure(build, size: int = 32) -> tuple[int, int, int]:
        flops = activations = 0

        def count(module, _, output):
            nonlocal flops, activations
            if isinstance(module, nn.ReLU):
                activations += output[0].numel()
            if isinstance(module, nn.Conv2d):
                flops += module.weight[0].numel() * output[0].numel()
            elif isinstance(module, nn.Linear):
                flops += module.weight.numel()

        with torch.device("meta"), torch.no_grad():
            network = build().eval()
            for module in network.modules():
                module.register_forward_hook(count)
            network(torch.empty(1, 3, size, size))
        return sum(parameter.numel() for parameter in network.parameters()), flops, activations

    return measure


@pytest.fixture
def drawn():
    """A function that draws designs, (n, positions)."""
    return lambda n, positions, choices: np.random.default_rng(3).integers(0, choices, size=(n, positions))
