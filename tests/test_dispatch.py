from concurrent.futures import wait
from threading import Barrier, Event

import pytest

from nasmith.dispatch import Dispatch, Errand
from nasmith.spending import Purse
from nasmith.types import Completion, Request

REQUEST = Request("prompt", n=2)


def finish(dispatch):
    """Everything that landed, by `data`, and then everything in order."""
    landed, ordered = [], []
    while dispatch.futures:
        wait(dispatch.futures, timeout=30, return_when="FIRST_COMPLETED")
        landed += [errand.data for errand in dispatch.landed()]
        dispatch.begin()
        ordered += [errand.data for errand in dispatch.in_order()]
    return landed, ordered


def test_as_many_run_at_a_time_as_the_width_says_and_come_out_in_order():
    barrier = Barrier(3)
    dispatch = Dispatch(3, Purse())
    for number in range(6):
        dispatch.add(Errand(lambda: barrier.wait(30), REQUEST, number))  # ends when three are there
    dispatch.begin()
    assert dispatch.children == 12
    landed, ordered = finish(dispatch)
    assert sorted(landed) == ordered == list(range(6))
    dispatch.close()


def test_one_that_lands_early_is_told_of_at_once_and_taken_out_in_its_turn():
    first = Event()
    dispatch = Dispatch(2, Purse())
    dispatch.add(Errand(lambda: first.wait(30), REQUEST, "slow"))
    dispatch.add(Errand(lambda: None, REQUEST, "quick"))
    dispatch.begin()
    wait(dispatch.futures[1:], timeout=30)
    assert [errand.data for errand in dispatch.landed()] == ["quick"]
    assert list(dispatch.in_order()) == []
    assert len(dispatch.futures) == 1  # what has landed is not waited for again
    first.set()
    assert finish(dispatch) == (["slow"], ["slow", "quick"])
    dispatch.close()


@pytest.mark.parametrize("width", [1, 4])
def test_a_tuning_is_alone(width):
    log = []
    dispatch = Dispatch(width, Purse())
    for name, request in [("a", REQUEST), ("b", REQUEST), ("tune", None), ("c", REQUEST)]:
        dispatch.add(Errand(lambda name=name: log.append(name), request, name))
    dispatch.begin()
    finish(dispatch)
    assert log.index("tune") == 2
    dispatch.close()


def test_nothing_begins_before_the_model_is_ready():
    ready, log = Event(), []
    dispatch = Dispatch(2, Purse())
    prepared = dispatch.prepare(lambda: ready.wait(30))
    dispatch.add(Errand(lambda: log.append("asked"), REQUEST))
    dispatch.begin()
    assert dispatch.futures == [prepared]
    ready.set()
    prepared.result(30)
    assert log == []
    assert dispatch.futures == [prepared]  # or nobody would come back to begin what waits
    dispatch.begin()
    finish(dispatch)
    assert log == ["asked"]
    dispatch.close()


def test_an_empty_purse_holds_back_what_has_not_begun():
    purse = Purse(tokens=10)
    dispatch = Dispatch(1, purse)

    def ask():
        purse.note([Completion("p", "t", "m", 5, 5)])

    dispatch.add(Errand(ask, REQUEST, "first"))
    dispatch.add(Errand(ask, REQUEST, "second"))
    dispatch.begin()
    assert not dispatch.hungry
    assert finish(dispatch) == (["first"], ["first"])
    assert dispatch.broke
    assert dispatch.children == 2
    dispatch.drop_waiting()
    assert dispatch.children == 0
    dispatch.close()


def test_what_cannot_be_stored_has_not_landed():
    dispatch = Dispatch(1, Purse())
    dispatch.add(Errand(lambda: 7, REQUEST, "only"))
    dispatch.begin()
    wait(dispatch.futures, timeout=30)

    def store():
        for _ in dispatch.landed():
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store()
    assert [errand.data for errand in dispatch.clear()] == ["only"]
    dispatch.close()


def test_a_failure_is_the_future_s():
    dispatch = Dispatch(1, Purse())
    dispatch.add(Errand(lambda: 1 / 0, REQUEST))
    dispatch.begin()
    wait(dispatch.futures, timeout=30)
    (errand,) = dispatch.landed()
    assert isinstance(errand.future.exception(), ZeroDivisionError)
    dispatch.close()
