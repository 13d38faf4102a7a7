from __future__ import annotations

import numpy as np
import pytest

from nasmith.array_files import cached_arrays, checksum, read_arrays, write_arrays
from nasmith.errors import NasmithError

ARRAYS = {"x": np.arange(6, dtype=np.int8).reshape(2, 3), "y": np.ones(2, dtype=np.float32)}


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "new" / "arrays.npz"
    write_arrays(path, ARRAYS)
    back = read_arrays(path)
    assert back is not None and set(back) == set(ARRAYS)
    assert all(back[name].dtype == value.dtype and np.array_equal(back[name], value) for name, value in ARRAYS.items())
    assert [entry.name for entry in path.parent.iterdir()] == ["arrays.npz"]


def test_they_are_made_once(tmp_path):
    made = []

    def make():
        made.append(1)
        return ARRAYS

    for _ in range(3):
        cached_arrays(tmp_path / "a.npz", make)
    assert made == [1]


@pytest.mark.parametrize("damage", ["cut", "changed", "not a zip", "no checksum"])
def test_damaged_files_are_made_again(tmp_path, damage):
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "not a zip":
        path.write_bytes(b"nothing of the kind")
    elif damage == "changed":
        np.savez(path, **ARRAYS | {"y": np.zeros(2, dtype=np.float32)}, sha256=np.array(checksum(ARRAYS)))
    else:
        np.savez(path, **ARRAYS)
    assert read_arrays(path) is None
    assert np.array_equal(cached_arrays(path, lambda: ARRAYS)["y"], ARRAYS["y"])
    assert read_arrays(path) is not None


def test_what_cannot_be_read_back_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("nasmith.array_files.write_arrays", lambda path, arrays: path.write_bytes(b""))
    with pytest.raises(NasmithError, match="cannot be read back"):
        cached_arrays(tmp_path / "a.npz", lambda: ARRAYS)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NasmithError, match="NASMITH_CACHE"):
        cached_arrays(tmp_path / "file" / "a.npz", lambda: ARRAYS)


def test_a_failed_making_leaves_nothing(tmp_path):
    def make():
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError):
        cached_arrays(tmp_path / "a.npz", make)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [{"x": ARRAYS["x"]}, ARRAYS | {"y": np.ones(2)}, ARRAYS | {"x": ARRAYS["x"].reshape(3, 2)}])
def test_the_checksum_depends_on_names_types_and_shapes(other):
    assert checksum(other) != checksum(ARRAYS)
