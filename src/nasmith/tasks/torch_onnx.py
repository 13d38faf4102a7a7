"""Turns a trained PyTorch model into ONNX, in memory: a sandboxed process cannot write files."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

__all__ = ["to_onnx"]

_LONGEST = 300


def to_onnx(model: nn.Module, input_shape: tuple[int, ...], input_type: str) -> np.ndarray:
    """Return a model as ONNX, uint8, for any batch size.

    Args:
        model: On the CPU, in evaluation mode.
        input_shape: Of one input, without the batch.
        input_type: "float32" or "int64".

    Raises:
        ValueError: The packages `onnx` and `onnxscript` are missing, or the model cannot be exported; the message says why.
    """
    try:
        import onnxscript  # noqa: F401 - the exporter needs it
    except ImportError:
        raise ValueError('the packages onnx and onnxscript are missing: pip install "nasmith[onnx]"') from None
    example = torch.zeros(2, *input_shape, dtype=getattr(torch, input_type))
    batch = torch.export.Dim("batch")
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _no_cache_folder():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            program = torch.onnx.export(
                model, (example,), dynamo=True, dynamic_shapes=({0: batch},), input_names=["x"], output_names=["y"],
                verbose=False,
            )  # fmt: skip
            if program is None:
                raise ValueError("the exporter returned nothing")
            data = program.model_proto.SerializeToString()
    except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError, KeyError, AssertionError) as error:
        raise ValueError(f"PyTorch cannot export it: {_reason(error)}") from error
    finally:
        logging.disable(logging.NOTSET)
    return np.frombuffer(data, dtype=np.uint8)


@contextlib.contextmanager
def _no_cache_folder() -> Iterator[None]:
    """Name a folder that is there as the compiler's cache, into which an export writes nothing.

    PyTorch makes that folder during an export, too. In a sandbox it may not, and would give up.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(Path(torch.__file__).parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _reason(error: BaseException) -> str:
    """Return the first line of what an exporter's error came from, without colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return f"{type(error).__name__}: {plain.splitlines()[0] if plain else ''}"[:_LONGEST]
