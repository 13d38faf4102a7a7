from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.errors import RunStoppedError
from nasmith.lms.exchange import Fault
from nasmith.lms.retries import Retries


class Server:
    """Gives the faults in order and then an answer; keeps the waits."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults, self.asked = list(faults), 0
        self.waits: list[float] = []

    def answer(self, seed: int) -> str:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return f"answer {seed}"

    def sleep(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False


@pytest.mark.parametrize("outcome", ["limited", "failed", "timeout", "connection"])
def test_what_passes_is_tried_again(outcome: str) -> None:
    server = Server([Fault(outcome, "not now")] * 5)
    assert Retries(6, 60.0, server.sleep).run(server.answer, 7) == "answer 7"
    assert (server.asked, len(server.waits)) == (6, 5)


@pytest.mark.parametrize("outcome", ["denied", "refused", "malformed", "truncated"])
def test_what_stays_is_not(outcome: str) -> None:
    server = Server([Fault(outcome, "never")])
    with pytest.raises(Fault, match="never"):
        Retries(6, 60.0, server.sleep).run(server.answer, 0)
    assert (server.asked, server.waits) == (1, [])


def test_the_last_fault_is_told() -> None:
    server = Server([Fault("failed", f"fault {number}") for number in range(9)])
    with pytest.raises(Fault, match="fault 2"):
        Retries(3, 60.0, server.sleep).run(server.answer, 0)
    assert server.asked == 3


def test_before_the_first_answer_nobody_is_waited_for_who_is_not_there() -> None:
    gone, busy = Fault("connection", "refused", unreachable=True), Fault("failed", "loading")
    server = Server([busy, gone, busy])
    retries = Retries(6, 60.0, server.sleep)
    with pytest.raises(Fault, match="refused"):
        retries.run(server.answer, 0, first=True)
    assert server.asked == 2

    server.faults = [gone, gone]
    assert retries.run(server.answer, 0) == "answer 0"


def test_waits_grow_and_differ_by_seed_and_are_the_same_for_one() -> None:
    waits = []
    for seed in (1, 1, 2):
        server = Server([Fault("failed", "no")] * 5)
        Retries(6, 60.0, server.sleep).run(server.answer, seed)
        waits.append(server.waits)
    assert waits[0] == waits[1] != waits[2]
    for wait, longest in zip(waits[0], (2, 4, 8, 16, 32), strict=True):
        assert longest / 2 <= wait <= longest


@given(asked=st.none() | st.floats(0, 1e9), longest=st.floats(0, 100), tries=st.integers(1, 12))
def test_no_wait_is_longer_than_allowed(asked: float | None, longest: float, tries: int) -> None:
    server = Server([Fault("limited", "no", wait_seconds=asked)] * 20)
    with pytest.raises(Fault):
        Retries(tries, longest, server.sleep).run(server.answer, 0)
    assert len(server.waits) == tries - 1
    assert all(0 <= wait <= longest for wait in server.waits)
    assert asked is None or set(server.waits) <= {min(asked, longest)}


def test_three_requests_in_a_row_without_an_answer_are_too_many() -> None:
    retries = Retries(1, 0.0)
    assert [retries.unanswered(), retries.unanswered()] == [False, False]
    retries.answered()
    assert [retries.unanswered() for _ in range(4)] == [False, False, True, True]


def test_closing_wakes_those_who_wait() -> None:
    retries = Retries(2, 10**6)
    asked = threading.Event()

    def answer(_: int) -> str:
        asked.set()
        raise Fault("limited", "no", wait_seconds=10**6)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(retries.run, answer, 0)
        asked.wait()
        retries.close()
        with pytest.raises(RunStoppedError, match="closed"):
            waiting.result()
