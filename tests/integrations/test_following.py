"""What a tracker is called with, and that a tracker which fails or hangs harms nothing but itself."""

import subprocess
import sys
import threading
import warnings

import pytest

import nasmith
from nasmith.errors import MissingDependencyError
from nasmith.integrations import IntegrationWarning, MLflow, TensorBoard, WandB
from nasmith.integrations.following import Following, clean, flat, identity
from nasmith.types import Run, Status
from toy_runs import toy_search
from tracked_searches import EVALUATIONS, stopped_search


class Notebook:
    """A tracker that keeps what it is called with; `broken` names a method that fails, `former` is what `begin` answers."""

    def __init__(self, broken="", former=None):
        self.broken, self.former, self.calls, self.threads = broken, former, [], set()

    def _note(self, method, *arguments):
        self.threads.add(threading.current_thread())
        self.calls.append((method, *arguments))
        if method == self.broken:
            raise ConnectionError("the server is gone")

    def begin(self, run, resumed):
        self._note("begin", run.name, resumed)
        return resumed if self.former is None else self.former

    def log(self, values, step):
        self._note("log", dict(values), step)

    def write(self, name, text):
        self._note("write", name, text)

    def end(self, complete):
        self._note("end", complete)

    def of(self, method):
        return [call[1:] for call in self.calls if call[0] == method]


def test_every_evaluation_is_logged_with_the_best_so_far_and_counts_by_status(tmp_path):
    tracker = Notebook()
    result = toy_search(tmp_path / "runs.sqlite3", observers=[Following("Notebook", tracker)])
    assert [call[0] for call in (tracker.calls[0], tracker.calls[-1])] == ["begin", "end"]
    assert tracker.of("begin") == [("run", False)] and tracker.of("end") == [(True,)]
    logged = tracker.of("log")
    searched, verified, (verdict, _) = logged[:EVALUATIONS], logged[EVALUATIONS:-1], logged[-1]
    assert [step for _, step in logged[:-1]] == list(range(1, len(result.evaluations) + 1))
    assert [values["candidate"] for values, _ in searched] == [e.candidate for e in result.evaluations[:EVALUATIONS]]
    last = searched[-1][0]
    best = result.best()
    assert last["best/fitness"] == result.metrics(best)["fitness"]
    curve = [values["best/fitness"] for values, _ in searched if "best/fitness" in values]
    assert curve == sorted(curve) and "best/fitness" not in searched[0][0]  # a seed is no find
    assert sum(count for name, count in last.items() if name.startswith("status/")) == EVALUATIONS
    broken = next(values for values, _ in searched if result.metrics(int(values["candidate"])) == {})
    assert "val_error" not in broken
    assert all("verify/test_error" in values for values, _ in verified)
    means = [each["test_error"] for each in result.verified(best)]
    assert verdict["verified/test_error"] == pytest.approx(sum(means) / len(means))
    assert tracker.of("write") == [("best_program.py", best.text)]


def test_it_is_called_from_one_thread_that_is_not_the_searchs(tmp_path):
    tracker = Notebook()
    toy_search(tmp_path / "runs.sqlite3", observers=[Following("Notebook", tracker)])
    assert len(tracker.threads) == 1 and threading.current_thread() not in tracker.threads


@pytest.mark.parametrize("former", [True, False])
def test_a_resumed_search_logs_what_is_not_there_yet(tmp_path, former):
    first, second = Notebook(), Notebook(former=former)
    stopped_search(tmp_path / "runs.sqlite3", Following("Notebook", first))
    result = nasmith.resume("run", tmp_path / "runs.sqlite3", observers=[Following("Notebook", second)])
    assert first.of("end") == [(False,)] and second.of("begin") == [("run", True)] and second.of("end") == [(True,)]
    steps = [step for _, step in second.of("log")[:-1]]
    begin = len(first.of("log")) if former else 0
    assert steps == list(range(begin + 1, len(result.evaluations) + 1))
    assert second.of("log")[-2][0].keys() >= {"verify/test_error"}
    children = [values for values, _ in second.of("log") if "best/fitness" in values]
    assert children[-1]["best/fitness"] == result.metrics(result.best())["fitness"]


@pytest.mark.parametrize("broken", ["begin", "log", "write", "end"])
def test_a_tracker_that_fails_is_warned_of_once_and_the_search_goes_on(tmp_path, broken, monkeypatch):
    monkeypatch.setenv("TRACKER_TOKEN", "the server is gone")
    tracker = Notebook(broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = toy_search(tmp_path / "runs.sqlite3", observers=[Following("Notebook", tracker)])
    assert [warning.category for warning in caught] == [IntegrationWarning]
    words = str(caught[0].message)
    assert words == "Notebook gets nothing more of this search, which goes on: ConnectionError: [TRACKER_TOKEN]"
    assert result.run.finished and len(result.candidates) == EVALUATIONS


def test_a_tracker_that_hangs_does_not_hold_up_the_search():
    from nasmith.events import Evaluated, Finished, Started
    from nasmith.types import Candidate, Evaluation

    hanging, calls = threading.Event(), []

    class Hanging(Notebook):
        def begin(self, run, resumed):
            calls.append("begin")
            assert hanging.wait(timeout=30)

        def end(self, complete):
            calls.append("end")

    follow = Following("Hanging", Hanging(), patience_seconds=0.05)
    follow(Started(Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"), False, 1))
    follow(Evaluated(Candidate(1, "x"), Evaluation(1, Status.OK, {"fitness": 1.0})))
    with pytest.warns(IntegrationWarning, match=r"within 0.05 seconds after the end"):
        follow(Finished("done", True))
    hanging.set()
    assert calls == ["begin"]


def test_the_same_observer_may_follow_one_search_after_the_other(tmp_path):
    tracker = Notebook()
    follow = Following("Notebook", tracker)
    for name in ("first", "second"):
        toy_search(tmp_path / "runs.sqlite3", name=name, observers=[follow], budget=nasmith.Budget(evaluations=4))
    assert [name for name, _ in tracker.of("begin")] == ["first", "second"]
    steps = [step for _, step in tracker.of("log")]
    assert steps.count(1) == 2


def test_nothing_secret_is_logged(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789abcdef")
    config = {"task": {"name": "toy", "options": {"words": ["sk-0123456789abcdef", 3]}}}
    assert clean(config) == {"task": {"name": "toy", "options": {"words": ["[SOME_API_KEY]", 3]}}}
    assert "sk-" not in str(flat(config))


def test_a_configuration_is_flat_where_a_tracker_wants_it():
    config = {
        "task": {"name": "toy", "options": {"delay_seconds": 0.0}},
        "lm": {"name": "ensemble", "options": {"weights": {"a": 1}}},
        "budget": {"minutes": None},
        "seed": 7,
    }
    assert flat(config) == {
        "task": "toy",
        "task.delay_seconds": "0.0",
        "lm": "ensemble",
        "lm.weights.a": "1",
        "budget.minutes": "None",
        "seed": "7",
    }


def test_runs_of_one_name_are_told_apart_by_when_they_were_begun():
    runs = [Run("toy's 1", {}, "0", {}, f"2026-01-01T00:00:0{second}+00:00") for second in (1, 2)]
    assert [identity(run) for run in runs] == ["toy-s-1-20260101000001", "toy-s-1-20260101000002"]


@pytest.mark.parametrize(("made", "extra"), [(MLflow, "mlflow"), (WandB, "wandb"), (TensorBoard, "tensorboard")])
def test_a_tracker_that_is_not_installed_is_said_before_anything_begins(made, extra, monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("nasmith.integrations.following.import_module", absent)
    with pytest.raises(MissingDependencyError, match=rf'is not installed: pip install "nasmith\[{extra}\]"'):
        made()


def test_importing_the_integrations_imports_no_tracker():
    code = "import nasmith.integrations, sys; print({'mlflow', 'wandb', 'tensorboard', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
