from __future__ import annotations

import pytest
import torch
from torch import nn

from nasmith.tasks.torch_cuda_graph import capture_step

pytestmark = pytest.mark.gpu


@pytest.fixture
def batch():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    generator = torch.Generator(device="cuda").manual_seed(0)
    return torch.randn(16, 8, device="cuda", generator=generator), torch.arange(16, device="cuda") % 3


def test_capturing_leaves_the_model_as_it_was(batch):
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).cuda()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert capture_step(model, *batch, learning_rate=0.01, weight_decay=0.01) is not None
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_replayed_steps_lower_the_loss(batch):
    step = capture_step(nn.Linear(8, 3).cuda(), *batch, learning_rate=0.1, weight_decay=0.0)
    assert step is not None
    first, *_, last = [float(step(*batch)) for _ in range(30)]
    assert last < first


def test_a_model_that_depends_on_values_is_not_captured(batch):
    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(8, 3)

        def forward(self, x):
            return self.out(x) if float(x.sum()) < 1e9 else -self.out(x)

    model = Looks().cuda()
    assert capture_step(model, *batch, learning_rate=0.1, weight_decay=0.0) is None
    model(batch[0]).sum().backward()
    assert model.out.weight.grad is not None
