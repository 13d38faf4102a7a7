from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nasmith.errors import UsageError
from nasmith.lms import adapters


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "adapter.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2)}
    adapters.write(path, "lora", "tiny", tensors, rank="2")
    read, facts = adapters.read(path, "lora", "tiny")
    assert facts["rank"] == "2" and read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert [file.name for file in path.parent.iterdir()] == ["adapter.safetensors"]


def test_a_failed_write_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "adapter.safetensors"
    adapters.write(path, "soft-prompt", "tiny", {"a": torch.zeros(4)})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        adapters.write(path, "soft-prompt", "tiny", {"a": torch.ones(4)})
    assert torch.equal(adapters.read(path, "soft-prompt", "tiny")[0]["a"], torch.zeros(4))
    assert [file.name for file in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    with pytest.raises(UsageError, match="cannot read"):
        adapters.read(path, "lora", "tiny")
    path.write_bytes(b"not safetensors")
    with pytest.raises(UsageError, match="cannot read"):
        adapters.read(path, "lora", "tiny")


def test_a_file_of_another_kind_or_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    adapters.write(path, "lora", "tiny", {"a": torch.zeros(4)})
    with pytest.raises(UsageError, match="set adapter=lora"):
        adapters.read(path, "soft-prompt", "tiny")
    with pytest.raises(UsageError, match="tuned for the model tiny, not for large"):
        adapters.read(path, "lora", "large")


def test_a_file_that_names_no_kind_is_a_soft_prompt(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    save_file({"a": torch.zeros(4)}, path, metadata={"format": "pt", "model": "tiny"})
    assert adapters.read(path, "soft-prompt", "tiny")[0].keys() == {"a"}
