from random import Random

import pytest

from nasmith.errors import ConfigError
from nasmith.population import Scored
from nasmith.strategies.briefing import Briefing
from nasmith.types import Objective

PARENT = Scored(4, {"params": 5210.0, "val_error": 0.135, "fitness": -1.0})


def briefing(temperatures=None, operators=None):
    made = Briefing(temperatures, operators, "params", "val_error")
    made.begin(3, (0.3, 0.6), {"crossover": 1.0, "infill": 3.0})
    return made


def test_a_brief_asks_for_one_child_with_facts_and_target():
    brief = briefing().brief([PARENT], Random(0), 5, 2)
    assert (brief.parents, brief.round, brief.sampling.n) == ((4,), 2, 1)
    assert brief.facts == ({"num_params": "5210", "val_accuracy": "0.865"},)
    assert brief.target == {"num_params": "4700", "val_accuracy": "0.882"}


def test_a_brief_speaks_of_the_tasks_objectives():
    made = briefing()
    made.enter((Objective("val_f1", "maximize"), Objective("latency_ms", "minimize", "ms", log=True)))
    parents = [Scored(number, {"val_f1": f1, "latency_ms": 2.5, "fitness": f1}) for number, f1 in ((1, 0.5), (2, 0.6))]
    brief = made.brief(parents, Random(0), 5, 2)
    assert brief.facts == ({"f1": "0.5", "latency_ms": "2.5"}, {"f1": "0.6", "latency_ms": "2.5"})
    assert brief.target == {"f1": "0.612", "latency_ms": "2.25"}


def test_the_language_models_preferences_are_drawn_from_unless_the_user_has_some():
    drawn = [briefing().brief([PARENT], Random(seed), 0, 0) for seed in range(40)]
    assert {brief.operator for brief in drawn} == {"crossover", "infill"}
    assert {brief.sampling.temperature for brief in drawn} == {0.3, 0.6}
    brief = briefing([0.9], "edit").brief([PARENT], Random(0), 0, 0)
    assert (brief.operator, brief.sampling.temperature) == ("edit", 0.9)


def test_each_child_has_a_seed_of_its_own():
    assert len({briefing().brief([PARENT], Random(0), number, 0).sampling.seed for number in range(50)}) == 50


@pytest.mark.parametrize("options", [{"temperatures": []}, {"temperatures": [-1.0]}, {"operators": {"crossover": 0}}])
def test_what_cannot_be_drawn_from_is_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        briefing(**options)
