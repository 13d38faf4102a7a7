import logging
import sys
from random import Random

import numpy as np
import pytest

from nasmith.errors import MissingDependencyError, UsageError
from nasmith.space import Choice, Position, Space
from nasmith.strategies.optuna_study import OptunaSearch, OptunaStudy
from nasmith.testing import TOY_SPACE

CHOICES = tuple(Choice(str(index), f"c{index}") for index in range(3))
ORDERED = Space("in any order", tuple(Position(f"p{i}", CHOICES) for i in range(2)), form=lambda d: np.sort(d, axis=1))


def study(space=TOY_SPACE, **options):
    return OptunaStudy(space, ["maximize"], lambda samplers: samplers.RandomSampler(seed=1), **options)


def trials(made):
    return [(made._design(trial), trial.values, trial.state.name) for trial in made._study.trials]


def test_a_proposal_equal_to_an_earlier_design_is_answered_with_what_is_known():
    made, known = study(ORDERED), {}
    for number in range(6):
        design, trial = made.propose(Random(number))
        form = tuple(sorted(design))
        assert form not in known
        known[form] = [float(number)]
        made.learn(design, trial, known[form])
    assert made.propose(Random(9)) is None
    assert len(made._study.trials) > 6
    assert all(values == known[tuple(sorted(design))] for design, values, _ in trials(made))


def test_a_proposal_equal_to_one_that_is_out_is_answered_with_nothing():
    made = study(ORDERED)
    while made.propose(Random(0)) is not None:
        pass
    states = [state for _, _, state in trials(made)]
    assert states.count("RUNNING") == 6 and set(states) == {"RUNNING", "FAIL"}


@pytest.mark.parametrize(("bad", "state"), [(True, "PRUNED"), (False, "FAIL")])
def test_a_failed_design_has_no_value_and_may_be_bad(bad, state):
    made = study(failed_is_bad=bad)
    made.learn(*made.propose(Random(0)), None)
    assert trials(made)[0][1:] == (None, state)


def test_where_the_sampler_repeats_itself_an_unseen_design_is_drawn():
    class Stubborn(type(study()._study.sampler)):
        def sample_independent(self, study, trial, name, distribution):
            return 1

    made = OptunaStudy(TOY_SPACE, ["maximize"], lambda samplers: Stubborn(seed=1))
    first = made.propose(Random(0))
    assert first[0] == (1, 1, 1, 1)
    made.learn(*first, [5.0])
    second = made.propose(Random(0))
    assert second[0] != (1, 1, 1, 1)
    made.learn(*second, [6.0])
    told = trials(made)
    assert told[1:-1] == [((1, 1, 1, 1), [5.0], "COMPLETE")] * 20
    assert told[-1] == (second[0], [6.0], "COMPLETE")


def test_what_was_not_proposed_is_learned_from_and_not_proposed():
    made = study(ORDERED)
    made.learn((1, 0), None, [3.0])
    assert trials(made) == [((1, 0), [3.0], "COMPLETE")]
    proposed = [made.propose(Random(number)) for number in range(6)]
    assert proposed[-1] is None and all(tuple(sorted(each[0])) != (0, 1) for each in proposed[:-1])


def test_it_says_nothing_and_leaves_optunas_level_alone(capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    made = study()
    made.learn(*made.propose(Random(0)), None)
    assert optuna.logging.get_verbosity() == before == logging.INFO
    assert capfd.readouterr() == ("", "")


def test_without_optuna_the_message_says_how_to_install_it(monkeypatch):
    search = OptunaSearch("tpe", 10, 1)
    search.enter(TOY_SPACE)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "nasmith\[optuna\]"'):
        search.begin(0, {"fitness": "maximize"}, lambda samplers, seed: samplers.RandomSampler(seed=seed))


def test_without_a_space_it_cannot_work():
    with pytest.raises(UsageError, match="tpe proposes designs of a fixed space"):
        OptunaSearch("tpe", 10, 1).enter(None)
