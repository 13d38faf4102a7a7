from __future__ import annotations

import pytest

from nasmith.arms import group_of, lineup, parts_of
from nasmith.errors import MissingDependencyError, UnknownNameError, UsageError
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToySpaceTask, ToyTask
from toy_strategies import Guess

SPACE, PROGRAMS = "nasmith.testing:ToySpaceTask", "nasmith.testing:ToyTask"
GUESS, CLIMB = "toy_strategies:Guess", "toy_strategies:Climb"
LM = "nasmith.testing:ToyLM"


def test_a_strategy_of_designs_gets_no_language_model_and_the_budget_as_its_size():
    (arm,) = lineup(SPACE, [GUESS], 30, lm=LM)
    assert arm.quick and arm.planned == 30 and arm.label == GUESS
    assert arm.config["lm"]["name"] == "none" and arm.config["executor"]["name"] == "inline"
    assert arm.config["strategy"]["options"] == {"evaluations": 30, "batch": 1}
    assert arm.config["budget"]["evaluations"] == 30 and arm.config["verify"]["best"] == 0


def test_a_strategy_that_asks_gets_the_language_model_and_is_not_quick():
    (arm,) = lineup(PROGRAMS, ["few-shot"], 30, lm=LM, executor="inline")
    assert not arm.quick and arm.config["lm"]["name"] == "nasmith.testing.toys:ToyLM"
    (broken,) = lineup(PROGRAMS, ["few-shot"], 30, lm=[LM], executor="inline", settings=["broken=0.5"])
    assert broken.config["lm"]["options"]["broken"] == 0.5


def test_the_users_word_on_the_size_wins():
    (arm,) = lineup(SPACE, [GUESS], 30, settings=["evaluations=7"])
    assert arm.planned == 7


def test_workers_go_to_executors_that_have_some_and_change_no_name():
    few, many = (lineup(PROGRAMS, ["few-shot"], 30, lm=LM, workers=workers)[0] for workers in (1, 3))
    assert many.config["executor"]["options"]["workers"] == 3
    assert few.key == many.key and group_of([few], ToyTask()) == group_of([many], ToyTask())
    (inline,) = lineup(SPACE, [GUESS], 30, workers=3)
    assert inline.config["executor"]["name"] == "inline"


def test_a_setting_goes_to_the_runs_that_have_such_an_option():
    first, second = lineup(SPACE, {"a": GUESS, "b": CLIMB}, 30, settings=["batch=2", "b.batch=3"])
    assert first.config["strategy"]["options"]["batch"] == 2 and second.config["strategy"]["options"]["batch"] == 3
    with pytest.raises(UnknownNameError, match=r"unknown option 'lm\.broken'"):
        lineup(SPACE, [GUESS], 30, settings=["lm.broken=1"])  # nobody has a language model
    with pytest.raises(UnknownNameError, match="'rounds'"):
        lineup(SPACE, [GUESS], 30, settings=["rounds=1"])


def test_names_of_runs_hold_the_configuration_and_are_names_of_runs():
    plain, other, longer = (lineup(SPACE, [GUESS], *rest)[0] for rest in ((30,), (30,), (31,)))
    assert plain.key == other.key != longer.key
    (batched,) = lineup(SPACE, [GUESS], 30, settings=["batch=2"])
    assert batched.key != plain.key
    assert group_of([batched], ToySpaceTask()) == group_of([plain], ToySpaceTask()) != group_of([longer], ToySpaceTask())
    name = f"{group_of([plain], ToySpaceTask())}.{plain.key}.199"
    assert len(name) <= 100 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")


def test_a_configuration_makes_its_components_again():
    (arm,) = lineup(SPACE, {"mine": Guess(batch=4)}, 30)
    made = parts_of(arm.config)
    assert isinstance(made["strategy"], Guess) and made["strategy"].batch == 4 and made["strategy"].evaluations == 30
    (arm,) = lineup(ToyTask(), {"evo": EvoPrompting(rounds=2)}, 30, lm=ToyLM(broken=0.1), executor="inline")
    assert parts_of(arm.config)["lm"].broken == 0.1


def test_a_strategy_that_does_not_suit_says_which_do():
    with pytest.raises(UsageError, match="proposes designs of a fixed space, and the candidates of task toy are programs"):
        lineup(PROGRAMS, [GUESS], 30, lm=LM)


class Needy(Guess):
    """Need what is not there."""

    def begin(self, seed, temperatures, operators):
        raise MissingDependencyError('Oracle is not installed: pip install "nasmith[oracle]"')


def test_what_is_not_installed_is_said_at_once():
    with pytest.raises(MissingDependencyError, match="oracle"):
        lineup(SPACE, ["test_arms:Needy"], 30)
