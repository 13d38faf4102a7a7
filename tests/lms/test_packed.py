from __future__ import annotations

import pytest
import torch
from torch import nn

from nasmith.lms.packed import best_dtype, pack_linears, product


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_product_is_that_of_the_rounded_weights(dtype: str) -> None:
    draw = torch.Generator().manual_seed(0)
    weight, x = torch.randn(24, 40, generator=draw), torch.randn(7, 40, generator=draw)
    rounded = weight.to(getattr(torch, dtype)).float()
    x = x.to(torch.bfloat16).float() if dtype == "bfloat16" else x
    got = product(weight, dtype)(x)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, x @ rounded.t(), rtol=1e-2 if dtype == "bfloat16" else 1e-4, atol=2e-2)


def test_the_best_type_is_one_that_can_be_asked_for() -> None:
    assert best_dtype() in ("float16", "bfloat16", "float32")
    assert best_dtype("cuda") == "bfloat16"


def test_gradients_flow_through_packed_layers_to_their_inputs() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16, bias=False), nn.Tanh(), nn.Linear(16, 4, bias=False)).requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    plain, packed = x.clone().requires_grad_(), x.clone().requires_grad_()
    out = model(plain)
    out.square().sum().backward()
    pack_linears(model)
    again = model(packed)
    again.square().sum().backward()
    torch.testing.assert_close(again, out, rtol=1e-3, atol=1e-4)
    assert plain.grad is not None and packed.grad is not None
    torch.testing.assert_close(packed.grad, plain.grad, rtol=1e-3, atol=1e-3)
