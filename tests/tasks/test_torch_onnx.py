from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from nasmith.tasks.torch_onnx import to_onnx

onnxruntime = pytest.importorskip("onnxruntime")


def test_tokens_in_batches_of_any_size_give_the_same_outputs():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 3)).eval()
    session = onnxruntime.InferenceSession(to_onnx(model, (5,), "int64").tobytes(), providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        x = np.random.default_rng(batch).integers(0, 9, (batch, 5))
        with torch.no_grad():
            assert np.allclose(session.run(None, {"x": x})[0], model(torch.from_numpy(x)), atol=1e-5)


def test_a_model_that_cannot_be_exported_is_an_error_of_one_line():
    class Looks(nn.Module):
        def forward(self, x):
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(ValueError, match="PyTorch cannot export it: ") as caught:
        to_onnx(Looks().eval(), (4,), "float32")
    assert "\n" not in str(caught.value)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match="onnxscript are missing: pip install"):
        to_onnx(nn.Linear(2, 2).eval(), (2,), "float32")
