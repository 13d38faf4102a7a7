from __future__ import annotations

import json
import math
import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nasmith.executors.wire import WireError, pack_outcome, printable, receive, send, unpack_outcome
from nasmith.types import Outcome, Status

_LIMIT = 1_000_000
_PREFIX = struct.Struct(">4sIQ")
_GOOD = {"status": "ok", "message": "", "facts": {}, "arrays": []}


def frame(header: object, body: bytes = b"", magic: bytes = b"nas1") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _PREFIX.pack(magic, len(text), len(body)) + text + body


@given(
    arrays=st.dictionaries(
        st.text("abc/._0", min_size=1, max_size=8),
        hnp.arrays(
            st.sampled_from(["?", "i1", ">i2", "u4", "i8", "f2", ">f4", "f8"]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    ),
    facts=st.dictionaries(st.text("abc", max_size=3), st.floats(), max_size=3),
)
def test_what_is_packed_comes_back_the_same(arrays: dict[str, np.ndarray], facts: dict[str, float]) -> None:
    outcome = unpack_outcome(pack_outcome(Outcome(Status.OK, arrays, facts), _LIMIT), _LIMIT)
    assert list(outcome.arrays) == list(arrays)
    for name, array in arrays.items():
        assert outcome.arrays[name].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(outcome.arrays[name], array)
    assert outcome.facts == pytest.approx(facts, nan_ok=True)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(WireError):
        unpack_outcome(noise, _LIMIT)


@given(st.data())
def test_a_frame_with_one_byte_changed_is_refused_or_still_an_outcome(data: st.DataObject) -> None:
    good = bytearray(pack_outcome(Outcome(Status.OK, {"a": np.arange(3)}, {"f": 1.0}), _LIMIT))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        outcome = unpack_outcome(good, _LIMIT)
    except WireError:
        return
    assert all(array.nbytes <= _LIMIT for array in outcome.arrays.values())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not complete"),
        (frame(_GOOD, magic=b"NOPE"), "not a result"),
        (frame(_GOOD) + b"x", "something else was written"),
        (frame(_GOOD)[:-1], "not complete"),
        (frame(b"{nonsense"), "not JSON"),
        (frame(b"[" * 100_000), "not JSON"),
        (frame([1]), "not an object"),
        (frame(_GOOD | {"status": "timeout"}), "not what was asked for"),
        (frame(_GOOD | {"status": "error"}), "not what was asked for"),
        (frame(_GOOD | {"status": ["ok"]}), "not what was asked for"),
        (frame(_GOOD | {"message": 3}), "not what was asked for"),
        (frame(_GOOD | {"facts": {"a": "1"}}), "fact 'a' is not a number"),
        (frame(_GOOD | {"facts": {"a": 10**400}}), "fact 'a' is not a number"),
        (frame(_GOOD | {"facts": {"\x1b": 1}}), "not printable"),
        (frame(_GOOD | {"arrays": 3}), "list of arrays"),
        (frame(_GOOD | {"arrays": [[1, 2]]}), "not (name, type, shape)"),
        (frame(_GOOD | {"arrays": [["a", "|O", [1]]]}, b"12345678"), "not a boolean"),
        (frame(_GOOD | {"arrays": [["a", "<f4,<f4", [1]]]}), "not a boolean"),
        (frame(_GOOD | {"arrays": [["a", "<f3", [1]]]}), "not known"),
        (frame(_GOOD | {"arrays": [["a", "<f4", [2]]]}, b"1234"), "shorter than its shape"),
        (frame(_GOOD | {"arrays": [["a", "<f4", [1 << 39, 1 << 39]]]}), "shorter than its shape"),
        (frame(_GOOD | {"arrays": [["a", "<f4", [0] + [1 << 39] * 4]]}), "cannot have the shape"),
        (frame(_GOOD | {"arrays": [["a", "<f4", [-1]]]}, b"1234"), "list of sizes"),
        (frame(_GOOD | {"arrays": [["a", "<f4", [True]]]}, b"1234"), "list of sizes"),
        (frame(_GOOD | {"arrays": []}, b"1234"), "more bytes than its arrays"),
        (_PREFIX.pack(b"nas1", 2, 1 << 60) + b"{}", "are allowed"),
        (_PREFIX.pack(b"nas1", 1 << 31, 0) + b"{}", "are allowed"),
    ],
)
def test_a_forged_result_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        unpack_outcome(text, _LIMIT)
    assert reason in str(caught.value)


def test_an_array_that_lies_about_itself_travels_as_its_plain_numbers() -> None:
    class Liar(np.ndarray):
        def tobytes(self, *args: object) -> bytes:  # type: ignore[override]
            return b"nonsense"

    outcome = unpack_outcome(pack_outcome(Outcome(Status.OK, {"a": np.ones(2).view(Liar)}), _LIMIT), _LIMIT)
    assert type(outcome.arrays["a"]) is np.ndarray
    assert outcome.arrays["a"].tolist() == [1, 1]


def test_nan_and_infinity_travel_as_facts() -> None:
    outcome = unpack_outcome(pack_outcome(Outcome(Status.OK, facts={"a": math.nan, "b": -math.inf}), _LIMIT), _LIMIT)
    assert math.isnan(outcome.facts["a"])
    assert outcome.facts["b"] == -math.inf


def test_frames_cross_a_socket_in_order() -> None:
    here, there = socket.socketpair()
    with here, there:
        send(here, {"n": 1}, b"abc")
        send(here, {"n": 2})
        assert receive(there, 3) == ({"n": 1}, b"abc")
        assert receive(there, 0) == ({"n": 2}, b"")


@pytest.mark.parametrize("sent", [b"", b"nas1", frame({"n": 1}, b"abc")[:-1]])
def test_a_socket_that_ends_early_is_an_end_of_file(sent: bytes) -> None:
    here, there = socket.socketpair()
    with there:
        with here:
            here.sendall(sent)
        with pytest.raises(EOFError):
            receive(there, 100)


def test_a_frame_above_the_limit_is_refused_before_it_is_read() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(_PREFIX.pack(b"nas1", 2, 1 << 50))
        with pytest.raises(WireError, match="are allowed"):
            receive(there, 100)


def test_control_characters_and_surrogates_are_taken_out_of_texts() -> None:
    assert printable("a\x1b[31m\x00b\ud800\nü\t") == "a[31mb\nü\t"
