from __future__ import annotations

import pytest
import torch

from nasmith.lms.packed import best_dtype, product


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
