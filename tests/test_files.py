from __future__ import annotations

import os
from pathlib import Path

import pytest

from nasmith.files import cache_folder, write_whole


def test_a_file_is_written_over_the_former_one_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failure_keeps_the_former_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"former")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if fails == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"former"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_data_is_on_the_disk_before_the_file_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, named = tmp_path / "file", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: named.append((path.exists(), os.fstat(descriptor).st_size)))
    write_whole(path, b"data")
    assert named == [(False, 4)]


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("NASMITH_CACHE")
    assert cache_folder().name == "nasmith"
