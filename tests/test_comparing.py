"""Whole comparisons on toys: what is compared, that one that was stopped goes on, that workers change nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import nasmith
from nasmith.api import open_storage
from nasmith.comparing import StoppedError, compare
from nasmith.errors import RunBusyError, RunStoppedError, UnknownNameError, UsageError
from nasmith.events import Evaluated
from nasmith.storage.memory import Memory
from nasmith.storage.sql import Sql
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask
from toy_strategies import Climb, Guess

SPACE = "nasmith.testing:ToySpaceTask"
QUICK = {"guess": "toy_strategies:Guess", "climb": "toy_strategies:Climb"}


def quick(storage, seeds=4, **options):
    return compare(SPACE, options.pop("strategies", QUICK), seeds, 12, storage=storage, **{"workers": 1, **options})


def after(count, act):
    """Return a progress that acts when so many runs are finished."""

    def progress(progress):
        if sum(progress.runs.values()) == count:
            act()

    return progress


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    storage = tmp_path_factory.mktemp("undisturbed") / "runs.sqlite3"
    return quick(storage), storage


def test_every_strategy_runs_with_every_seed_and_the_runs_are_whole(undisturbed):
    made, storage = undisturbed
    opened = Sql(storage, read_only=True)
    runs = opened.runs()
    assert len(runs) == 8 and all(run.finished for run in runs)
    assert {(run.config["strategy"]["name"], run.config["seed"]) for run in runs} == {
        (name, seed) for name in QUICK.values() for seed in range(4)
    }
    for run in runs:
        assert run.config["comparison"] == made.name
        assert len(opened.candidates(run.name)) == len(opened.evaluations(run.name)) == len(opened.asked(run.name)) == 12
    opened.close()
    assert made.measure == "test_accuracy" and made.unit == "%" and made.checkpoints == (10, 12)
    assert [standing.strategy for standing in made.standings] == ["guess", "climb"]


def test_a_curve_ends_with_what_the_runs_best_is_worth(undisturbed):
    made, storage = undisturbed
    opened = Sql(storage, read_only=True)
    for label, runs in made.curves.items():
        for seed, run in runs.items():
            best = max(e.metrics.get("fitness", 0.0) for e in opened.evaluations(made.runs[label][seed]))
            assert run[-1] == best - 1.0  # the toy's test accuracy
            assert list(run) == sorted(run)
    opened.close()


def test_a_strategy_is_told_how_many_evaluations_it_has(undisturbed):
    assert all(arm["strategy"]["options"]["evaluations"] == 12 for arm in undisturbed[0].arms.values())


def test_workers_change_nothing_and_import_no_pytorch(undisturbed, tmp_path):
    storage = tmp_path / "runs.sqlite3"
    strategies = {**QUICK, "heavy": "toy_strategies:Heavy"}
    made = quick(storage, workers=2, strategies=strategies)
    assert {label: made.curves[label] for label in QUICK} == undisturbed[0].curves
    opened = Sql(storage, read_only=True)
    operators = {c.operator for seed in range(4) for c in opened.candidates(made.runs["heavy"][seed])}
    opened.close()
    assert operators == {"light"}


def test_a_stopped_comparison_keeps_its_runs_and_goes_on_to_the_same(undisturbed, tmp_path):
    storage = tmp_path / "runs.sqlite3"
    with pytest.raises(StoppedError, match=r"stopped after \d of 8 runs"):
        quick(storage, progress=after(3, lambda: signal.raise_signal(signal.SIGINT)))
    opened = Sql(storage, read_only=True)
    before = {run.name: run.created for run in opened.runs()}
    assert 3 <= len(before) < 8 and all(run.finished for run in opened.runs())
    opened.close()
    seen = []
    assert quick(storage, progress=seen.append).to_json() == undisturbed[0].to_json()
    assert seen[0].found == len(before) and sum(seen[0].runs.values()) == len(before)


SCRIPT = """
import os, signal, sys
import nasmith

def progress(progress):
    if sum(progress.runs.values()) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

nasmith.compare(sys.argv[1], {"guess": "toy_strategies:Guess", "climb": "toy_strategies:Climb"}, 4, 12,
                storage=sys.argv[2], workers=2, progress=progress)
"""


def test_a_script_without_a_guard_may_be_killed_and_loses_no_finished_run(undisturbed, tmp_path):
    script, storage = tmp_path / "script.py", tmp_path / "runs.sqlite3"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script, SPACE, storage], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    opened = Sql(storage)
    assert len(opened.runs()) == 3 and all(run.finished for run in opened.runs())
    opened.close()
    assert quick(storage).to_json() == undisturbed[0].to_json()


def test_more_seeds_and_strategies_take_the_runs_that_are_there(undisturbed, tmp_path):
    storage = tmp_path / "runs.sqlite3"
    small = quick(storage, seeds=2, strategies={"climb": QUICK["climb"]})
    seen = []
    assert quick(storage, progress=seen.append).to_json() == undisturbed[0].to_json()
    assert seen[0].found == 2
    assert small.name == undisturbed[0].name


def test_another_configuration_does_not_mix(undisturbed, tmp_path):
    storage = tmp_path / "runs.sqlite3"
    first = quick(storage, seeds=1)
    other = compare(SPACE, QUICK, 1, 13, storage=storage, workers=1)
    assert other.name != first.name
    batch = quick(storage, seeds=1, settings=["batch=3"])
    assert batch.name == first.name and batch.runs != first.runs
    assert all(arm["strategy"]["options"]["batch"] == 3 for arm in batch.arms.values())


def test_a_setting_can_be_for_one_strategy_alone(tmp_path):
    made = quick(tmp_path / "runs.sqlite3", seeds=1, settings=["climb.batch=3"])
    assert {label: arm["strategy"]["options"]["batch"] for label, arm in made.arms.items()} == {"guess": 1, "climb": 3}


def test_what_a_strategy_recommends_counts_also_where_its_runs_were_there(tmp_path):
    storage = tmp_path / "runs.sqlite3"
    strategies = {"stubborn": "toy_strategies:Stubborn", "guess": QUICK["guess"]}
    made = quick(storage, strategies=strategies)
    for seed in range(4):
        assert set(made.curves["stubborn"][seed]) == {made.curves["guess"][seed][0]}
    assert quick(storage, strategies=strategies).to_json() == made.to_json()


def test_a_disguised_task_stands_beside_the_plain_one(tmp_path):
    made = compare("toy_strategies:Masked", QUICK, 3, 12, storage=tmp_path / "runs.sqlite3", workers=1, disguise=5)
    assert list(made.curves) == ["guess", "guess, disguised", "climb", "climb, disguised"]
    assert made.optimum == 91.0
    assert [arm["task"]["options"]["disguise"] for arm in made.arms.values()] == [None, 5, None, 5]
    # The same draws mean other designs, and each is valued as what it is.
    assert made.curves["guess"] != made.curves["guess, disguised"]


def test_a_run_that_fails_ends_the_comparison_and_the_others_are_stored(tmp_path):
    strategies = {**QUICK, "broken": "toy_strategies:Broken"}
    for workers in (1, 2):
        storage = tmp_path / f"{workers}.sqlite3"
        with pytest.raises(RunStoppedError, match=r"broken-[0-9a-f]+\.1' could not be made: unknown design 'x'"):
            quick(storage, strategies=strategies, workers=workers)
        opened = Sql(storage, read_only=True)
        assert opened.runs() and all(run.finished for run in opened.runs())
        opened.close()


def test_any_storage_takes_the_runs(undisturbed):
    storage = Memory()
    assert quick(storage).curves == undisturbed[0].curves
    assert len(storage.runs()) == 8 and all(run.finished for run in storage.runs())
    assert quick(storage).to_json() == undisturbed[0].to_json()


def test_objects_do_where_names_do(undisturbed, tmp_path):
    made = quick(tmp_path / "runs.sqlite3", strategies={"guess": Guess(), "climb": Climb()})
    assert made.to_json() == undisturbed[0].to_json()
    assert nasmith.compare is compare


PROGRAMS = {"evolution": EvoPrompting(rounds=2, prompts=2, samples=3, survivors=3), "few": "few-shot"}


def programs(storage, **options):
    return compare(ToyTask(), PROGRAMS, 2, 10, lm=ToyLM(), executor="inline", storage=storage, **options)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return programs(tmp_path_factory.mktemp("written") / "runs.sqlite3")


def test_programs_of_a_language_model_are_compared_by_fitness(written):
    assert written.measure == "fitness" and written.optimum is None
    assert written.checkpoints == (10,)
    assert all(
        len(run) == 10 and run[-1] is not None and run[-1] < 0 for runs in written.curves.values() for run in runs.values()
    )
    assert all(standing.test is not None for standing in written.standings[1:])


def test_a_comparison_of_programs_goes_on_in_the_middle_of_a_run(written, tmp_path):
    storage, count = tmp_path / "runs.sqlite3", 0

    def interrupt(event):
        nonlocal count
        count += isinstance(event, Evaluated)
        if count == 29:  # in the third run
            signal.raise_signal(signal.SIGINT)
            count += 1

    with pytest.raises(StoppedError):
        programs(storage, observers=[interrupt])
    opened = open_storage(storage)
    finished = [bool(run.finished) for run in opened.runs()]
    assert finished == [True, True, False]
    half = len(opened.evaluations(opened.runs()[2].name))
    opened.close()
    assert 0 < half < 12
    assert programs(storage).to_json() == written.to_json()


def test_a_strategy_that_plans_less_than_the_budget_is_named(tmp_path):
    small = {"small": EvoPrompting(rounds=1, prompts=1, samples=3, survivors=3)}
    made = compare(ToyTask(), small, 1, 10, lm=ToyLM(), executor="inline", storage=tmp_path / "runs.sqlite3")
    assert any("small plans 3 evaluations" in note for note in made.notes)
    assert any("nothing was tested" in note for note in made.notes)
    assert made.standings[0].test is None


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"seeds": 0}, UsageError, "seeds, evaluations and workers must be at least 1, got 0"),
        ({"strategies": ["random", "nobody"]}, UnknownNameError, "unknown strategy 'nobody'"),
        (
            {"strategies": ["few-shot"]},
            UsageError,
            "few-shot proposes programs, and the candidates of task toy-space are designs",
        ),
        ({"strategies": []}, UsageError, "no strategy was named"),
        ({"strategies": [QUICK["guess"]] * 2}, UsageError, "named twice"),
        ({"against": "gues"}, UnknownNameError, "unknown strategy of this comparison 'gues'. Did you mean 'guess'"),
        ({"checkpoints": [5, 13]}, UsageError, "checkpoints lie between 1 and the evaluations of a run, 12; got 13"),
        ({"settings": ["bach=3"]}, UnknownNameError, "unknown option 'bach'. Did you mean 'batch'"),
        ({"settings": ["strategy.bach=3"]}, UnknownNameError, "unknown option 'strategy.bach'"),
        ({"disguise": 1}, UsageError, "ToySpaceTask has no option `disguise`"),
        ({"executor": "inlin"}, UnknownNameError, "Did you mean 'inline'"),
    ],
)
def test_mistakes_are_explained_before_anything_is_stored(options, kind, said, tmp_path):
    with pytest.raises(kind) as caught:
        quick(tmp_path / "runs.sqlite3", **options)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_is_made_by_one_process_at_a_time(undisturbed, tmp_path):
    storage = Sql(tmp_path / "runs.sqlite3")
    with storage.claim(undisturbed[0].name), pytest.raises(RunBusyError, match="another process makes this comparison"):
        quick(tmp_path / "runs.sqlite3")
    storage.close()


def test_a_comparison_leaves_no_file_but_the_storage(tmp_path):
    quick(tmp_path / "runs.sqlite3", seeds=1)
    assert {path.name.partition("-")[0] for path in Path(tmp_path).iterdir()} == {"runs.sqlite3"}
