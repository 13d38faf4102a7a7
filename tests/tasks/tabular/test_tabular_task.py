import os
from pathlib import Path

import pytest

import nasmith
from nasmith import registry
from nasmith.errors import ConfigError
from nasmith.executors.inline import Inline
from nasmith.protocols import Task
from nasmith.tasks.tabular import NasBench201Cifar10, NasBench201ImageNet16, NasBenchMacro
from nasmith.types import Job, Outcome, Status

FOLDER = Path(os.environ.get("NASMITH_DATA", Path(__file__).parents[4] / "shared" / "data" / "genius"))
NAMES = [name for name in registry.names("tasks") if ".tabular." in registry.load("tasks", name).__module__]
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"


@pytest.fixture
def folder():
    if not (FOLDER / "nasbench201_cifar10.json").is_file():
        pytest.skip(f"no tables in {FOLDER}: name the folder with the published tables by NASMITH_DATA")
    return str(FOLDER)


def look_up(task, text, purpose="search"):
    executor = Inline()
    executor.start(task.workload(), task.data)
    outcome = executor.submit(Job(1, text, 0)).result()
    assert outcome.status is Status.OK, outcome.message
    return task.score(outcome, outcome, purpose)


@pytest.mark.parametrize("name", NAMES)
def test_every_table_is_a_task_that_can_be_made_again(folder, name):
    task = registry.create("tasks", name, {"folder": folder})
    assert isinstance(task, Task) and task.name == name
    task.check()
    described = registry.describe("tasks", task)
    assert (
        described["name"] == name
        and registry.describe("tasks", registry.create("tasks", name, described["options"])) == described
    )
    assert len(task.describe().statement) > 100 and task.describe().title
    text = task.space.write((0,) * len(task.space.positions))
    metrics = look_up(task, text)
    assert (
        set(metrics) == {task.objectives[0].name, "params", "flops"}
        and task.fitness(metrics) == metrics[task.objectives[0].name]
    )
    assert set(look_up(task, text, "verify")) == {*metrics, "test_accuracy", "rank", "percentile", "regret"}


def test_the_best_cell_is_first_and_the_search_is_shown_its_validation_accuracy_alone(folder):
    task = NasBench201Cifar10(folder=folder)
    assert look_up(task, BEST)["val_accuracy"] == pytest.approx(91.496, abs=1e-3)
    revealed = task.reveal(BEST)
    assert revealed == {"test_accuracy": task.optimum, "rank": 1.0, "percentile": 100.0, "regret": 0.0}
    assert task.optimum == pytest.approx(94.373, abs=1e-3)
    dead = task.reveal("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert dead["test_accuracy"] == 10.0 and dead["percentile"] < 5


def test_a_table_with_test_accuracy_alone_shows_that(folder):
    task = NasBenchMacro(folder=folder)
    assert look_up(task, "22212220") == pytest.approx({"test_accuracy": 93.12666, "params": 1985514, "flops": 85164544})
    assert task.reveal("22212202")["rank"] == task.reveal("22212220")["rank"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_disguise_changes_names_and_nothing_else(folder, name):
    plain = registry.create("tasks", name, {"folder": folder})
    other = registry.create("tasks", name, {"folder": folder, "disguise": 4})
    words = f"{other.describe()} {other.space.name} {other.space.positions}"
    assert not any(word in words for word in ("CIFAR", "ImageNet", "conv", "Bench", "channels", "kernel"))
    texts = [other.space.write(design) for design in list(other.space.designs())[::1999]]
    for text in texts:
        real = plain.space.write(other._catalogue.real(other.space.read(text)))
        assert other.reveal(text) == plain.reveal(real) and look_up(other, text) == look_up(plain, real)
        assert other.program(text) == plain.program(real)


def test_bounds_make_designs_invalid_with_the_distance(folder):
    task = NasBench201Cifar10(folder=folder, flops_max=60e6)
    task.check()
    assert "at most 60 M FLOPs" in task.describe().statement
    executor = Inline()
    executor.start(task.workload(), task.data)
    outcome = executor.submit(Job(1, BEST, 0)).result()
    assert outcome.status is Status.INVALID and "above the upper bound of 60 M" in outcome.message


def test_bounds_that_nothing_keeps_are_said_before_anything_is_begun(folder, tmp_path):
    task = NasBench201ImageNet16(folder=folder, params_max=1000)
    with pytest.raises(ConfigError, match=r"no design of NAS-Bench-201 keeps at most 1,000 parameters. Its designs have"):
        nasmith.search(task, storage=tmp_path / "runs.sqlite3", strategy="random")
    assert not (tmp_path / "runs.sqlite3").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_the_network_and_needs_nothing_of_nasmith(folder, name):
    task = registry.create("tasks", name, {"folder": folder})
    text = task.space.write(tuple(size - 1 for size in task.space.sizes))
    source = task.program(text)
    assert "nasmith" not in source
    names = {}
    exec(compile(source, "model.py", "exec"), names)
    model = names["Model"]()
    assert sum(parameter.numel() for parameter in model.parameters()) == look_up(task, text)["params"]


def test_a_worker_that_returns_something_else_is_not_believed(folder):
    task = NasBenchMacro(folder=folder)
    with pytest.raises(ValueError, match="no design"):
        task.score(Outcome(Status.OK), Outcome(Status.OK), "search")
    with pytest.raises(ValueError, match="8 positions"):
        task.score(Outcome(Status.OK), Outcome(Status.OK, {"design": [7] * 8}), "search")
