from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nasmith.tasks.imagenet import mobile_network
from nasmith.tasks.imagenet.mobile_network import InvertedResidual, Network, squeezed

GENIUS_329 = (1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 4, 0, 4, 3, 0, 0, 4, 3, 0, 4, 4, 0, 5, 0, 5, 5, 5, 0)


@pytest.mark.parametrize("side", [32, 33, 64])
def test_it_classifies_images_of_any_size(side):
    logits = Network(GENIUS_329, 7).eval()(torch.randn(2, 3, side, side))
    assert logits.shape == (2, 7) and logits.isfinite().all()


def test_each_choice_is_the_block_that_it_stands_for():
    network = Network((5, 1, 0, 6, 0, 0, *(0,) * 24))
    blocks = [module for module in network.modules() if isinstance(module, InvertedResidual)]
    depthwise = [next(m for m in block.modules() if isinstance(m, nn.Conv2d) and m.groups > 1) for block in blocks]
    assert [(m.kernel_size[0], m.groups, m.stride[0]) for m in depthwise] == [(5, 96, 2), (3, 96, 1), (7, 144, 1)]
    assert [block.residual for block in blocks] == [False, True, True]


def test_without_blocks_a_projection_changes_the_shape_in_each_stage():
    network = Network((0,) * 30)
    shapes = [
        tuple(m.weight.shape[:2]) for m in network.features if isinstance(m, nn.Sequential) for m in m if hasattr(m, "groups")
    ]
    assert shapes == [(16, 3), (24, 16), (40, 24), (80, 40), (96, 80), (192, 96), (320, 192)]


def test_gradients_reach_every_parameter():
    network = Network(GENIUS_329, 4)
    network(torch.randn(4, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("design", [(0,) * 29, (7, *(0,) * 29), (-1, *(0,) * 29)])
def test_what_is_no_design_is_refused(design):
    with pytest.raises(ValueError, match="a design is 30 numbers from 0 to 6"):
        Network(design)


def test_dropout_acts_in_training_alone():
    network = Network((0,) * 30, 5, dropout=0.5)
    x = torch.randn(2, 3, 32, 32)
    network.eval()
    assert torch.equal(network(x), network(x))
    network.classifier.train()
    assert not torch.equal(network(x), network(x))


def test_the_inner_channels_of_squeeze_excite_are_multiples_of_8():
    assert [squeezed(channels) for channels in (16, 64, 96, 144, 240, 1152)] == [8, 16, 24, 40, 64, 288]


def test_the_file_needs_pytorch_alone(tmp_path):
    source = Path(mobile_network.__file__).read_text(encoding="utf-8")
    (tmp_path / "alone.py").write_text(source, encoding="utf-8")
    code = "import sys, alone; assert not any(m.split('.')[0] == 'nasmith' for m in sys.modules); alone.Network((0,) * 30)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
