from __future__ import annotations

import io

import pytest
from rich.console import Console

import nasmith
from nasmith import analysis
from nasmith.cli.summary import (
    counts_table,
    leaders_table,
    print_summary,
    seconds_between,
    storage_flag,
    summary,
    verified_table,
)
from nasmith.executors.inline import Inline
from nasmith.protocols import Storage
from nasmith.storage.memory import Memory
from nasmith.strategies.random_search import RandomSearch
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.testing import ToyLM, ToyTask
from objective_toys import LoneToy, ScoreToy


def text_of(item: object) -> str:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(item)
    return console.export_text()


def test_the_end_of_a_search_names_the_winner_what_it_beats_and_what_comes_next(recorded_storage: Storage) -> None:
    console = Console(file=io.StringIO(), width=80, record=True)
    print_summary(console, recorded_storage, "quiet-otter", Mnist1d(), "runs.sqlite3")
    text = console.export_text()
    assert "is fitter than 4 of the 4 seeds" in text and "40 children" in text
    for command in ("show", "report", "export"):
        assert f"nasmith {command} quiet-otter --storage runs.sqlite3" in text
    assert "! test error above" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_tables_fit_80_columns_and_show_the_seeds(recorded_storage: Storage) -> None:
    records = analysis.read(recorded_storage, "quiet-otter")
    task = Mnist1d()
    scored = analysis.scored(records)
    tables = [
        leaders_table(scored, task.objectives),
        verified_table(analysis.verified(records, task), task.objectives, limit=2),
    ]
    for table in tables:
        text = text_of(table)
        assert "reference_cnn" in text and "mlp" in text and max(map(len, text.splitlines())) <= 80
    assert "duplicate" in text_of(counts_table(records))


def test_the_summary_for_scripts_separates_validation_from_test(recorded_storage: Storage) -> None:
    shown = summary(recorded_storage, "quiet-otter", Mnist1d())
    best = shown["best"][0]
    assert best["fitness"] == max(item["fitness"] for item in shown["best"])
    assert "test_error" not in best["metrics"]
    assert {"val_error", "test_error"} <= set(shown["verified"][0]["mean"])
    assert sum(item["flagged"] for item in shown["verified"]) == 1


def test_the_end_of_a_search_says_how_far_it_got_beyond_the_fittest_seed(recorded_storage: Storage) -> None:
    console = Console(file=io.StringIO(), width=80, record=True)
    print_summary(console, recorded_storage, "quiet-otter", Mnist1d(), None)
    text = " ".join(console.export_text().split())
    assert "Against the seed reference_cnn, by validation data, means over 3 trainings with new seeds:" in text
    assert "lowest params, val error no worse" in text and "lowest val error, params no worse" in text
    assert "The report holds them against 3 other seeds too." in text


def test_the_summary_for_scripts_names_what_beats_each_seed(recorded_storage: Storage) -> None:
    shown = summary(recorded_storage, "quiet-otter", Mnist1d())
    mlp = next(item for item in shown["against_seeds"] if item["label"] == "mlp")
    assert (mlp["quality"], mlp["cost"], mlp["verified"]) == ("val_error", "params", True)
    assert mlp["least_cost_no_worse"] == mlp["trade_off"][0] and mlp["best_quality_no_costlier"] == mlp["trade_off"][-1]
    assert shown["verified"][0]["interval_95"]["val_error"] > shown["verified"][0]["standard_deviation"]["val_error"]


@pytest.mark.parametrize("verified", [0, 2])
@pytest.mark.parametrize("task", [ScoreToy(), LoneToy()])
def test_other_objectives_are_summed_up_in_80_columns(task: ToyTask, verified: int) -> None:
    storage = Memory()
    what = nasmith.Verification(best=verified, front=0, seeds=2, baselines=verified > 0)
    nasmith.search(task, ToyLM(), RandomSearch(12), Inline(), storage, name="run", seed=3, verify=what)
    console = Console(file=io.StringIO(), width=80, record=True)
    print_summary(console, storage, "run", task, None)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "highest " in text and "test" not in text and "± sd" not in text
    assert ("fitness" in text) is (len(task.objectives) > 1)  # one objective alone is its own fitness
    assert summary(storage, "run", task)["against_seeds"][0]["quality"] == task.objectives[0].name


def test_time_between_two_moments() -> None:
    assert seconds_between("2026-01-01T10:00:00+00:00", "2026-01-01T11:02:03+00:00") == "1:02:03"
    assert seconds_between("2026-01-01T10:00:00+00:00", "") == "unfinished"


def test_a_command_names_the_storage_only_where_the_user_did() -> None:
    assert (storage_flag(None), storage_flag("x.db")) == ("", " --storage x.db")
    assert storage_flag("postgresql://me:secret@host/x") == " --storage postgresql://me:***@host/x"
