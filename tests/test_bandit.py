import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.bandit import LEAST_COST, Bandit, Settings, reward
from nasmith.errors import ConfigError
from nasmith.types import Evaluation, Status


def bandit(weights, **settings):
    return Bandit(weights, Settings(**{"exploration": 0.0, **settings}))


def ok(fitness=None):
    return Evaluation(1, Status.OK, {"params": 1.0} if fitness is None else {"params": 1.0, "fitness": fitness})


def test_before_the_first_result_the_weights_decide():
    assert bandit({"a": 1, "b": 3}).probabilities() == pytest.approx({"a": 0.25, "b": 0.75})


def test_the_formula_is_the_documented_one():
    arms = bandit({"a": 1, "b": 3}, exploration=0.2, prior_results=4, second_price=0.001)
    arms.learn("a", 0.5, seconds=10, dollars=0.01)  # costs 0.02
    arms.learn("a", 1.0, seconds=20, dollars=0.02)  # costs 0.04
    mean_reward, mean_cost = (1 + 1.5) / (1 + 2), 0.06 / 2
    a = (1.5 + 4 * 0.5 * mean_reward) / (0.06 + 4 * mean_cost)
    b = (0.0 + 4 * 1.5 * mean_reward) / (0.00 + 4 * mean_cost)
    expected = {"a": 0.1 + 0.8 * a / (a + b), "b": 0.1 + 0.8 * b / (a + b)}
    assert arms.probabilities() == pytest.approx(expected)


def test_what_pays_replaces_the_weights():
    arms = bandit({"good": 1, "bad": 9})
    for _ in range(40):
        arms.learn("good", 0.8, 1, 0)
        arms.learn("bad", 0.0, 1, 0)
    assert arms.probabilities()["good"] > 0.8


def test_of_two_that_are_as_good_the_cheaper_one_is_drawn_more():
    arms = bandit({"cheap": 1, "dear": 1})
    for _ in range(40):
        arms.learn("cheap", 0.5, 0, 0.001)
        arms.learn("dear", 0.5, 0, 0.01)
    assert arms.probabilities()["cheap"] > 0.8


def test_seconds_and_dollars_are_counted_in_one_unit():
    arms = bandit({"slow": 1, "dear": 1}, second_price=0.0001)
    for _ in range(10):
        arms.learn("slow", 0.5, 100, 0)
        arms.learn("dear", 0.5, 0, 0.01)
    assert arms.probabilities() == pytest.approx({"slow": 0.5, "dear": 0.5})


def test_what_costs_nothing_is_counted_as_the_least_cost():
    arms = bandit({"free": 1, "nearly": 1})
    for _ in range(10):
        arms.learn("free", 0.5, 0, 0)
        arms.learn("nearly", 0.5, 0, LEAST_COST)
    assert arms.probabilities() == pytest.approx({"free": 0.5, "nearly": 0.5})


def test_only_the_last_results_of_an_arm_count():
    arms, fresh = bandit({"a": 1, "b": 1}, window=3), bandit({"a": 1, "b": 1}, window=3)
    for _ in range(20):
        arms.learn("a", 1.0, 5, 0)
    for each in (arms, fresh):
        for value in (0.0, 0.5, 0.0):
            each.learn("a", value, 1, 0)
    assert arms.probabilities() == pytest.approx(fresh.probabilities())


def test_an_arm_of_weight_zero_is_never_drawn():
    arms = bandit({"a": 1, "never": 0}, exploration=1.0)
    assert {arms.draw(random.Random(seed)) for seed in range(50)} == {"a"}


def test_a_draw_depends_on_the_generator_alone():
    arms = bandit({"a": 1, "b": 1})
    drawn = [arms.draw(random.Random(seed)) for seed in range(50)]
    assert drawn == [arms.draw(random.Random(seed)) for seed in range(50)]
    assert set(drawn) == {"a", "b"}


RESULTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e3)),
    max_size=80,
)


@given(RESULTS, st.floats(0, 1))
def test_the_chances_add_up_to_one_and_every_arm_keeps_its_share_of_exploration(results, exploration):
    arms = bandit({"a": 1, "b": 2, "c": 3}, exploration=exploration)
    for result in results:
        arms.learn(*result)
    chances = arms.probabilities()
    assert sum(chances.values()) == pytest.approx(1)
    assert min(chances.values()) >= exploration / 3 * (1 - 1e-9)


@pytest.mark.parametrize(
    "settings",
    [{"window": 0}, {"exploration": 1.1}, {"exploration": -0.1}, {"prior_results": 0}, {"second_price": -1.0}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Settings(**settings)


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": 1, "b": -1}, {"a": float("inf")}, {"a": float("nan"), "b": 1}])
def test_weights_that_cannot_be_drawn_from_are_refused(weights):
    with pytest.raises(ConfigError, match="weights"):
        Bandit(weights)


def test_a_reward_outside_its_range_is_a_bug():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        bandit({"a": 1}).learn("a", 1.5, 0, 0)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_what_failed_is_worth_nothing(status):
    assert reward(Evaluation(1, status), [1.0]) == 0


def test_a_new_program_that_trains_is_worth_something_and_more_the_more_it_beats():
    earlier = [-3.0, -2.0, -1.0, 0.0]
    assert reward(ok(), earlier) == 0.25
    assert [reward(ok(fitness), earlier) for fitness in (-9, -3, -2.5, -0.5, 1)] == [0.25, 0.25, 0.4375, 0.8125, 1.0]
    assert reward(ok(-9), []) == 1.0
