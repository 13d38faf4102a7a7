import pytest

from nasmith import registry
from nasmith.errors import UsageError
from nasmith.lms.nobody import Nobody
from nasmith.matching import default_lm, fitting, prepare, suits
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import TOY_SPACE, ToyLM, ToySpaceTask, ToyTask


class Enters(EvoPrompting):
    suits = frozenset({"programs", "spaces"})
    lm_free = frozenset({"spaces"})

    def enter(self, space, objectives):
        self.entered = space, objectives


def test_a_strategy_of_programs_is_refused_on_a_space_with_those_that_can():
    with pytest.raises(UsageError, match="evoprompting proposes programs, and the candidates of task toy-space are designs"):
        prepare(ToySpaceTask(), EvoPrompting())
    assert "evoprompting" in fitting("programs") and "evoprompting" not in fitting("spaces")
    assert suits(EvoPrompting) == {"programs"}


def test_a_strategy_gets_the_space_and_none_where_there_is_none():
    strategy = Enters()
    prepare(ToySpaceTask(), strategy)
    assert strategy.entered == (TOY_SPACE, ToySpaceTask.objectives)
    prepare(ToyTask(), strategy)
    assert strategy.entered[0] is None


def test_a_task_is_checked_first():
    class Hopeless(ToySpaceTask):
        def check(self):
            raise UsageError("nothing satisfies this")

    with pytest.raises(UsageError, match="nothing satisfies this"):
        prepare(Hopeless(), Enters())


def test_a_strategy_that_asks_no_model_gets_none():
    assert default_lm(Enters(), ToySpaceTask()) == default_lm(Enters, ToySpaceTask) == "none"
    assert default_lm(Enters(), ToyTask()) == default_lm(EvoPrompting, ToyTask) == "smollm2"
    assert all(registry.load("strategies", name) for name in fitting("spaces"))


def test_a_language_model_is_there_if_it_is_asked_and_only_then():
    with pytest.raises(UsageError, match=r"asks a language model, and the run has none. Name one: --lm"):
        prepare(ToyTask(), EvoPrompting(), Nobody())
    with pytest.raises(UsageError, match="asks no language model on task toy-space: leave toy out"):
        prepare(ToySpaceTask(), Enters(), ToyLM())
    prepare(ToySpaceTask(), Enters(), Nobody())
    prepare(ToyTask(), EvoPrompting(), ToyLM())
