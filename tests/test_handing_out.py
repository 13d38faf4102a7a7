"""The executor that hands its jobs out: what may be taken and told when, and what is left when nobody goes on."""

import threading
from concurrent.futures import Future

import pytest

from nasmith.errors import ConfigError, UsageError
from nasmith.handing_out import HandOut
from nasmith.types import Job, Status


def desk(slots=1, jobs=()):
    made = HandOut(slots)
    made.attend()
    made.start(None)
    return made, [made.submit(Job(number, f"program {number}", 100 + number)) for number in jobs]


def test_jobs_are_handed_out_in_order_and_what_is_told_is_their_outcome():
    made, futures = desk(2, [1, 2])
    assert [made.take().candidate, made.take().candidate] == [1, 2]
    made.tell(2, Status.FAILED, {}, "it diverged")
    made.tell(1, Status.OK, {"error": 0.5})
    assert (futures[0].result().status, dict(futures[0].result().facts)) == (Status.OK, {"error": 0.5})
    assert (futures[1].result().status, futures[1].result().message) == (Status.FAILED, "it diverged")
    assert futures[0].result().seconds >= 0


def test_a_job_waits_for_its_turn_and_can_be_cancelled_until_it_is_taken():
    made, (first, second) = desk(2, [1, 2])
    assert first.cancel()
    assert made.take().candidate == 2
    assert not second.cancel()


def test_a_screening_passes_without_anybody():
    made, _ = desk()
    assert made.submit(Job(0, "program", 0, (), "screen")).result().status is Status.OK
    assert made.take(wait=False) is None


def test_whoever_waits_gets_the_next_job_or_hears_that_there_is_none():
    made, _ = desk()
    taken: Future = Future()
    thread = threading.Thread(target=lambda: taken.set_result(made.take()))
    thread.start()
    made.submit(Job(1, "program", 0))
    assert taken.result(timeout=10).candidate == 1
    made.tell(1, Status.OK, {})
    ended: Future = Future()
    thread = threading.Thread(target=lambda: ended.set_result(made.take()))
    thread.start()
    made.close()
    assert ended.result(timeout=10) is None


@pytest.mark.parametrize(
    ("slots", "words"), [(1, r"candidate 1 is still out.*OwnLoop\(slots=...\)"), (2, "candidates 1, 2 are")]
)
def test_no_more_are_out_than_slots_allow(slots, words):
    made, _ = desk(slots, [1, 2, 3])
    for _ in range(slots):
        made.take()
    with pytest.raises(UsageError, match=words):
        made.take()


def test_a_candidate_that_is_unknown_or_was_told_is_refused():
    made, _ = desk(1, [1])
    with pytest.raises(UsageError, match="candidate 1 was not handed out here"):
        made.tell(1, Status.OK, {})
    with pytest.raises(UsageError, match="candidate 1 was not handed out here"):
        made.seed(1)
    made.take()
    assert made.seed(1) == 101
    made.tell(1, Status.OK, {})
    with pytest.raises(UsageError, match="candidate 1 was told already"):
        made.tell(1, Status.OK, {})


@pytest.mark.parametrize("connected", ["before", "after"])
def test_leaving_stops_the_search_before_what_is_out_is_given_up(connected):
    made, (future, waiting) = desk(1, [1, 2])
    stops = []
    made.take()
    if connected == "before":
        made.connect(lambda: stops.append(future.done()))
    made.leave()
    if connected == "after":
        made.connect(lambda: stops.append(False))
    assert stops == [False]
    assert future.result().status is Status.ERROR  # which the search tries again, and drops
    assert waiting.cancel()
    with pytest.raises(UsageError, match="too late"):
        made.tell(1, Status.OK, {})


def test_without_anybody_to_take_its_jobs_it_does_not_start():
    with pytest.raises(UsageError, match=r"nasmith\.OwnLoop\(.*resume=True\)"):
        HandOut().start(None)


@pytest.mark.parametrize("slots", [0, True, 1.5])
def test_slots_must_be_a_count(slots):
    with pytest.raises(ConfigError, match="slots must be a whole number"):
        HandOut(slots)
