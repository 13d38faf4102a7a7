"""Ask and tell: whole searches whose candidates are trained by the test itself, in any order, left and taken up again."""

import math
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import pytest

import nasmith
from nasmith.api import open_storage
from nasmith.errors import ConfigError, SeedError, UnknownNameError, UsageError
from nasmith.events import Evaluated, Finished
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Status

OBJECTIVES = {"params": "minimize", "val_error": "minimize"}


def own_loop(**options):
    settings = {"lm": ToyLM(), "strategy": EvoPrompting(rounds=2, prompts=3, samples=4, survivors=3), "seed": 7, **options}
    return nasmith.OwnLoop(ToyTask().seeds(), OBJECTIVES, **settings)


def train(text):
    names = {}
    exec(text, names)
    params = sum(names["Model"]())
    return {"params": params, "val_error": max(0.05, 0.5 - params / 400)}


def run_whole(search):
    for candidate in search:
        search.tell(candidate, train(candidate.text))


def stored(result):
    """What must be the same however candidates were told."""
    evaluations = sorted((replace(e, seconds=0.0) for e in result.evaluations), key=lambda e: e.candidate)
    return result.candidates, evaluations


@pytest.fixture(scope="module")
def alone():
    with own_loop() as search:
        run_whole(search)
    return search.result


def test_a_search_runs_to_its_end_and_the_best_is_found(alone):
    assert alone.run.finished
    assert len(alone.candidates) == 2 + 24
    statuses = {evaluation.status for evaluation in alone.evaluations}
    assert statuses == {Status.OK, Status.INVALID}  # ToyLM's broken replies are never handed out
    best = alone.metrics(alone.best())
    assert best["fitness"] == max(alone.metrics(c).get("fitness", -math.inf) for c in alone.candidates.values() if c.step >= 0)
    assert best["fitness"] == -best["params"] * best["val_error"]


def test_seeds_come_first_and_each_candidate_once(alone):
    asked = []
    with own_loop() as search:
        for candidate in search:
            asked.append(candidate)
            search.tell(candidate.id, train(candidate.text))
    assert [candidate.label for candidate in asked[:2]] == ["narrow", "wide"]
    assert len({candidate.canonical for candidate in asked}) == len(asked)
    assert stored(search.result) == stored(alone)


def test_several_may_be_out_and_told_in_any_order(alone):
    with own_loop(slots=3) as search, ThreadPoolExecutor(3) as pool:
        out = {}
        while True:
            while len(out) < 3 and (candidate := search.ask(wait=not out)) is not None:
                out[pool.submit(train, candidate.text)] = candidate
            if not out:
                break
            done, _ = wait(out, return_when=FIRST_COMPLETED)
            for future in reversed(list(done)):
                search.tell(out.pop(future), future.result())
    assert stored(search.result) == stored(alone)


def test_threads_may_each_ask_and_tell(alone):
    with own_loop(slots=4) as search, ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(run_whole, search) for _ in range(4)]:
            future.result()
    assert stored(search.result) == stored(alone)


def test_a_failure_is_a_row_with_its_reason():
    with own_loop() as search:
        seed = search.ask()
        search.tell(seed, train(seed.text))
        other = search.ask()
        search.fail(other, "the loss was nan")
        third = search.ask()
        search.fail(third, status="oom")
    rows = {e.candidate: (e.status, e.message, dict(e.metrics)) for e in search.result.evaluations}
    assert rows[other.id] == (Status.FAILED, "the loss was nan", {})
    assert rows[third.id][0] is Status.OOM


def test_what_was_told_is_in_the_result_at_once():
    with own_loop() as search:
        for candidate in search:
            search.tell(candidate, train(candidate.text) | {"epochs": 3})
            assert search.result.metrics(candidate)["epochs"] == 3
            if candidate.id > 5:
                break


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"params": 3}, "lack val_error: all of params, val_error are needed"),
        ({"params": 3, "val_error": math.nan}, r"'val_error' of candidate 1 is nan.*fail\("),
        ({"params": math.inf, "val_error": 0.1}, "'params' of candidate 1 is inf"),
        ({"params": 3, "val_error": "0.1"}, "must be a number by its name, got '0.1'"),
        ({"params": 3, "val_error": None}, "'val_error' of candidate 1 must be a number, got None"),
        ({"params": 3, "val_error": np.zeros(2)}, "must be a number, got array"),
        ({"params": 3, "val_error": 0.1, "fitness": 1}, "nasmith computes it"),
        (0.1, "must be numbers by name"),
    ],
)
def test_metrics_that_cannot_be_are_refused_and_may_be_told_again(metrics, words):
    with own_loop() as search:
        candidate = search.ask()
        with pytest.raises(UsageError, match=words):
            search.tell(candidate, metrics)
        search.tell(candidate, {"params": np.int64(30), "val_error": np.float32(0.25)})
        assert search.result.metrics(candidate) == {"params": 30.0, "val_error": 0.25, "fitness": -7.5}


def test_a_candidate_is_told_once_and_only_what_was_asked_for():
    with own_loop() as search:
        candidate = search.ask()
        with pytest.raises(UsageError, match="candidate 1 is still out"):
            search.ask()
        with pytest.raises(UsageError, match="status must be one of failed, invalid"):
            search.fail(candidate, status="ok")
        search.tell(candidate, train(candidate.text))
        with pytest.raises(UsageError, match="told already"):
            search.tell(candidate, train(candidate.text))
        with pytest.raises(UsageError, match="candidate 77 was not handed out"):
            search.fail(77)


def test_it_is_used_in_a_with_block_once():
    search = own_loop()
    for call in (search.ask, lambda: search.result, lambda: search.tell(1, {"params": 1, "val_error": 1})):
        with pytest.raises(UsageError, match=r"`with` block|not begun"):
            call()
    with search:
        pass
    with pytest.raises(UsageError, match="entered before"), search:
        pass
    assert search.ask() is None


def test_what_ends_the_search_is_raised_where_a_candidate_is_asked_for():
    class Mute(ToyLM):
        def complete(self, request):
            raise ZeroDivisionError("out of words")

    def loop():
        with own_loop(lm=Mute()) as search:
            run_whole(search)

    with pytest.raises(ZeroDivisionError, match="out of words"):
        loop()


def test_a_search_that_cannot_begin_says_so():
    def loop(**options):
        with own_loop(**options) as search:
            search.ask()

    with pytest.raises(UnknownNameError, match="unknown strategy 'evoprompter'"):
        loop(strategy="evoprompter")


def test_wrong_arguments_are_refused_before_anything_begins(tmp_path):
    with pytest.raises(SeedError, match="seed 'mine'"):
        nasmith.OwnLoop({"mine": "def Network(): ..."}, OBJECTIVES)
    with pytest.raises(ConfigError, match="slots"):
        own_loop(slots=0)
    with pytest.raises(UsageError, match="resume needs the run's name and the storage"):
        own_loop(resume=True, storage=tmp_path / "runs.sqlite3")


def test_an_error_of_the_users_own_passes_through_and_what_was_told_is_stored(tmp_path):
    def loop():
        with own_loop(storage=tmp_path / "runs.sqlite3", name="mine") as search:
            candidate = search.ask()
            search.tell(candidate, train(candidate.text))
            search.ask()
            raise KeyError("my own bug")

    with pytest.raises(KeyError, match="my own bug"):
        loop()
    result = nasmith.load("mine", tmp_path / "runs.sqlite3")
    assert [evaluation.candidate for evaluation in result.evaluations] == [1]
    assert not result.run.finished


@pytest.mark.parametrize("slots", [1, 3])
def test_a_run_that_was_left_is_taken_up_again_to_the_same_end(alone, tmp_path, slots):
    asked, finished = [], []

    def note(event):
        if isinstance(event, Finished):
            finished.append(event.complete)

    for _attempt in range(30):
        options = {"storage": tmp_path / "runs.sqlite3", "name": "mine", "resume": True, "slots": slots, "observers": [note]}
        with own_loop(**options) as search:
            for candidate in search:
                asked.append(candidate.id)
                if len(asked) % 5 == 0:
                    for _ in range(slots - 1):
                        search.ask(wait=False)
                    break  # what is out is handed out again
                search.tell(candidate, train(candidate.text))
            else:
                break
    assert finished[-1] is True and finished.count(False) == len(finished) - 1 > 2
    assert len(asked) > len(set(asked))
    assert stored(search.result) == stored(alone)
    with own_loop(**options) as again:  # there is nothing left to do
        assert again.ask() is None
    assert again.result.best() == alone.best()


def test_a_run_is_taken_up_with_what_it_was_begun_with_alone(tmp_path):
    options = {"storage": tmp_path / "runs.sqlite3", "name": "mine", "resume": True}
    with own_loop(**options) as search:
        search.ask()

    def loop(**changed):
        with own_loop(**{**options, **changed}) as other:
            other.ask()

    with pytest.raises(UsageError, match="begun with other seed"):
        loop(seed=8)
    with pytest.raises(UsageError, match="begun with other lm and strategy"):
        loop(lm=ToyLM(broken=0.5), strategy=EvoPrompting(rounds=3))
    with pytest.raises(UsageError, match="begun with other seeds, objectives, texts or bounds"):
        loop(statement="another")
    with pytest.raises(UsageError, match="there is a run named 'mine' already"):
        loop(resume=False)
    with pytest.raises(UsageError, match=r"training loop of your own.*nasmith\.OwnLoop"):
        nasmith.resume("mine", tmp_path / "runs.sqlite3")


def test_a_stored_run_can_be_opened_without_its_loop(tmp_path):
    with own_loop(storage=tmp_path / "runs.sqlite3", name="mine") as search:
        run_whole(search)
    result = nasmith.load("mine", tmp_path / "runs.sqlite3")
    assert result.best() == search.result.best()
    assert len(result.front()) == len(search.result.front())
    assert open_storage(tmp_path / "runs.sqlite3").run("mine").config["verify"]["best"] == 0


def test_a_program_that_breaks_a_bound_wins_nothing():
    with own_loop(bounds={"params": {"at_most": 20}}) as search:
        run_whole(search)
    winners = [search.result.metrics(candidate)["params"] for candidate in search.result.front()]
    assert winners and max(winners) <= 20


def test_a_budget_and_observers_are_passed_on():
    seen = []
    with own_loop(budget=nasmith.Budget(evaluations=5), observers=[seen.append]) as search:
        run_whole(search)
    assert len(search.result.candidates) == 2 + 5
    assert sum(isinstance(event, Evaluated) for event in seen) == 7
    assert seen[-1] == Finished("the budget was used up", True)


def test_the_seed_of_a_training_is_the_one_that_is_stored():
    with own_loop() as search:
        candidate = search.ask()
        seed = search.training_seed(candidate)
        search.tell(candidate, train(candidate.text))
        assert search.result.evaluations[0].seed == seed


def test_signal_handlers_and_threads_are_left_as_they_were():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with own_loop() as search:
        search.ask()
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert not [thread for thread in threading.enumerate() if thread.name == "nasmith-own-loop" and thread.is_alive()]


def test_ctrl_c_while_a_candidate_is_awaited_leaves_in_good_order(tmp_path):
    """The search waits for the one candidate that is out; the main thread waits for the search."""

    def loop():
        with own_loop(storage=tmp_path / "runs.sqlite3", name="mine", slots=3) as search:
            for _ in range(2):  # the seeds; no third candidate comes before they are told
                search.ask()
            threading.Timer(0.1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
            search.ask()

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert not nasmith.load("mine", tmp_path / "runs.sqlite3").run.finished
