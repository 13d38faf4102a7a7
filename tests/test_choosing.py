from collections import Counter
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.bandit import Bandit, Settings
from nasmith.choosing import Choice, Choosing, weights_of
from nasmith.errors import ConfigError
from nasmith.events import Evaluated
from nasmith.executors.inline import Inline
from nasmith.lms.ensemble import Ensemble
from nasmith.loop import Search
from nasmith.protocols import CostAwareStrategy
from nasmith.repairing import Repairing
from nasmith.storage.sql import Sql
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.strategies.few_shot import FewShot
from nasmith.testing import ToyLM, ToyTask, ToyWorkload
from nasmith.types import Brief, Candidate, Completion, Evaluation, Request, Run, Sampling, Status, Tune
from strategy_play import Told, play, play_again

ONE = {"": {"crossover": 1.0, "infill": 3.0}}
TWO = {"small": {"crossover": 1.0, "infill": 3.0}, "large": {"crossover": 1.0}}


def evoprompting(**options):
    return EvoPrompting(**{"rounds": 3, "prompts": 4, "samples": 3, "survivors": 3, **options})


def briefs(course):
    return [entry for entry in course if isinstance(entry, Brief)]


class Fixed:
    """Asks for `count` briefs with one operator."""

    planned = 100

    def __init__(self, count=1, operator="crossover", n=1):
        self.count, self.operator, self.n, self.heard, self.asked = count, operator, n, [], 0

    def begin(self, seed, temperatures, operators):
        pass

    def ask(self):
        self.asked += 1
        sampling = Sampling(self.n, 0.5, 1)
        return Brief(self.operator, (1,), ({},), {}, sampling, model="") if self.asked <= self.count else None

    def accepts(self, metrics):
        return True

    def tell(self, candidate, evaluation):
        self.heard.append((candidate, evaluation))


def good_and_broken(good):
    """An evaluation that is OK for briefs to the model (or with the operator) `good` and to no other."""

    def evaluate(candidate, random, brief):
        if good not in (brief.model, brief.operator):
            return Evaluation(candidate.id, Status.INVALID)
        params = float(random.randrange(100, 999))
        return Evaluation(candidate.id, Status.OK, {"params": params, "val_error": 0.1, "fitness": -params})

    return evaluate


def test_it_is_a_strategy_that_hears_of_costs():
    choosing = Choosing(evoprompting(), ONE)
    assert isinstance(choosing, CostAwareStrategy)
    assert (choosing.planned, choosing.rounds) == (36, 3)
    assert Choosing(FewShot(), ONE).rounds is None


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_without_learning_one_model_alone_is_asked_what_the_strategy_asks(seed):
    assert play(Choosing(evoprompting(), ONE, learning=False), seed) == play(evoprompting(), seed)


def test_without_learning_only_the_model_is_drawn_among_those_that_have_the_operator():
    wrapped = briefs(play(Choosing(evoprompting(prompts=40), TWO, learning=False), 1))
    alone = briefs(play(evoprompting(prompts=40), 1))
    assert [replace(brief, model="") for brief in wrapped] == alone
    drawn = Counter((brief.operator, brief.model) for brief in wrapped)
    assert drawn["infill", "small"] == sum(brief.operator == "infill" for brief in alone)
    assert abs(drawn["crossover", "small"] - drawn["crossover", "large"]) < 20


def test_nothing_but_model_and_operator_is_changed():
    asked = play(Choosing(evoprompting(rounds=1), TWO), 5)
    alone = play(evoprompting(rounds=1), 5)
    plain = [replace(brief, model="", operator="") for brief in briefs(asked)]
    assert plain == [replace(brief, operator="") for brief in briefs(alone)]


def test_a_model_is_named_only_where_there_are_several():
    assert {brief.model for brief in briefs(play(Choosing(evoprompting(), ONE), 1))} == {""}
    assert {brief.model for brief in briefs(play(Choosing(evoprompting(), {"toy": ONE[""]}), 1))} == {""}
    assert {brief.model for brief in briefs(play(Choosing(evoprompting(), TWO), 1))} == {"small", "large"}


def test_an_operator_of_weight_zero_is_never_drawn():
    choosing = Choosing(evoprompting(), {"": {"crossover": 0.0, "infill": 1.0}}, settings=Settings(exploration=1.0))
    assert {brief.operator for brief in briefs(play(choosing, 1))} == {"infill"}


def test_before_the_first_result_models_are_equal_whatever_the_scale_of_their_weights():
    models = {"small": {"crossover": 10.0, "infill": 30.0}, "large": {"crossover": 0.1}}
    choosing = Choosing(Fixed(count=400), models, settings=Settings(exploration=0.0))
    choosing.begin(0, (0.5,), {})
    drawn = Counter(choosing.ask().model for _ in range(400))
    assert 160 < drawn["small"] < 240


@pytest.mark.parametrize("good", ["small", "large"])
def test_the_model_that_pays_is_asked_more(good):
    choosing = Choosing(FewShot(prompts=120, samples=4), TWO)
    drawn = Counter(brief.model for brief in briefs(play(choosing, 2, good_and_broken(good)))[60:])
    assert drawn[good] > 0.7 * drawn.total()


def test_the_operator_that_pays_is_asked_for_more():
    choosing = Choosing(FewShot(prompts=120, samples=4), ONE)
    drawn = Counter(brief.operator for brief in briefs(play(choosing, 2, good_and_broken("crossover")))[60:])
    assert drawn["crossover"] > 0.7 * drawn.total()


def test_an_ensemble_is_asked_where_its_programs_run():
    good, broken = ToyLM(broken=0.0), ToyLM(broken=1.0)
    good.name, broken.name = "good", "broken"
    ensemble = Ensemble([broken, good])

    def tried(candidate, random, brief):
        request = Request("def Model():", seed=candidate.id, temperature=brief.sampling.temperature, model=brief.model)
        try:
            facts = ToyWorkload().screen(request.prompt + ensemble.complete(request)[0].text)
        except ValueError as error:
            return Evaluation(candidate.id, Status.INVALID, message=str(error))
        return Evaluation(candidate.id, Status.OK, {**facts, "val_error": 0.1, "fitness": -facts["params"]})

    choosing = Choosing(evoprompting(rounds=8, prompts=8), ensemble.models)
    drawn = Counter(brief.model for brief in briefs(play(choosing, 1, tried, ensemble.operators)))
    assert drawn["good"] > 0.7 * drawn.total()


def test_a_run_that_was_stopped_and_resumed_is_drawn_as_before(tmp_path):
    storage, lm = Sql(tmp_path / "runs.sqlite3"), ToyLM()
    lm.operators = {"crossover": 1.0, "infill": 1.0}
    run = Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00")
    executor = Inline()
    executor.start(ToyTask().workload(), ToyTask().data)

    def search(stop_after, new):
        """Search, or go on, until so many evaluations were told; return why it ended."""
        told = []

        def observer(event):
            told.append(isinstance(event, Evaluated))
            if sum(told) == stop_after:
                loop.stop()

        choosing = Choosing(evoprompting(prompts=6), {"": lm.operators})
        loop = Search(run, ToyTask(), lm, choosing, executor, storage, 3, new=new, observers=[observer])
        return loop.execute()

    reasons = [search(9, new=True), search(30, new=False), search(None, new=False)]
    assert reasons == ["stopped", "stopped", "the strategy was done"]
    assert len([action for _, action in storage.asked("run") if isinstance(action, Brief)]) == 18


def drawn_after(reply, evaluation):
    """How often `a` is drawn after a child of each operator, of which `a`'s came with this reply and evaluation."""
    inner = Fixed(count=400)
    choosing = Choosing(inner, {"": {"a": 1.0, "crossover": 1.0}}, settings=Settings(exploration=0.0))
    choosing.begin(0, (0.5,), {})
    told = 0
    while told < 40:
        step, brief = inner.asked, choosing.ask()
        child = Candidate(10 + step, "x", step=step)
        ok = Evaluation(child.id, Status.OK, {})
        mine = brief.operator == "a"
        choosing.paid(child, reply if mine else Completion("", "", "", 0, 0, cost=0.01, seconds=10))
        choosing.tell(child, replace(evaluation, candidate=child.id) if mine else ok)
        told += 1
    return sum(choosing.ask().operator == "a" for _ in range(300))


def test_tokens_the_models_seconds_and_the_training_are_all_costs():
    ok = Evaluation(0, Status.OK)
    same = drawn_after(Completion("", "", "", 0, 0, cost=0.01, seconds=10), ok)
    assert 100 < same < 200
    assert drawn_after(Completion("", "", "", 0, 0, cost=0.1, seconds=10), ok) < same - 50
    assert drawn_after(Completion("", "", "", 0, 0, cost=0.01, seconds=1000), ok) < same - 50
    assert drawn_after(Completion("", "", "", 0, 0, cost=0.01, seconds=10), replace(ok, seconds=1000)) < same - 50


@pytest.fixture
def learned(monkeypatch):
    """What bandits learn: (arm, reward, seconds, dollars)."""
    results = []
    monkeypatch.setattr(Bandit, "learn", lambda self, *result: results.append(result))
    return results


@pytest.mark.parametrize(("status", "worth"), [(Status.OK, 1.0), (Status.FAILED, 0.0)])
def test_a_fix_is_paid_by_the_arm_whose_child_it_mends(learned, status, worth):
    strategy = Repairing(Choosing(Fixed(n=2), {"": {"crossover": 1.0}}))
    strategy.begin(0, (0.5,), {})
    strategy.ask()
    child = Candidate(10, "x", step=0, index=1)
    strategy.paid(child, Completion("", "", "", 0, 0, cost=0.25, seconds=1))
    strategy.tell(child, Evaluation(10, Status.FAILED, seconds=2))
    assert learned == []
    assert strategy.ask().operator == "fix"
    fixed = Candidate(11, "y", (10,), "fix", step=1)
    strategy.paid(fixed, Completion("", "", "", 0, 0, cost=0.5, seconds=4))
    strategy.tell(fixed, Evaluation(11, status, {"fitness": 1.0} if status is Status.OK else {}, seconds=8))
    assert learned == [("|crossover", worth, 15.0, 0.75)]


def test_a_child_is_ranked_among_all_that_were_told_before_seeds_included(learned):
    choosing = Choosing(Fixed(n=3), {"": {"crossover": 1.0}})
    choosing.begin(0, (0.5,), {})
    for number, fitness in enumerate([5.0, 1.0, 3.0], start=1):
        choosing.tell(Candidate(number, "s"), Evaluation(number, Status.OK, {"fitness": fitness}))
    choosing.ask()
    for index, metrics in enumerate([{"fitness": 2.0}, {"params": 1.0}, {"fitness": 4.0}]):
        choosing.tell(Candidate(4 + index, "x", step=0, index=index), Evaluation(4 + index, Status.OK, metrics))
    assert [worth for _, worth, *_ in learned] == [0.25 + 0.75 / 3, 0.25, 0.25 + 0.75 * 3 / 4]


@given(st.integers(0, 10**6), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_same_calls_give_the_same_wishes(seed, early, learning, repairing):
    def made():
        strategy = Choosing(evoprompting(), TWO, learning=learning)
        return Repairing(strategy) if repairing else strategy

    asked, then = play_again(made(), play(made(), seed), early=early)
    assert asked == then


def test_tunings_pass_through():
    course = play(Choosing(evoprompting(), TWO), 4)
    tunes = [entry for entry in course if isinstance(entry, Tune)]
    told = {entry.candidate.id for entry in course if isinstance(entry, Told)}
    assert tunes
    assert all(set(tune.candidates) <= told for tune in tunes)


def test_the_users_operators_are_drawn_alone_and_only_from_models_that_can_do_them():
    can = {"small": ["crossover", "infill", "regrow"], "large": ["crossover", "rewrite"]}
    strategy = evoprompting(operators={"regrow": 1.0, "rewrite": 1.0}, prompts=30)
    drawn = {(brief.model, brief.operator) for brief in briefs(play(Choosing(strategy, TWO, can), 1))}
    assert drawn == {("small", "regrow"), ("large", "rewrite")}


@pytest.mark.parametrize("learning", [True, False])
def test_what_the_user_chose_and_no_model_can_do_is_left_out(learning):
    strategy = evoprompting(operators={"crossover": 1.0, "rewrite": 9.0})
    asked = briefs(play(Choosing(strategy, ONE, {"": ["crossover", "infill"]}, learning=learning), 1))
    assert {brief.operator for brief in asked} == {"crossover"}


def test_operators_that_no_model_can_do_are_refused_with_what_each_can():
    strategy = evoprompting(operators={"rewrite": 1.0})
    with pytest.raises(ConfigError, match=r"rewrite.*small can do: crossover, infill; large can do: crossover"):
        Choosing(strategy, TWO)


@pytest.mark.parametrize("learning", [True, False])
def test_a_brief_with_an_operator_of_its_own_is_passed_on_as_it_is(learning):
    choosing = Choosing(Fixed(operator="fix"), TWO, learning=learning)
    choosing.begin(0, (0.5,), {})
    assert choosing.ask() == Fixed(operator="fix").ask()
    choosing.tell(Candidate(3, "x", step=0), Evaluation(3, Status.OK, {"fitness": 1.0}))
    assert choosing.ask() is None


def test_seeds_and_children_are_passed_on_unchanged():
    inner = Fixed()
    choosing = Choosing(inner, ONE)
    seed, child = Candidate(1, "s"), Candidate(2, "x", step=0)
    choosing.begin(0, (0.5,), {})
    choosing.tell(seed, Evaluation(1, Status.OK, {"fitness": 1.0}))
    choosing.ask()
    choosing.tell(child, Evaluation(2, Status.FAILED))
    assert [candidate for candidate, _ in inner.heard] == [seed, child]


def test_operators_can_be_given_as_one_name_a_list_or_weights():
    assert weights_of("infill") == {"infill": 1.0}
    assert weights_of(["infill", "crossover"]) == {"infill": 1.0, "crossover": 1.0}
    assert weights_of({"infill": 3, "crossover": 0}) == {"infill": 3.0, "crossover": 0.0}


@pytest.mark.parametrize("value", ["", [], {}, [1], {"a": -1}, {"a": 0}, {"a": "much"}, {"a": float("nan")}])
def test_operators_that_cannot_be_drawn_from_are_refused(value):
    with pytest.raises(ConfigError, match="operators must be"):
        weights_of(value)


def test_a_choice_is_stored_and_read_as_plain_values():
    assert Choice(**asdict(Choice(by="weights", window=9))) == Choice(by="weights", window=9)
    with pytest.raises(ConfigError, match="by must be"):
        Choice(by="luck")
    with pytest.raises(ConfigError, match="exploration"):
        Choice(exploration=2)
