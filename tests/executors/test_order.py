from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.executors.bundle import Bundle, unpack
from nasmith.executors.order import Order
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.wire import send
from nasmith.types import Job

_LIMITS = Limits(timeout_seconds=1.5, memory_bytes=1 << 30, output_bytes=1 << 20, threads=2, cpu_seconds=3.0)
_DATA = {"train": {"x": np.arange(6.0).reshape(2, 3)}, "val": {"x": np.zeros((0, 3)), "y": np.array([1, 2], np.int8)}}

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def bundles() -> Iterator[Mapping[str, Bundle]]:
    made = {split: Bundle.of(arrays) for split, arrays in _DATA.items()}
    yield made
    for bundle in made.values():
        bundle.close()


def _open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/dev/fd").iterdir()}


def _arrays(part: tuple[int, list[list[object]]]) -> dict[str, np.ndarray]:
    return unpack(*part)


def test_a_job_arrives_with_its_limits_and_the_data_of_its_splits(pair: Pair, bundles: Mapping[str, Bundle]) -> None:
    job = Job(17, "def Model(): ...  # größer", 3, ("train", "val"), "screen")
    Order.send(pair[0], job, _LIMITS, bundles)
    order = Order.receive(pair[1])
    found = {split: _arrays(part) for split, part in order.data.items()}
    order.close()
    assert (order.job, order.limits, order.state) == (job, _LIMITS, None)
    assert list(found) == ["train", "val"]
    for split, arrays in _DATA.items():
        assert list(found[split]) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[split][name], array, strict=True)


def test_only_the_data_of_its_own_splits_is_sent(pair: Pair, bundles: Mapping[str, Bundle]) -> None:
    Order.send(pair[0], Job(1, "", 0, ("val",)), _LIMITS, bundles)
    order = Order.receive(pair[1])
    found = {split: _arrays(part) for split, part in order.data.items()}
    order.close()
    assert list(found) == ["val"]
    assert found["val"]["y"].tolist() == [1, 2]


def test_splits_without_data_are_left_out(pair: Pair, bundles: Mapping[str, Bundle]) -> None:
    Order.send(pair[0], Job(1, "", 0, ("test", "train", "unheard of")), _LIMITS, bundles)
    order = Order.receive(pair[1])
    order.close()
    assert order.job.splits == ("train",)
    assert list(order.data) == ["train"]


@pytest.mark.parametrize("splits", [(), ("train", "val")])
def test_a_state_arrives_beside_the_data(pair: Pair, bundles: Mapping[str, Bundle], splits: tuple[str, ...]) -> None:
    job = Job(2, "text", 5, splits, "examine", {"0.weight": np.full((2, 2), 7.0, np.float32), "steps": np.array(3)})
    Order.send(pair[0], job, _LIMITS, bundles)
    order = Order.receive(pair[1])
    assert order.state is not None
    state = _arrays(order.state)
    data = {split: _arrays(part) for split, part in order.data.items()}
    order.close()
    assert (order.job.action, order.job.splits, dict(order.job.state)) == ("examine", splits, {})
    np.testing.assert_array_equal(state["0.weight"], np.full((2, 2), 7.0, np.float32), strict=True)
    assert state["steps"].shape == ()
    assert set(data) == set(splits)
    assert not splits or data["train"]["x"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_a_job_without_data_and_state_has_no_descriptors(pair: Pair) -> None:
    before = _open_descriptors()
    Order.send(pair[0], Job(1, "x", 0), _LIMITS, {})
    order = Order.receive(pair[1])
    assert _open_descriptors() == before
    assert (order.data, order.state, order.job.splits) == ({}, None, ())
    order.close()


@settings(deadline=None)
@given(
    st.builds(
        Job,
        st.integers(0, 2**63),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
        st.integers(-(2**63), 2**64),
        st.just(()),
        st.sampled_from(["screen", "fit", "examine"]),
    ),
    st.builds(
        Limits,
        st.floats(0, 1e9),
        st.integers(0, 2**60),
        st.integers(0, 2**60),
        st.integers(1, 64),
        st.none() | st.floats(0, 1e9),
        st.none() | st.integers(0, 2**50),
    ),
)
def test_words_and_numbers_arrive_exactly(job: Job, limits: Limits) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Order.send(ours, job, limits, {})
        order = Order.receive(theirs)
    assert (order.job, order.limits) == (job, limits)


def test_half_characters_do_not_stop_a_job(pair: Pair) -> None:
    Order.send(pair[0], Job(1, "a = '\ud800'", 0), _LIMITS, {})
    assert Order.receive(pair[1]).job.text == "a = '?'"


def test_orders_come_one_behind_the_other(pair: Pair, bundles: Mapping[str, Bundle]) -> None:
    for number, splits in enumerate([("train",), (), ("val", "train"), ("val",)]):
        Order.send(pair[0], Job(number, str(number), 0, splits), _LIMITS, bundles)
    orders = [Order.receive(pair[1]) for _ in range(4)]
    columns = [{split: list(_arrays(part)) for split, part in order.data.items()} for order in orders]
    for order in orders:
        order.close()
    assert [order.job.candidate for order in orders] == [0, 1, 2, 3]
    assert columns == [{"train": ["x"]}, {}, {"val": ["x", "y"], "train": ["x"]}, {"val": ["x", "y"]}]


def test_what_is_received_cannot_be_written(pair: Pair, bundles: Mapping[str, Bundle]) -> None:
    if not hasattr(os, "memfd_create"):
        pytest.skip("only Linux has memory files that can be sealed")
    Order.send(pair[0], Job(1, "", 0, ("train",), "examine", {"w": np.arange(3)}), _LIMITS, bundles)
    order = Order.receive(pair[1])
    assert order.state is not None
    for descriptor in (order.data["train"][0], order.state[0]):
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"forged", 0)
    order.close()


def test_closing_closes_every_descriptor(pair: Pair, bundles: Mapping[str, Bundle]) -> None:
    before = _open_descriptors()
    Order.send(pair[0], Job(1, "", 0, ("train", "val"), "examine", {"w": np.arange(3)}), _LIMITS, bundles)
    assert _open_descriptors() == before  # the state's own bundle is closed
    order = Order.receive(pair[1])
    assert len(_open_descriptors()) == len(before) + 3
    order.close()
    assert _open_descriptors() == before


def test_the_state_is_closed_where_sending_fails(pair: Pair) -> None:
    before = _open_descriptors()
    pair[1].close()
    with pytest.raises(OSError):
        Order.send(pair[0], Job(1, "x", 0, (), "examine", {"w": np.arange(3)}), _LIMITS, {})
    assert len(_open_descriptors()) == len(before) - 1


def test_the_end_of_the_other_side_is_an_end_of_file(pair: Pair) -> None:
    pair[0].close()
    with pytest.raises(EOFError):
        Order.receive(pair[1])


def test_an_end_between_the_words_and_the_data_is_an_end_of_file(pair: Pair) -> None:
    before = _open_descriptors()
    header = {"candidate": 1, "seed": 0, "action": "fit", "limits": _LIMITS.plain(), "splits": ["train"], "bundles": [[]]}
    send(pair[0], header, b"text")
    pair[0].shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        Order.receive(pair[1])
    assert _open_descriptors() == before


@pytest.mark.parametrize("kept", [1, 10, 16, 40, -1])
def test_an_end_in_the_middle_of_the_words_is_an_end_of_file(pair: Pair, bundles: Mapping[str, Bundle], kept: int) -> None:
    Order.send(pair[0], Job(1, "text", 0), _LIMITS, bundles)
    whole = pair[1].recv(1 << 16)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(whole[:kept])
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            Order.receive(theirs)


def test_a_text_larger_than_the_socket_arrives_whole(pair: Pair, bundles: Mapping[str, Bundle]) -> None:
    job = Job(1, "# " + "x" * (1 << 21), 0, ("train",))
    sender = threading.Thread(target=Order.send, args=(pair[0], job, _LIMITS, bundles))
    sender.start()
    order = Order.receive(pair[1])
    sender.join()
    values = _arrays(order.data["train"])["x"].sum()
    order.close()
    assert (order.job, values) == (job, 15.0)
