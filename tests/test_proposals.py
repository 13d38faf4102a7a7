from concurrent.futures import wait
from dataclasses import replace
from threading import Event, Timer

import pytest

from nasmith.errors import ExhaustedError, RunStoppedError, StorageError, UsageError
from nasmith.events import Called, Replied, Tuned, TuningProgress
from nasmith.history import History
from nasmith.proposals import Proposals
from nasmith.spending import Purse
from nasmith.storage.sql import Sql
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Brief, Call, Candidate, Completion, Example, Run, Sampling, Traits, Tune

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


def proposals_of(storage, lm, purse=None):
    proposals = Proposals(lm, storage, History(storage, "run"), ToyTask().describe(), purse)
    proposals.receipts.opened()
    return proposals


def everything(proposals):
    replies = []
    while proposals.futures:
        wait(proposals.futures[:1], timeout=30)
        replies += proposals.arrived()
    return replies, list(proposals.receipts.events())


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
        self.began, self.go = Event(), Event()

    def complete(self, request):
        self.began.set()
        self.go.wait(30)
        return super().complete(request)


@pytest.mark.parametrize("waits", [True, False])
def test_a_run_that_breaks_off_stores_the_replies_that_arrived_and_waits_for_one_if_asked_to(storage, waits):
    lm = Slow()
    proposals = proposals_of(storage, lm)
    proposals.propose(0, BRIEF, [PARENT])
    assert lm.began.wait(30)  # what has not begun is dropped
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


class OneByOne(ToyLM):
    """Gives one reply at a time, from three threads; a hosted model."""

    traits = Traits(batch=1, concurrency=3, free=False)

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.asked, self.checks = [], 0

    def complete(self, request):
        self.asked.append(request)
        request.record(Call(self.name, "limited", step=request.place[0], index=request.place[1]))
        return super().complete(request)

    def check(self, record):
        self.checks += 1
        record(Call(self.name, "checked"))

    def price(self, tokens_in, tokens_out):
        return 0.0


def test_a_wish_is_split_into_what_the_model_gives_at_once(storage):
    lm = OneByOne()
    proposals = proposals_of(storage, lm)
    assert proposals.check().result(30) is None
    proposals.propose(0, BRIEF, [PARENT])
    replies, news = everything(proposals)
    assert [(reply.first, len(reply.completions)) for reply in replies] == [(0, 1), (1, 1), (2, 1)]
    assert sorted(request.place for request in lm.asked) == [(0, 0), (0, 1), (0, 2)]
    assert len({request.seed for request in lm.asked}) == 3
    assert [(call.outcome, call.step) for call in storage.calls("run")] == [("checked", -1)] + 3 * [("limited", 0)]
    assert sum(isinstance(event, Called) for event in news) == 4


def test_what_is_stored_of_a_wish_is_taken_and_the_rest_is_asked(storage):
    stored = Completion("", "\n    return [\n        7,\n    ]\n", "toy", 1, 1)
    first = proposals_of(storage, OneByOne())
    first.propose(0, BRIEF, [PARENT])
    prompt = everything(first)[0][0].completions[0].prompt
    storage.add_asked("run", 2, 0, BRIEF)
    storage.add_completions("run", 2, 1, [replace(stored, prompt=prompt)])
    lm = OneByOne()
    again = proposals_of(storage, lm)
    again.propose(2, BRIEF, [PARENT])
    replies, _ = everything(again)
    assert [(reply.first, reply.replayed) for reply in replies] == [(0, False), (1, True), (2, False)]
    assert sorted(request.place for request in lm.asked) == [(2, 0), (2, 2)]
    assert lm.checks == 1  # a resumed run asks for a sign of life before its first request


def test_a_resumed_run_that_needs_no_reply_does_not_check_its_model(storage):
    first = proposals_of(storage, OneByOne())
    first.propose(0, BRIEF, [PARENT])
    everything(first)
    lm = OneByOne()
    again = proposals_of(storage, lm)
    again.propose(0, BRIEF, [PARENT])
    everything(again)
    assert (lm.checks, lm.asked) == (0, [])


def test_a_failing_check_is_told_to_the_loop_and_nothing_is_asked(storage):
    lm = OneByOne()

    def check(record):
        raise UsageError("no key")

    lm.check = check
    proposals = proposals_of(storage, lm)
    proposals.propose(0, BRIEF, [PARENT])
    with pytest.raises(UsageError, match="no key"):
        everything(proposals)
    assert lm.asked == []


def test_the_purse_holds_back_and_then_ends_it(storage):
    lm = OneByOne()
    proposals = proposals_of(storage, lm, Purse(tokens=16))  # a reply is charged 15
    proposals.propose(0, replace(BRIEF, sampling=Sampling(8, 0.5, 1)), [PARENT])
    replies, _ = everything(proposals)
    assert 1 < len(replies) <= 5  # two pass the limit, with what was under way
    assert proposals.ended == "the token budget was used up"
    assert not proposals.hungry
    assert len(storage.completions("run")) == len(replies)


def test_a_model_that_has_nothing_more_to_say_ends_it(storage):
    lm = OneByOne()
    given = lm.complete

    def complete(request):
        if request.place[1] > 0:
            raise ExhaustedError("that was all")
        return given(request)

    lm.complete = complete
    proposals = proposals_of(storage, lm)
    proposals.propose(0, BRIEF, [PARENT])
    replies, _ = everything(proposals)
    assert [reply.first for reply in replies] == [0]
    assert proposals.ended == "that was all"


def test_a_reply_is_stored_when_it_arrives_whatever_was_asked_before_it(storage):
    first_may_come = Event()

    class Uneven(OneByOne):
        def complete(self, request):
            if request.place[1] == 0:
                first_may_come.wait(30)
            return super().complete(request)

    proposals = proposals_of(storage, Uneven())
    proposals.check().result(30)
    proposals.propose(0, BRIEF, [PARENT])
    wait(proposals.futures[1:], timeout=30)
    assert list(proposals.arrived()) == []
    assert set(storage.completions("run")) == {(0, 1), (0, 2)}
    first_may_come.set()
    replies, _ = everything(proposals)
    assert [reply.first for reply in replies] == [0, 1, 2]
