from __future__ import annotations

from dataclasses import replace

import pytest

import nasmith
from nasmith import registry
from nasmith.api import open_storage
from nasmith.errors import ConfigError, ExhaustedError, RunStoppedError, UnknownNameError
from nasmith.executors.inline import Inline
from nasmith.lms.replay import Replay
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Call, Completion, Request, Run
from toy_runs import records, toy_search


def make(part):
    return registry.create("lms", part["name"], part["options"])


@pytest.fixture
def recorded(tmp_path):
    """A storage with a run of the toy task, and the log of what its model was asked."""
    path = tmp_path / "runs.sqlite3"
    toy_search(path, lm=ToyLM(log=str(tmp_path / "log")))
    return path


def test_a_recorded_run_is_played_again_without_its_model(recorded, tmp_path):
    asked = (tmp_path / "log").read_text()
    toy_search(recorded, lm=Replay("run"), name="again")
    assert records(recorded, "again") == records(recorded, "run")
    assert (tmp_path / "log").read_text() == asked


def test_it_is_played_from_another_storage(recorded, tmp_path):
    toy_search(tmp_path / "other.sqlite3", lm=Replay("run", storage=str(recorded)))
    assert records(tmp_path / "other.sqlite3") == records(recorded)


def test_a_replay_can_be_played_again_and_resumed(recorded, tmp_path):
    stop = []

    def break_off(event):
        stop.append(event)
        if len(stop) == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_search(recorded, lm=Replay("run"), name="again", observers=[break_off])
    nasmith.resume("again", recorded)
    toy_search(recorded, lm=Replay("again"), name="third")
    assert records(recorded, "run") == records(recorded, "again") == records(recorded, "third")


@pytest.mark.parametrize("budget", [nasmith.Budget(evaluations=7), nasmith.Budget(tokens=150)])
def test_a_run_that_ended_early_is_played_to_where_it_ended(tmp_path, budget):
    path = tmp_path / "runs.sqlite3"
    toy_search(path, budget=budget)
    toy_search(path, lm=Replay("run"), name="again", budget=budget)
    assert records(path, "again") == records(path, "run")
    toy_search(path, lm=Replay("run"), name="unlimited")
    assert records(path, "unlimited")[0] == records(path, "run")[0]


def test_another_search_than_the_recorded_one_is_refused(recorded):
    with pytest.raises(RunStoppedError, match="step 0 was decided otherwise there"):
        toy_search(recorded, lm=Replay("run"), name="again", seed=8)
    with pytest.raises(UnknownNameError, match="unknown run 'rum'"):
        toy_search(recorded, lm=Replay("rum"), name="again")


def test_the_configuration_names_the_recorded_model(recorded):
    toy_search(recorded, lm=Replay("run"), name="again")
    options = open_storage(recorded).run("again").config["lm"]["options"]
    assert options["recorded"]["name"] == "nasmith.testing.toys:ToyLM"


def test_faults_are_told_again_at_their_place_and_a_prompt_must_match(tmp_path):
    storage = open_storage(tmp_path / "runs.sqlite3")
    storage.add_run(Run("run", {"lm": {"name": "nasmith.testing:ToyLM", "options": {}}}, "0", {}, "2026-01-01T00:00:00+00:00"))
    reply = Completion("prompt", "text", "toy", 3, 4, 0.5)
    storage.add_completions("run", 2, 0, [reply, reply])
    checked, fault = Call("toy", "checked", cost=0.1), Call("toy", "limited", step=2, index=1)
    storage.add_call("run", checked)
    storage.add_call("run", fault)
    replay, told = Replay("run"), []
    replay.attach(storage, make)
    replay.check(told.append)
    assert told == [checked]
    request = Request("prompt", place=(2, 0), record=told.append)
    assert replay.complete(request) == [reply]
    assert told == [checked]
    assert replay.complete(replace(request, place=(2, 1))) == [reply]
    assert told == [checked, fault]
    with pytest.raises(RunStoppedError, match="another prompt at step 2"):
        replay.complete(replace(request, prompt="other"))
    with pytest.raises(ExhaustedError, match="the recording of run ends here"):
        replay.complete(replace(request, place=(2, 2)))


def test_it_must_be_told_which_run():
    with pytest.raises(ConfigError, match="say which run"):
        Replay("")


def test_evaluations_are_told_in_the_recorded_order(tmp_path):
    """A strategy that asks by what was told so far asks the same, however the trainings of the replay come to an end."""
    path = tmp_path / "runs.sqlite3"
    nasmith.search(ToyTask(), ToyLM(), Greedy(), Inline(), path, name="run", seed=1)
    nasmith.search(ToyTask(), Replay("run"), Greedy(), Inline(), path, name="again", seed=1)
    assert records(path, "again") == records(path, "run")


class Greedy(EvoPrompting):
    """Asks for one child of the two fittest so far, again and again, without rounds."""

    def __init__(self, children: int = 12) -> None:
        super().__init__(rounds=1, prompts=children, samples=1)
        self.children = children

    def tell(self, candidate, evaluation):
        super().tell(candidate, evaluation)
        if "fitness" in evaluation.metrics and candidate.step >= 0:
            from nasmith.population import Scored, top

            self._pool = top([*self._pool, Scored(candidate.id, evaluation.metrics)], 2)
