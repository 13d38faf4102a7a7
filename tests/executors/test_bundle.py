from __future__ import annotations

import fcntl
import mmap
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nasmith.executors import bundle as module
from nasmith.executors.bundle import Bundle, unpack

_NUMBERS = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes(sizes=(16, 32, 64))
_SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
_needs_seals = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has memory files that can be sealed")


def _round_trip(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    bundle = Bundle.of(arrays)
    try:
        return unpack(bundle.descriptor, bundle.entries)
    finally:
        bundle.close()


def _open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/dev/fd").iterdir()}


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(max_size=5), hnp.arrays(_NUMBERS, _SHAPES), max_size=5))
def test_arrays_come_out_as_they_went_in(arrays: dict[str, np.ndarray]) -> None:
    found = _round_trip(arrays)
    assert list(found) == list(arrays)
    assert all(_same(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("order", [[0, 5, 0], [5, 0], [0], [0, 0, 5], [64, 0], [63, 1]])
def test_empty_arrays_take_no_room_from_others(order: list[int]) -> None:
    arrays = {str(i): np.arange(count, dtype=np.uint8) for i, count in enumerate(order)}
    found = _round_trip(arrays)
    assert all(_same(found[name], array) for name, array in arrays.items())


def test_an_array_of_no_dimensions_stays_one() -> None:
    found = _round_trip({"x": np.array(2.5), "y": np.array(7, np.int8)})
    assert (found["x"].shape, float(found["x"]), found["y"].shape, int(found["y"])) == ((), 2.5, (), 7)


def test_views_come_out_in_the_order_of_their_elements() -> None:
    table = np.arange(12).reshape(3, 4)
    found = _round_trip({"transposed": table.T, "backwards": table[::-1, ::2], "fortran": np.asfortranarray(table)})
    np.testing.assert_array_equal(found["transposed"], table.T)
    np.testing.assert_array_equal(found["backwards"], table[::-1, ::2])
    np.testing.assert_array_equal(found["fortran"], table)


def test_every_array_begins_at_a_multiple_of_64_bytes_behind_the_one_before() -> None:
    bundle = Bundle.of({"a": np.zeros(3, np.int8), "b": np.zeros(65, np.int8), "c": np.zeros(1)})
    bundle.close()
    assert [entry[3] for entry in bundle.entries] == [0, 64, 192]


def test_no_arrays_make_a_bundle_too() -> None:
    assert _round_trip({}) == {}


def test_writes_stay_with_the_one_who_unpacked() -> None:
    original = np.arange(5)
    bundle = Bundle.of({"x": original})
    mine, theirs = (unpack(bundle.descriptor, bundle.entries)["x"] for _ in range(2))
    mine[:] = -1
    again = unpack(bundle.descriptor, bundle.entries)["x"]
    bundle.close()
    assert mine.tolist() == [-1] * 5
    assert theirs.tolist() == again.tolist() == original.tolist() == [0, 1, 2, 3, 4]


def test_a_change_of_the_original_changes_nothing() -> None:
    original = np.arange(5)
    bundle = Bundle.of({"x": original})
    original[:] = 9
    found = unpack(bundle.descriptor, bundle.entries)["x"]
    bundle.close()
    assert found.tolist() == [0, 1, 2, 3, 4]


@_needs_seals
def test_whoever_holds_the_descriptor_cannot_write_or_change_its_length() -> None:
    bundle = Bundle.of({"x": np.arange(5)})
    size = os.fstat(bundle.descriptor).st_size
    with pytest.raises(PermissionError):
        os.write(bundle.descriptor, b"forged")
    with pytest.raises(PermissionError):
        os.pwrite(bundle.descriptor, b"forged", 0)
    for length in (0, 1, size - 1, size + 1):
        with pytest.raises(PermissionError):
            os.truncate(bundle.descriptor, length)
    with pytest.raises(PermissionError):
        mmap.mmap(bundle.descriptor, 0)
    with pytest.raises(PermissionError):
        fcntl.fcntl(bundle.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    kept = unpack(bundle.descriptor, bundle.entries)["x"].tolist()
    bundle.close()
    assert kept == [0, 1, 2, 3, 4]


@_needs_seals
def test_opening_it_a_second_time_through_proc_gives_no_way_to_write() -> None:
    bundle = Bundle.of({"x": np.arange(5)})
    second = os.open(f"/proc/self/fd/{bundle.descriptor}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.write(second, b"forged")
    os.close(second)
    bundle.close()


def test_programs_that_are_started_do_not_inherit_it() -> None:
    bundle = Bundle.of({"x": np.arange(5)})
    inheritable = os.get_inheritable(bundle.descriptor)
    bundle.close()
    assert not inheritable


def test_descriptors_do_not_leak() -> None:
    before = _open_descriptors()
    bundle = Bundle.of({"x": np.arange(5)})
    bundle.close()
    assert _open_descriptors() == before


def test_a_failure_half_way_closes_the_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no memory")

    before = _open_descriptors()
    monkeypatch.setattr(module.mmap, "mmap", refuse)
    with pytest.raises(OSError, match="no memory"):
        Bundle.of({"x": np.arange(5)})
    assert _open_descriptors() == before


def test_arrays_outlive_the_descriptor() -> None:
    assert _round_trip({"x": np.full(100_000, 3)})["x"].sum() == 300_000


def test_other_systems_take_a_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "darwin")
    before = _open_descriptors()
    found = _round_trip({"x": np.arange(5), "empty": np.zeros((0, 3))})
    assert found["x"].tolist() == [0, 1, 2, 3, 4]
    assert found["empty"].shape == (0, 3)
    del found
    assert len(_open_descriptors()) <= len(before) + 1  # a map of a file may keep a descriptor of its own until it is collected
