"""Matrix products with weights packed as float16 and activations in float32, by FBGEMM.

On a processor without half-precision arithmetic this is quicker than float32: the weights are half as large, in the order
in which they are read. They came from 4 bits, or were float16 or bfloat16 before, so that little or nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["best_dtype", "product"]


def best_dtype(device: str = "cpu") -> str:
    """Return the weights' type that this machine multiplies quickest: "float16" (packed), "bfloat16" or "float32"."""
    if device != "cpu":
        return "bfloat16"
    amx = getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    if amx or getattr(torch.cpu, "_is_avx512_bf16_supported", bool)():
        return "bfloat16"
    capable = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return "float16" if capable and "fbgemm" in torch.backends.quantized.supported_engines else "float32"


def product(weight: Tensor, dtype: str) -> Callable[[Tensor], Tensor]:
    """Return x → x · weightᵀ, float32 in and out, with the weight kept as `dtype`; weight has the shape (outputs, inputs)."""
    if dtype == "float16" and weight.device.type == "cpu":
        packed = torch.ops.quantized.linear_prepack_fp16(weight.float().contiguous(), None)
        multiply = torch.ops.quantized.linear_dynamic_fp16
        return lambda x: multiply(x, packed)
    if dtype == "float32":
        full = weight.float()
        return lambda x: F.linear(x, full)
    half = weight.to(getattr(torch, dtype))
    return lambda x: F.linear(x.to(half.dtype), half).float()
