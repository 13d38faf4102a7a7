"""An observer that wants a search to end says so by an exception; the others do not notice."""

import pytest

import nasmith
from nasmith.events import Evaluated, Finished, Stopping
from nasmith.stopping import StopSearch, heeding
from toy_runs import records, toy_search


def test_an_observer_that_raises_the_wish_stops_the_search_and_the_others_still_hear_the_event():
    heard, stops = [], []

    def tired(event):
        raise StopSearch

    for observer in heeding([tired, heard.append], lambda: stops.append("stop")):
        observer(Stopping())
    assert (heard, stops) == ([Stopping()], ["stop"])


def test_any_other_exception_is_not_swallowed():
    def broken(event):
        raise ZeroDivisionError

    (observer,) = heeding([broken], lambda: None)
    with pytest.raises(ZeroDivisionError):
        observer(Stopping())


def test_a_search_that_an_observer_stopped_is_stored_and_resumes_to_the_same_records(tmp_path):
    seen = []

    def enough(event):
        seen.append(event)
        if isinstance(event, Evaluated) and event.candidate.id == 12:
            raise nasmith.StopSearch

    result = toy_search(tmp_path / "runs.sqlite3", observers=[enough])
    assert not result.run.finished
    assert seen[-1] == Finished("stopped", False)
    assert 12 in {evaluation.candidate for evaluation in result.evaluations}
    assert len(result.evaluations) < 38
    assert nasmith.resume("run", tmp_path / "runs.sqlite3").run.finished
    toy_search(tmp_path / "alone.sqlite3")
    assert records(tmp_path / "runs.sqlite3") == records(tmp_path / "alone.sqlite3")
