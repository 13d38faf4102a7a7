from concurrent.futures import wait
from dataclasses import replace
from threading import Event, Timer

import pytest

from nasmith.errors import RunStoppedError, StorageError
from nasmith.events import Replied, Tuned, TuningProgress
from nasmith.history import History
from nasmith.proposals import Proposals
from nasmith.storage.sql import Sql
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Brief, Candidate, Example, Run, Sampling, Tune

FACTS = {"num_params": "30", "val_accuracy": "0.5"}
PARENT = Candidate(1, "def Model():\n    return [\n        10,\n    ]\n")
BRIEF = Brief("crossover", (1,), (FACTS,), FACTS, Sampling(3, 0.5, 1))


@pytest.fixture
def storage(tmp_path):
    storage = Sql(tmp_path / "runs.sqlite3")
    storage.add_run(Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"))
    storage.add_asked("run", 0, 0, BRIEF)
    storage.add_asked("run", 1, 0, Tune(0, (1,), 5))
    return storage


def proposals_of(storage, lm):
    return Proposals(lm, storage, History(storage, "run"), ToyTask().describe())


def everything(proposals):
    replies = []
    while proposals.futures:
        wait(proposals.futures[:1], timeout=30)
        replies += proposals.arrived()
    return replies, list(proposals.events())


def test_replies_are_stored_before_they_are_seen_and_not_asked_for_again(storage, tmp_path):
    log = tmp_path / "calls"
    first = proposals_of(storage, ToyLM(log=str(log)))
    first.propose(0, BRIEF, [PARENT])
    assert first.children == 3
    (reply,), news = everything(first)
    assert list(storage.completions("run").values()) == reply.completions
    assert [type(event) for event in news] == [Replied]
    again = proposals_of(storage, ToyLM(log=str(log)))
    again.propose(0, BRIEF, [PARENT])
    (replayed,), news = everything(again)
    assert replayed.replayed
    assert replayed.completions == reply.completions
    assert (len(log.read_text().splitlines()), news) == (1, [])


def test_replies_to_another_prompt_are_not_taken(storage):
    first = proposals_of(storage, ToyLM())
    first.propose(0, BRIEF, [PARENT])
    everything(first)
    with pytest.raises(RunStoppedError, match="writes the prompt of step 0 otherwise"):
        proposals_of(storage, ToyLM()).propose(0, replace(BRIEF, target={"num_params": "31"}), [PARENT])


def test_a_tuning_is_stored_and_loaded_the_next_time(storage):
    first = proposals_of(storage, ToyLM())
    first.tune(1, Tune(0, (1,), 5), [Example("p", "t")])
    _, news = everything(first)
    assert [type(event) for event in news] == [TuningProgress, Tuned]
    lm = ToyLM()
    again = proposals_of(storage, lm)
    again.tune(1, Tune(0, (1,), 5), [Example("p", "t")])
    _, news = everything(again)
    assert news == [Tuned(storage.tunings("run")[1], replayed=True)]
    assert lm._scale == 0.5


def test_what_has_not_begun_can_be_dropped(storage):
    from threading import Event

    gate = Event()
    lm = ToyLM()
    lm.warm = gate.wait
    proposals = proposals_of(storage, lm)
    warm = proposals.warm()
    proposals.propose(0, BRIEF, [PARENT])
    proposals.drop_waiting()
    assert proposals.futures == []
    gate.set()
    warm.result(30)
    assert storage.completions("run") == {}


def test_an_error_of_the_model_reaches_the_loop(storage):
    lm = ToyLM()
    lm.complete = lambda request: 1 / 0
    proposals = proposals_of(storage, lm)
    proposals.propose(0, BRIEF, [PARENT])
    with pytest.raises(ZeroDivisionError):
        everything(proposals)


class Slow(ToyLM):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = Event()

    def complete(self, request):
        self.go.wait(30)
        return super().complete(request)


@pytest.mark.parametrize("waits", [True, False])
def test_a_run_that_breaks_off_stores_the_replies_that_arrived_and_waits_for_one_if_asked_to(storage, waits):
    lm = Slow()
    proposals = proposals_of(storage, lm)
    proposals.propose(0, BRIEF, [PARENT])
    Timer(0.05, lm.go.set).start()
    if not waits:
        wait(proposals.futures, timeout=30)
    proposals.save(wait=waits)
    assert len(storage.completions("run")) == 3
    assert proposals.futures == []


def test_what_has_not_been_answered_is_not_waited_for_when_the_user_will_not_wait(storage):
    lm = Slow()
    proposals = proposals_of(storage, lm)
    proposals.propose(0, BRIEF, [PARENT])
    proposals.save(wait=False)
    assert storage.completions("run") == {}
    lm.go.set()


def test_a_failing_storage_does_not_hide_why_the_run_breaks_off(storage, monkeypatch):
    proposals = proposals_of(storage, ToyLM())
    proposals.propose(0, BRIEF, [PARENT])

    def refuse(*arguments):
        raise StorageError("disk full")

    monkeypatch.setattr(storage, "add_completions", refuse)
    proposals.save(wait=True)
    assert proposals.futures == []
