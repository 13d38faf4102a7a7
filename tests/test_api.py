"""Whole searches on the toy task: what is stored, that a killed run resumes exactly, that a stop loses nothing."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import Future

import pytest

import nasmith
from nasmith.api import open_storage
from nasmith.errors import RunBusyError, RunStoppedError, SeedError, StorageError, UsageError
from nasmith.events import Asked, Evaluated, Finished, Proposed, Replied, Started, Stopping, Tuned
from nasmith.executors.inline import Inline
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToySpaceTask, ToyTask
from nasmith.types import Outcome, Status
from toy_runs import SCRIPT, Paid, records, toy_search


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    storage = tmp_path_factory.mktemp("undisturbed") / "runs.sqlite3"
    events = []
    toy_search(storage, observers=[events.append])
    return records(storage), events


def test_every_child_is_a_candidate_and_has_one_evaluation(undisturbed):
    (candidates, evaluations, completions, tunings, asked), _ = undisturbed
    assert [c.id for c in candidates] == list(range(1, 2 + 36 + 1))
    searched = [e for e in evaluations if e.purpose == "search"]
    assert sorted(e.candidate for e in searched) == [c.id for c in candidates]
    assert len(completions) == 36
    assert len(tunings) == 2
    assert len(asked) == 9 + 2
    assert {e.status for e in searched} >= {Status.OK, Status.INVALID}
    assert all(bool(e.metrics) == (e.status is Status.OK) for e in evaluations)


def test_events_come_in_order_and_end_with_finished(undisturbed):
    _, events = undisturbed
    kinds = [type(event) for event in events]
    assert kinds.index(Replied) < kinds.index(Proposed, kinds.index(Replied)) < kinds.index(Tuned)
    assert isinstance(events[-1], Finished)
    assert events[-1].complete


def test_winners_and_seeds_are_verified_on_new_seeds_and_their_weights_are_kept(undisturbed, tmp_path):
    (_, evaluations, *_), _ = undisturbed
    result = toy_search(tmp_path / "runs.sqlite3")
    best = result.best()
    verified = result.verified(best)
    assert len(verified) == 3
    assert all("test_error" in metrics for metrics in verified)
    trained = {e.seed for e in evaluations if e.candidate == best.id}
    assert len(trained) == 4
    assert len(result.verified(result.candidates[1])) == 3
    files = {e.weights for e in result.evaluations if e.purpose == "verify"}
    assert all((result.storage.folder("run") / name).stat().st_size for name in files)


def test_the_best_beats_every_other_child(undisturbed, tmp_path):
    result = toy_search(tmp_path / "runs.sqlite3")
    best = result.metrics(result.best())["fitness"]
    others = [result.metrics(c).get("fitness") for c in result.candidates.values() if c.step >= 0]
    assert best == max(f for f in others if f is not None)
    assert result.front()


MOMENTS = [
    *[(str(event),) for event in (2, 5, 13, 34, 55, 100, 110)],  # right after something was stored
    *[("0", "complete", str(call)) for call in (1, 5)],  # while sampling
    *[("0", "tune", str(call)) for call in (1, 2)],
    *[("0", "fit", str(call)) for call in (2, 12, 30)],  # while training, in the search and in the verification
]


@pytest.mark.parametrize("moment", MOMENTS, ids=" ".join)
def test_a_killed_run_resumes_to_the_same_records(undisturbed, tmp_path, moment):
    storage, log = tmp_path / "runs.sqlite3", tmp_path / "calls.jsonl"

    def attempt(*words):
        command = [sys.executable, "-c", SCRIPT, str(storage), str(log), *words]
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )

    assert attempt(*moment).returncode == -signal.SIGKILL
    opened = open_storage(storage)
    stored = opened.completions("run") if opened.runs() else {}
    before = log.read_text().splitlines() if log.exists() else []
    done = attempt("0")
    assert done.returncode == 0, done.stderr
    assert records(storage) == undisturbed[0]
    again = [json.loads(line) for line in log.read_text().splitlines()[len(before) :]]
    asked_again = sum(call["n"] for call in again if call["kind"] == "complete")
    assert asked_again == 36 - len(stored)


def test_a_stop_finishes_what_runs_and_the_run_resumes(undisturbed, tmp_path):
    storage = tmp_path / "runs.sqlite3"
    seen = []

    def interrupt(event):
        seen.append(event)
        if isinstance(event, Evaluated) and event.candidate.id == 12:
            signal.raise_signal(signal.SIGINT)

    result = toy_search(storage, observers=[interrupt])
    assert not result.run.finished
    assert isinstance(seen[-1], Finished)
    assert not seen[-1].complete
    assert any(isinstance(event, Stopping) for event in seen) or len(result.candidates) < 38
    assert nasmith.resume("run", storage).run.finished
    assert records(storage) == undisturbed[0]


def test_a_budget_of_evaluations_is_kept_to_the_child(tmp_path):
    result = toy_search(tmp_path / "runs.sqlite3", budget=nasmith.Budget(evaluations=10))
    assert len(result.candidates) == 2 + 10
    assert result.run.finished


def test_a_finished_run_and_a_taken_name_are_refused(tmp_path):
    storage = tmp_path / "runs.sqlite3"
    toy_search(storage, budget=nasmith.Budget(evaluations=4))
    with pytest.raises(UsageError, match="finished"):
        nasmith.resume("run", storage)
    with pytest.raises(UsageError, match="there is a run named 'run' already"):
        toy_search(storage)


class Watched(Inline):
    def __init__(self):
        super().__init__()
        self.calls = []

    def start(self, workload, data):
        self.calls.append("start")
        super().start(workload, data)

    def close(self, *, wait=False):
        self.calls.append("close")
        super().close(wait=wait)


def test_the_workers_warm_up_while_the_storage_is_opened_and_end_where_it_cannot_be(tmp_path):
    executor = Watched()
    storage = open_storage(tmp_path / "runs.sqlite3")
    storage.runs = lambda: executor.calls.append("runs") or []
    storage.add_run = lambda run: (_ for _ in ()).throw(StorageError("the disk is full"))

    with pytest.raises(StorageError):
        toy_search(storage, executor=executor)

    assert executor.calls == ["start", "runs", "close"]


def test_a_seed_that_does_not_build_is_named_before_anything_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(
        ToyTask, "seeds", lambda self: {"good": "def Model():\n    return [1]\n", "bad": "def Model():\n    return 3\n"}
    )
    storage = tmp_path / "runs.sqlite3"
    with pytest.raises(SeedError, match=r"seed 'bad' of task 'toy' does not build: .*list of positive integers"):
        toy_search(storage)
    assert open_storage(storage).runs() == []


def test_runs_are_numbered_where_no_name_is_given(tmp_path):
    storage = tmp_path / "runs.sqlite3"
    names = [toy_search(storage, name=None, budget=nasmith.Budget(evaluations=4)).run.name for _ in range(2)]
    assert names == ["toy-1", "toy-2"]


def test_a_model_that_cannot_be_tuned_is_said_in_the_tuning(tmp_path, monkeypatch):
    monkeypatch.delattr(ToyLM, "tune")
    result = toy_search(tmp_path / "runs.sqlite3")
    assert [t.message for t in result.storage.tunings("run").values()] == ["toy cannot be tuned"] * 2


def test_a_run_that_is_worked_on_cannot_be_resumed_begun_again_or_hidden_from_readers(tmp_path):
    storage, refused, seen = tmp_path / "runs.sqlite3", [], []

    def meddle(event):
        if isinstance(event, Started):
            with pytest.raises(RunBusyError, match=f"process {os.getpid()} on host"):
                nasmith.resume("run", storage)
            with pytest.raises(UsageError, match="there is a run named 'run' already"):
                toy_search(storage)
            refused.append(event)
        if isinstance(event, Evaluated) and not seen:
            seen.append(open_storage(storage, read_only=True).candidates("run"))

    result = toy_search(storage, observers=[meddle], budget=nasmith.Budget(evaluations=4))
    assert refused and seen[0]
    assert result.run.finished
    assert not (result.storage.folder("run") / "lock").exists()
    assert not list(result.storage.folder("run").glob("unsaved-replies*"))


def test_two_unnamed_searches_at_once_take_two_names(tmp_path):
    storage, names = tmp_path / "runs.sqlite3", []
    budget = nasmith.Budget(evaluations=4)

    class Second(Inline):
        def start(self, workload, data):  # the first run is not stored yet
            names.append(toy_search(storage, name=None, budget=budget).run.name)
            super().start(workload, data)

    names.append(toy_search(storage, name=None, executor=Second(), budget=budget).run.name)
    assert sorted(names) == ["toy-1", "toy-2"]


def test_a_run_that_never_began_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyTask, "seeds", lambda self: {"bad": "def Model():\n    return 3\n"})
    with pytest.raises(SeedError):
        toy_search(tmp_path / "runs.sqlite3")
    assert not (tmp_path / "run").exists()


def test_an_option_that_holds_a_secret_is_refused_by_the_name_of_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    with pytest.raises(UsageError, match="the environment variable SOME_API_KEY") as caught:
        toy_search(tmp_path / "runs.sqlite3", lm=ToyLM(log="sk-0123456789"))
    assert "sk-0123456789" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


class Broken(Inline):
    """Fails by nasmith's own fault from the fourth training on."""

    trained, sound = 0, 4

    def submit(self, job):
        self.trained += job.action == "fit"
        if self.trained < self.sound:
            return super().submit(job)
        future = Future()
        future.set_result(Outcome(Status.ERROR, message="the workers cannot start"))
        return future


def test_an_error_of_ours_is_tried_again_twice_then_stops_the_run_with_the_cause(undisturbed, tmp_path, monkeypatch):
    storage, log, executor = tmp_path / "runs.sqlite3", tmp_path / "calls", Broken()
    with pytest.raises(RunStoppedError, match=r"in 3 attempts.*the workers cannot start"):
        toy_search(storage, executor=executor, lm=ToyLM(log=str(log)))
    opened = open_storage(storage)
    assert not [e for e in opened.evaluations("run") if e.status is Status.ERROR]
    answered = {step for step, _ in opened.completions("run")}
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(answered) == len(calls)  # a reply on its way was waited for and stored
    monkeypatch.setattr(Broken, "sound", 1000)
    assert nasmith.resume("run", storage).run.finished
    assert len(log.read_text().splitlines()) == 9 + 2
    assert records(storage) == undisturbed[0]


def test_what_failed_is_not_evaluated_again(undisturbed, tmp_path, monkeypatch):
    storage = tmp_path / "runs.sqlite3"

    def interrupt(event):
        if isinstance(event, Evaluated) and event.candidate.id == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_search(storage, observers=[interrupt])
    before = {e.candidate for e in open_storage(storage).evaluations("run") if e.status is not Status.OK}
    trained = []
    submit = Inline.submit
    monkeypatch.setattr(Inline, "submit", lambda self, job: (trained.append(job.candidate), submit(self, job))[1])
    nasmith.resume("run", storage)
    assert before and not before & set(trained)
    assert records(storage) == undisturbed[0]


def test_a_clock_that_is_set_back_changes_nothing_but_dates(undisturbed, tmp_path, monkeypatch):
    from datetime import UTC, datetime, timedelta

    class Backwards(datetime):
        now_at = datetime(2026, 3, 1, 12, tzinfo=UTC)

        @classmethod
        def now(cls, zone=None):
            cls.now_at -= timedelta(hours=1)
            return cls.now_at

    clock = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr("time.time", lambda: float(next(clock)))
    monkeypatch.setattr("nasmith.api.datetime", Backwards)
    storage = tmp_path / "runs.sqlite3"

    def interrupt(event):
        if isinstance(event, Evaluated) and event.candidate.id == 12:
            signal.raise_signal(signal.SIGINT)

    toy_search(storage, observers=[interrupt], budget=nasmith.Budget(minutes=60))
    run = nasmith.resume("run", storage).run
    assert records(storage)[:4] == undisturbed[0][:4]
    assert all(e.seconds >= 0 for e in open_storage(storage).evaluations("run"))
    assert run.finished >= run.created
    assert toy_search(storage, name="later", budget=nasmith.Budget(evaluations=4)).run.created < run.created
    assert [run.name for run in open_storage(storage).runs()] == ["run", "later"]


class Straggler(Inline):
    """Never ends the training of candidate 5, until it is mended."""

    mended = False

    def submit(self, job):
        return Future() if job.candidate == 5 and not self.mended else super().submit(job)


def test_a_training_that_ends_early_after_a_resume_is_told_after_the_wishes_that_were_made_without_it(tmp_path, monkeypatch):
    strategy = {"rounds": 2, "prompts": 6, "samples": 4, "survivors": 3}
    slow = {"lm": ToyLM(delay_seconds=0.05)}  # so that children are told of between two wishes
    toy_search(tmp_path / "alone.sqlite3", strategy=EvoPrompting(**strategy))
    storage, told = tmp_path / "runs.sqlite3", []

    def interrupt(event):
        if isinstance(event, Evaluated):
            told.append(event.candidate.id)
        if isinstance(event, Asked) and len(told) >= 5:  # children that came after 5 have been told
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_search(storage, **slow, strategy=EvoPrompting(**strategy), executor=Straggler(), observers=[interrupt])
    assert 5 not in told and max(told) > 5
    monkeypatch.setattr(Straggler, "mended", True)
    assert nasmith.resume("run", storage).run.finished
    assert records(storage) == records(tmp_path / "alone.sqlite3")


def test_a_stop_while_stored_wishes_are_made_again_ends(tmp_path, monkeypatch):
    strategy = {"rounds": 2, "prompts": 6, "samples": 4, "survivors": 3}
    slow = {"lm": ToyLM(delay_seconds=0.05)}
    storage, told = tmp_path / "runs.sqlite3", []

    def interrupt(event):
        told.append(event)
        if isinstance(event, Asked) and sum(isinstance(one, Evaluated) for one in told) >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_search(storage, **slow, strategy=EvoPrompting(**strategy), executor=Straggler(), observers=[interrupt])
    monkeypatch.setattr(Straggler, "mended", True)

    def stop(event):
        if isinstance(event, Proposed) and event.candidate.id == 6:
            signal.raise_signal(signal.SIGINT)

    assert not nasmith.resume("run", storage, observers=[stop]).run.finished
    assert nasmith.resume("run", storage).run.finished
    toy_search(tmp_path / "alone.sqlite3", strategy=EvoPrompting(**strategy))
    assert records(storage) == records(tmp_path / "alone.sqlite3")


def test_an_estimate_is_given_for_a_model_that_costs_money_alone():
    strategy = EvoPrompting(rounds=2, prompts=3, samples=4)
    found = nasmith.api.estimate(ToyTask(), Paid(), strategy)
    assert found.replies == 24
    assert found.usd == (found.tokens_in + found.tokens_out) / 1000 > 0
    fewer = nasmith.api.estimate(ToyTask(), Paid(), strategy, nasmith.Budget(evaluations=12))
    assert fewer.replies == 12
    assert nasmith.api.estimate(ToyTask(), Paid(price_known=False), strategy).usd is None
    assert nasmith.api.estimate(ToyTask(), ToyLM(), strategy) is None


@pytest.mark.parametrize("budget", [nasmith.Budget(tokens=200), nasmith.Budget(usd=0.2)])
def test_a_budget_is_passed_by_what_was_under_way_and_all_that_was_paid_for_is_evaluated(tmp_path, budget):
    """A request is charged 20 tokens, and two are under way at a time, with one more at hand."""
    path = tmp_path / "runs.sqlite3"
    seen = []
    toy_search(path, lm=Paid(), budget=budget, observers=[seen.append])
    storage = open_storage(path)
    replies = storage.completions("run").values()
    spent = sum(item.tokens_in + item.tokens_out for item in [*replies, *storage.calls("run")])
    assert 200 <= spent <= 200 + 3 * 20
    children = [candidate.id for candidate in storage.candidates("run") if candidate.step >= 0]
    assert len(children) == len(replies)
    assert set(children) <= {e.candidate for e in storage.evaluations("run")}
    assert isinstance(seen[-1], Finished)
    assert "budget was used up" in seen[-1].reason


def test_a_resumed_run_counts_what_it_spent_before(tmp_path):
    path = tmp_path / "runs.sqlite3"
    budget = nasmith.Budget(tokens=200)
    toy_search(path, lm=Paid(), budget=budget, name="whole")

    def break_off(event):
        if isinstance(event, Evaluated) and event.candidate.id == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_search(path, lm=Paid(), budget=budget, observers=[break_off])
    nasmith.resume("run", path)
    spent = [
        sum(c.tokens_in + c.tokens_out for c in open_storage(path).completions(name).values()) for name in ("whole", "run")
    ]
    assert abs(spent[0] - spent[1]) <= 3 * 20


def test_dollars_without_a_price_are_refused_before_anything_is_begun(tmp_path):
    with pytest.raises(UsageError, match=r"no price of toy is known.*--budget-tokens"):
        toy_search(tmp_path / "runs.sqlite3", lm=Paid(price_known=False), budget=nasmith.Budget(usd=1))
    assert open_storage(tmp_path / "runs.sqlite3").runs() == []


def test_a_model_that_does_not_answer_is_said_before_anything_is_trained(tmp_path):
    class Silent(Paid):
        def check(self, record):
            raise UsageError("no key: set TOY_API_KEY")

    seen = []
    with pytest.raises(UsageError, match="TOY_API_KEY"):
        toy_search(tmp_path / "runs.sqlite3", lm=Silent(), observers=[seen.append])
    assert seen == []
    assert open_storage(tmp_path / "runs.sqlite3").runs() == []


def test_the_check_is_stored_with_the_run(tmp_path):
    toy_search(tmp_path / "runs.sqlite3", lm=Paid())
    assert [call.outcome for call in open_storage(tmp_path / "runs.sqlite3").calls("run")] == ["checked"]


def test_a_search_for_designs_is_estimated_if_its_strategy_asks():
    from nasmith.strategies.genius import Genius
    from nasmith.strategies.random_search import RandomSearch

    found = nasmith.api.estimate(ToySpaceTask(), Paid(), Genius(designs=8))
    assert found.replies == 8 and found.tokens_in > 8 * 20 and found.usd > 0
    assert nasmith.api.estimate(ToySpaceTask(), Paid(), Genius(designs=40)).tokens_in > 5 * found.tokens_in
    assert nasmith.api.estimate(ToySpaceTask(), Paid(), RandomSearch()) is None
