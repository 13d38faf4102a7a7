from __future__ import annotations

import pytest
import torch

from nasmith.tasks.tabular.networks import nasbench201
from nasmith.tasks.tabular.networks.nasbench201 import CONV_1X1, CONV_3X3, NONE, POOL_3X3, SKIP


@pytest.mark.parametrize("design", [(CONV_3X3,) * 6, (SKIP, CONV_1X1, POOL_3X3, NONE, CONV_3X3, SKIP)])
def test_images_become_logits_and_all_weights_learn(design):
    network = nasbench201.Network(design, classes=7, channels=4, cells=2)
    logits = network(torch.rand(2, 3, 16, 16))
    logits.square().sum().backward()
    assert logits.shape == (2, 7)
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_cell_without_paths_gives_logits_that_do_not_depend_on_the_image():
    network = nasbench201.Network((NONE, NONE, CONV_3X3, NONE, NONE, SKIP), channels=4, cells=1).eval()
    with torch.no_grad():
        one, other = network(torch.rand(2, 3, 16, 16))
    assert torch.equal(one, other)


def test_the_last_layers_learn_where_a_cell_has_no_paths():
    network = nasbench201.Network((NONE,) * 6, channels=4, cells=1)
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert network.classifier.bias.grad.abs().sum() > 0


def test_a_node_is_the_sum_of_its_edges():
    x = torch.rand(2, 3, 5, 5)
    cell = nasbench201.Cell((SKIP, SKIP, SKIP, SKIP, SKIP, SKIP), 3)
    assert torch.allclose(cell(x), 4 * x)


def test_pooling_leaves_the_border_out():
    x = torch.ones(1, 2, 5, 5)
    cell = nasbench201.Cell((NONE, NONE, NONE, POOL_3X3, NONE, NONE), 2)
    assert torch.allclose(cell(x), x)


def test_an_operation_lies_on_its_edge():
    cell = nasbench201.Cell((CONV_1X1, SKIP, CONV_3X3, NONE, POOL_3X3, SKIP), 2).eval()
    x = torch.rand(1, 2, 5, 5)
    kernels = [module.kernel_size for module in cell.modules() if isinstance(module, torch.nn.Conv2d)]
    one, _, three, pool, _ = cell.operations
    node1 = one(x)
    assert kernels == [(1, 1), (3, 3)]
    assert torch.allclose(cell(x), pool(node1) + x + three(node1))


@pytest.mark.parametrize("design", [(0,) * 5, (5,) + (0,) * 5])
def test_what_is_no_design_is_refused(design):
    with pytest.raises(ValueError, match="6 numbers from 0 to 4"):
        nasbench201.Network(design)
