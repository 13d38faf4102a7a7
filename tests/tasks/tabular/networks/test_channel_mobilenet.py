from __future__ import annotations

import pytest
import torch

from nasmith.tasks.tabular.networks import channel_mobilenet


@pytest.mark.parametrize("design", [(0,) * 7, (0, 1, 2, 3, 1, 0, 2)])
def test_images_become_logits_and_all_weights_learn(design):
    network = channel_mobilenet.Network(design, classes=7)
    logits = network(torch.rand(2, 3, 32, 32))
    logits.square().sum().backward()
    assert logits.shape == (2, 7)
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_position_gives_the_channels_of_its_convolution():
    network = channel_mobilenet.Network((0, 1, 2, 3, 1, 0, 2))
    outputs = [module.out_channels for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert outputs == [32, 384, 384, 32, 576, 576, 32, 768, 768, 128, 384, 384, 128, 768]


def test_a_block_adds_its_input_at_stride_one():
    x = torch.rand(2, 4, 6, 6)
    blocks = [channel_mobilenet.InvertedResidual(4, 8, 4), channel_mobilenet.InvertedResidual(4, 8, 4, stride=2)]
    for block in blocks:
        torch.nn.init.zeros_(block.layers[-1][-1].weight)
    assert torch.equal(blocks[0](x), x)
    assert torch.equal(blocks[1](x), torch.zeros(2, 4, 3, 3))


@pytest.mark.parametrize("design", [(0,) * 6, (4,) + (0,) * 6])
def test_what_is_no_design_is_refused(design):
    with pytest.raises(ValueError, match="7 numbers from 0 to 3"):
        channel_mobilenet.Network(design)
