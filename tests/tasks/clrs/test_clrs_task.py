from __future__ import annotations

import pytest

from clrs_toys import V1, needs_clrs, tiny, trained
from nasmith import registry
from nasmith.config import resolve
from nasmith.errors import ConfigError, MissingDependencyError, UnknownNameError
from nasmith.roster import identity
from nasmith.tasks.clrs import Clrs, packages
from nasmith.tasks.clrs.clrs_recipes import ALGORITHMS
from nasmith.types import Outcome, Status


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_has_a_name(algorithm):
    task = registry.create("tasks", f"clrs-{algorithm}")
    assert task.name == f"clrs-{algorithm}" and task.recipe.hidden == 128


def test_an_unknown_algorithm_is_said_with_the_thirty():
    with pytest.raises(UnknownNameError, match=r"'bsf'\. Did you mean 'bfs'.*activity_selector.*topological_sort"):
        registry.create("tasks", "clrs-bsf")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"device": "tpu"}, "device must be"), ({"max_params": 0}, "max_params"), ({"steps": 0}, "steps must be")],
)
def test_wrong_options_are_said(options, said):
    with pytest.raises(ConfigError, match=said):
        Clrs("bfs", **options)


def test_its_options_are_kept_for_a_run():
    described = registry.describe("tasks", tiny("dfs"))
    assert described["name"] == "clrs" and described["options"]["algorithm"] == "dfs"
    assert registry.create("tasks", described["name"], described["options"]).recipe == tiny("dfs").recipe


def test_the_small_preset_searches_for_two_rounds_where_it_is_set_on_the_command_line():
    small = resolve(task="clrs-bfs", settings=["preset=small"])
    assert (small.strategy.options["rounds"], small.strategy.options["error_threshold"]) == (2, 1.0)
    assert resolve(task="clrs-bfs", settings=["preset=small", "rounds=3"]).strategy.options["rounds"] == 3
    paper = resolve(task="clrs-bfs")
    assert "rounds" not in paper.strategy.options and paper.executor.options["memory_mb"] == 16_000


def test_programs_are_described():
    described = tiny().describe()
    assert described.entry == "get_triplet_msgs" and "import haiku as hk" in described.preamble
    assert "`bfs` in 6 steps" in described.statement and "{" not in described.statement
    compile(described.example_script, "verify.py", "exec")


def test_seeds_are_nine_different_programs():
    assert len({identity(text, entry="get_triplet_msgs") for text in tiny().seeds().values()}) == 9


def test_the_extra_is_asked_for_before_anything_is_begun(monkeypatch):
    monkeypatch.setattr(packages, "_NEEDED", ("not-there",))
    with pytest.raises(MissingDependencyError, match="pip install"):
        tiny().check()


@pytest.mark.parametrize("algorithm", ["minimum", "bfs"])
def test_it_warns_where_the_function_has_no_effect(monkeypatch, caplog, algorithm):
    monkeypatch.setattr(packages, "_NEEDED", ())
    Clrs(algorithm).check()
    assert ("clrs-minimum: the triplet messages change no prediction" in caplog.text) == (algorithm == "minimum")


def test_an_export_holds_the_network_around_the_function():
    (name,) = tiny().companions()
    assert name == "graph_network.py" and b"import nasmith" not in tiny().companions()[name]
    assert b"from nasmith" not in tiny().companions()[name]


@needs_clrs
def test_a_worker_sees_no_output_that_it_is_scored_by():
    _, data, _, _ = trained()
    assert any("/outputs/" in name for name in data["train"])
    assert not [name for split in ("val", "test") for name in data[split] if "outputs" in name]


@needs_clrs
def test_validation_samples_are_not_trained_on():
    _, data, _, _ = trained()
    train = {row.tobytes() for name, rows in data["train"].items() if name.endswith("inputs/pos") for row in rows}
    assert not train & {row.tobytes() for row in data["val"]["inputs/pos"]}


@needs_clrs
def test_a_training_is_scored():
    task, data, arrays, facts = trained()
    outcome = Outcome(Status.OK, arrays, facts, 2.5)
    state = task.best_state(outcome)
    found, measured = task.workload().examine(V1, state, {"val": data["val"]})
    metrics = task.score(outcome, Outcome(Status.OK, found, measured), "search")
    assert 0 < metrics["val_error"] < 1 and metrics["params"] == measured["params"] and metrics["train_seconds"] == 2.5
    assert task.fitness(metrics) == -metrics["params"] * metrics["val_error"]


@needs_clrs
def test_a_state_larger_than_the_program_does_not_count():
    task, data, arrays, facts = trained()
    outcome = Outcome(Status.OK, arrays, facts)
    found, measured = task.workload().examine(V1, task.best_state(outcome), {"val": data["val"]})
    with pytest.raises(ValueError, match="measured with fewer"):
        task.score(outcome, Outcome(Status.OK, found, {**measured, "params": 10.0}), "search")
