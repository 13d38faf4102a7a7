import pytest

from nasmith.lane import Lane


def test_calls_run_in_order_on_one_thread_and_hand_back_results_and_exceptions():
    lane, seen = Lane("test"), []
    futures = [lane.submit(lambda i=i: seen.append(i) or i) for i in range(5)]
    broken = lane.submit(lambda: 1 / 0)
    assert [future.result(10) for future in futures] == seen == list(range(5))
    with pytest.raises(ZeroDivisionError):
        broken.result(10)
    lane.close()


def test_a_cancelled_call_never_runs():
    from threading import Event

    lane, gate, seen = Lane("test"), Event(), []
    first = lane.submit(gate.wait)
    second = lane.submit(lambda: seen.append("ran"))
    assert second.cancel()
    gate.set()
    first.result(10)
    lane.submit(lambda: None).result(10)
    assert seen == []
    lane.close()
