"""The task of a training loop of one's own: what is refused before anything begins, and that a stored run finds it again."""

import pytest

from nasmith import registry
from nasmith.errors import ConfigError, SeedError
from nasmith.own_task import OwnTask, goals_of, limits_of
from nasmith.types import Bound, Objective, Outcome, Status

SEEDS = {"one": "def Model():\n    return 1\n"}
GOALS = [{"name": "val_error", "direction": "minimize"}, {"name": "params", "direction": "minimize"}]


@pytest.mark.parametrize(
    "objectives",
    [
        {"val_error": "minimize", "params": "minimize"},
        [{"val_error": "minimize"}, {"params": "minimize"}],
        [Objective("val_error", "minimize"), Objective("params", "minimize")],
        GOALS,
    ],
)
def test_objectives_may_be_said_in_several_ways(objectives):
    task = OwnTask(SEEDS, goals_of(objectives))
    assert task.objectives == (Objective("val_error", "minimize"), Objective("params", "minimize"))


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        ({}, "one metric at least"),
        (["val_error"], "got 'val_error'"),
        ({"val_error": "down"}, '"minimize" or "maximize"'),
        ([{"name": "val_error", "direction": "minimize", "wieght": 2}], "wieght"),
        ([{"val_error": "minimize"}, {"val_error": "maximize"}], "each named once"),
        ({"fitness": "maximize"}, "none called fitness"),
    ],
)
def test_what_is_no_objective_is_refused(objectives, words):
    with pytest.raises(ConfigError, match=words):
        goals_of(objectives)


def test_bounds_may_be_said_in_two_ways_and_their_metrics_are_needed():
    task = OwnTask(SEEDS, GOALS, limits=limits_of({"params": {"at_most": 10}, "seconds": {"at_most": 2.5}}))
    assert task.bounds == (Bound("params", at_most=10), Bound("seconds", at_most=2.5))
    assert OwnTask(SEEDS, GOALS, limits=limits_of([Bound("params", at_most=10)])).bounds == (Bound("params", at_most=10),)
    assert task.needed == ("val_error", "params", "seconds")


@pytest.mark.parametrize("bound", [10, {}, {"most": 3}, {"at_most": "3"}])
def test_what_is_no_bound_is_refused(bound):
    with pytest.raises(ConfigError, match="bounds must be as in"):
        limits_of({"params": bound})


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({"bad": "def Model(:\n"}, "seed 'bad': "),
        ({"other": "def Network():\n    return 1\n"}, "seed 'other' does not define Model"),
        ({"half": "def Model():\n    # nasmith: begin\n    return 1\n"}, "seed 'half'"),
    ],
)
def test_a_seed_that_is_no_such_program_is_named(seeds, words):
    with pytest.raises(SeedError, match=words):
        OwnTask(seeds, GOALS)


@pytest.mark.parametrize("seeds", [["def Model(): ..."], {"one": 1}, "def Model(): ..."])
def test_seeds_are_texts_by_name(seeds):
    with pytest.raises(ConfigError, match="seeds must be texts of programs by name"):
        OwnTask(seeds, GOALS)


def test_without_a_first_line_a_program_need_not_define_anything():
    assert OwnTask({"free": "width = 3\n"}, GOALS, first_line="").describe().entry == ""


def test_marks_in_the_seeds_say_what_is_fixed():
    text = "def Model():\n    # nasmith: begin\n    width = 1\n    # nasmith: end\n    return width\n"
    assert OwnTask({"one": text}, GOALS).describe().fixed[-1].endswith("    return width\n")


def test_selections_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="selection must be one of product, weighted"):
        OwnTask(SEEDS, GOALS, selection="best")
    with pytest.raises(ConfigError, match="a product is of objectives that are minimised"):
        OwnTask(SEEDS, goals_of({"accuracy": "maximize", "params": "minimize"}))


def test_a_language_model_is_told_what_is_wanted_where_the_user_says_nothing():
    assert "low val_error, low params" in OwnTask(SEEDS, GOALS).describe().statement
    assert OwnTask(SEEDS, GOALS, statement="Small nets.").describe().statement == "Small nets."


def test_what_was_told_is_the_score_and_objectives_make_the_fitness():
    task = OwnTask(SEEDS, GOALS)
    told = Outcome(Status.OK, facts={"val_error": 0.5, "params": 10.0, "epochs": 3.0})
    assert task.best_state(told) is None
    assert task.score(told, told, "search") == {"val_error": 0.5, "params": 10.0, "epochs": 3.0}
    assert task.fitness(told.facts) == -5.0


def test_nothing_of_a_program_can_be_run_by_an_executor():
    workload = OwnTask(SEEDS, GOALS).workload()
    for call in (
        workload.warm,
        lambda: workload.screen(""),
        lambda: workload.fit("", 0, {}),
        lambda: workload.examine("", {}, {}),
    ):
        with pytest.raises(RuntimeError, match="the user's own loop"):
            call()


def test_a_stored_run_finds_its_task_again():
    task = OwnTask(SEEDS, GOALS, "def Model():", "Small nets.", "import math", [{"name": "params", "at_most": 5}], "pareto")
    part = registry.describe("tasks", task)
    again = registry.create("tasks", part["name"], part["options"])
    assert registry.describe("tasks", again) == part
    assert (again.objectives, again.bounds, again.seeds()) == (task.objectives, task.bounds, task.seeds())
    assert again.defaults["strategy"]["options"]["selection"] == "pareto"
