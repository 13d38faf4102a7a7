from __future__ import annotations

import pytest
import torch

from nasmith.errors import ConfigError
from nasmith.lms import devices


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted"), [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_cuda_then_mps_then_the_processor(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, wanted: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.find("auto") == wanted


def test_a_device_that_is_there_is_taken_as_said() -> None:
    assert devices.find("cpu") == "cpu"


@pytest.mark.parametrize("device", ["cuda:99", "toaster"])
def test_a_device_that_is_missing_is_refused_with_those_that_are_there(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{device}'.*auto, .*cpu"):
        devices.find(device)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA"), True),
        (RuntimeError("MPS backend out of memory (allocated 9 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
    ],
)
def test_only_exhausted_memory_is_taken_for_it(error: RuntimeError, full: bool) -> None:
    assert devices.is_out_of_memory(error) is full
