from __future__ import annotations

import pytest
import torch
from torch import nn

from nasmith.tasks.folder.peak_memory import peak_memory_mb

FLOAT = 4


def peak(model: nn.Module, *shape: int) -> float:
    return round(peak_memory_mb(model.eval(), torch.zeros(shape)) * 1e6)


def test_a_layer_needs_its_weights_its_inputs_and_its_outputs():
    assert peak(nn.Linear(30, 50), 8, 30) == FLOAT * (30 * 50 + 50 + 8 * 30 + 8 * 50)


def test_of_a_chain_only_what_lives_at_once_counts():
    model = nn.Sequential(nn.Linear(10, 200, bias=False), nn.Linear(200, 5, bias=False), nn.Linear(5, 100, bias=False))
    weights = 10 * 200 + 200 * 5 + 5 * 100
    batch = 4
    # the first output and the second live together; the first is gone when the third is made
    assert peak(model, batch, 10) == FLOAT * (weights + batch * 10 + batch * (200 + 5))


def test_a_skip_connection_keeps_its_input():
    class Skip(nn.Module):
        def forward(self, x):
            y = x * 2
            z = y + 1
            return z * y

    assert peak(Skip(), 100) == FLOAT * 100 * 4  # x, y, z and the product


def test_what_is_done_in_place_or_is_a_view_needs_no_more():
    class InPlace(nn.Module):
        def forward(self, x):
            y = x * 2
            y.relu_()
            return y.view(-1, 10).transpose(0, 1)

    assert peak(InPlace(), 100) == FLOAT * 100 * 2


def test_a_weight_under_two_names_counts_once_and_buffers_count():
    layer = nn.Linear(20, 20, bias=False)
    model = nn.Sequential(layer, layer)
    model.register_buffer("table", torch.zeros(1000))
    assert peak(model, 1, 20) == FLOAT * (400 + 1000 + 3 * 20)


def test_it_is_the_same_each_time():
    model = nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(2, 3, 20))
    assert len({peak(model, 2, 3, 20) for _ in range(3)}) == 1


@pytest.mark.parametrize(
    "layer", [nn.GRU(4, 6, batch_first=True), nn.LSTM(4, 6), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)]
)
def test_layers_with_kernels_of_their_own_can_be_measured(layer):
    weights = sum(parameter.numel() for parameter in layer.parameters())
    assert peak(layer, 2, 5, 4) >= FLOAT * (weights + 2 * 2 * 5 * 4)
