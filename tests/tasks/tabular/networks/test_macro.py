from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from nasmith.tasks.tabular import networks
from nasmith.tasks.tabular.networks import macro


@pytest.mark.parametrize("path", sorted(Path(networks.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_a_file_of_a_network_imports_pytorch_alone(path):
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names <= {"__future__", "torch"}


@pytest.mark.parametrize("design", [(0,) * 8, (2,) * 8, (1, 0, 2, 0, 1, 2, 0, 1)])
def test_images_become_logits_and_all_weights_learn(design):
    network = macro.Network(design, classes=7)
    logits = network(torch.rand(2, 3, 32, 32))
    logits.square().sum().backward()
    assert logits.shape == (2, 7)
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_block_adds_its_input_where_the_shape_stays():
    x = torch.rand(2, 4, 6, 6)
    blocks = [macro.InvertedResidual(4, 4, 3, 3, 1), macro.InvertedResidual(4, 8, 5, 6, 2)]
    for block in blocks:
        torch.nn.init.zeros_(block.layers[-1][-1].weight)
    assert torch.equal(blocks[0](x), x)
    assert torch.equal(blocks[1](x), torch.zeros(2, 8, 3, 3))


@pytest.mark.parametrize("design", [(0,) * 7, (3,) + (0,) * 7])
def test_what_is_no_design_is_refused(design):
    with pytest.raises(ValueError, match="8 numbers from 0 to 2"):
        macro.Network(design)
