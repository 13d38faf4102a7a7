import random

import pytest

from nasmith.errors import ConfigError, SeedError
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.types import Brief, Candidate, Evaluation, Objective, Status, Tune


def scored(candidate, params, val_error):
    return Evaluation(
        candidate, Status.OK, {"params": params, "val_error": val_error, "fitness": -params * val_error}, purpose="search"
    )


def started(seed=0, **options):
    strategy = EvoPrompting(**{"rounds": 3, "prompts": 2, "samples": 4, "survivors": 3, **options})
    strategy.begin(seed, (0.3, 0.6), {"crossover": 1.0})
    for number, (params, error) in enumerate([(1000, 0.3), (2000, 0.2)], start=1):
        strategy.tell(Candidate(number, f"seed {number}"), scored(number, params, error))
    return strategy


def asks(strategy):
    actions = []
    while (action := strategy.ask()) is not None:
        actions.append(action)
    return actions


def play_round(strategy, first_id, evaluate, shuffle=None):
    """Ask for a whole round and tell all its children; return what was asked."""
    actions = asks(strategy)
    briefs = [action for action in actions if isinstance(action, Brief)]
    tells = []
    number = first_id
    for step, brief in enumerate(briefs):
        for index in range(brief.sampling.n):
            tells.append((Candidate(number, "x", step=step, index=index, round=brief.round), evaluate(number)))
            number += 1
    if shuffle is not None:
        random.Random(shuffle).shuffle(tells)
    for candidate, evaluation in tells:
        strategy.tell(candidate, evaluation)
    return actions, number


def test_defaults_are_the_papers_numbers():
    strategy = EvoPrompting()
    assert (strategy.rounds, strategy.prompts, strategy.samples, strategy.parents) == (10, 10, 16, 2)
    assert (strategy.survivors, strategy.error_threshold, strategy.tuning, strategy.tune_on) == (10, 0.5, True, "rest")
    assert strategy.planned == 1600


def test_a_round_asks_for_m_prompts_of_n_samples_and_then_waits():
    briefs = asks(started())
    assert [type(action) for action in briefs] == [Brief, Brief]
    assert all(brief.sampling.n == 4 and len(brief.parents) == 2 and set(brief.parents) <= {1, 2} for brief in briefs)


def test_survivors_are_the_fittest_scored_children_and_never_the_seeds():
    strategy = started()
    _, number = play_round(strategy, 3, lambda n: scored(n, 100 * n, 0.1))
    actions, _ = play_round(strategy, number, lambda n: scored(n, 10_000, 0.1))
    shown = {parent for action in actions if isinstance(action, Brief) for parent in action.parents}
    assert shown <= {3, 4, 5}


def test_a_program_once_chosen_as_a_parent_is_never_one_again():
    strategy = started()
    _, number = play_round(strategy, 3, lambda n: scored(n, n, 0.1))
    play_round(strategy, number, lambda n: scored(n, 10_000 + n, 0.1))  # worse than all of the first round
    shown = {parent for action in asks(strategy) if isinstance(action, Brief) for parent in action.parents}
    assert shown <= {6, 7, 8}


def test_children_at_or_above_the_error_threshold_are_dropped():
    strategy = started(survivors=10)
    play_round(strategy, 3, lambda n: scored(n, 1, 0.5 if n != 7 else 0.4))
    shown = {parent for action in asks(strategy) if isinstance(action, Brief) for parent in action.parents}
    assert shown == {7}


def test_a_result_must_be_below_the_error_threshold():
    assert started().accepts({"val_error": 0.49})
    assert not started().accepts({"val_error": 0.5})


def test_tuning_is_on_the_scored_children_that_were_not_chosen():
    strategy = started()
    play_round(strategy, 3, lambda n: scored(n, n, 0.1) if n != 10 else Evaluation(10, Status.FAILED))
    tune = strategy.ask()
    assert tune == Tune(0, (6, 7, 8, 9), tune.seed)


def test_tuning_can_be_on_all_scored_children_and_can_be_off():
    everything = started(tune_on="all")
    play_round(everything, 3, lambda n: scored(n, n, 0.1))
    assert everything.ask().candidates == tuple(range(3, 11))
    never = started(tuning=False)
    play_round(never, 3, lambda n: scored(n, n, 0.1))
    assert all(isinstance(action, Brief) for action in asks(never))


def test_there_is_no_tuning_after_the_last_round():
    strategy = started(rounds=1)
    play_round(strategy, 3, lambda n: scored(n, n, 0.1))
    assert strategy.ask() is None


def test_former_parents_stay_when_no_child_was_scored():
    strategy = started()
    play_round(strategy, 3, lambda n: Evaluation(n, Status.INVALID))
    actions = asks(strategy)
    assert {parent for brief in actions for parent in brief.parents} <= {1, 2}


def test_the_order_of_tells_changes_nothing():
    def trace(shuffle):
        strategy, number, asked = started(seed=5), 3, []
        for _ in range(3):
            actions, number = play_round(strategy, number, lambda n: scored(n, 50 + n * 7919 % 100, 0.1), shuffle)
            asked += actions
        return asked

    assert trace(None) == trace(1) == trace(2)


def parents_shown(strategy):
    return {parent for action in asks(strategy) if isinstance(action, Brief) for parent in action.parents}


def test_survivors_by_rank_are_spread_over_the_front():
    results = {3: (100, 0.4), 4: (200, 0.19), 5: (210, 0.185), 6: (220, 0.18), 7: (900, 0.05), 8: (999, 0.45), 9: (500, 0.45)}

    def evaluate(number):
        return scored(number, *results.get(number, (1000, 0.49)))

    objectives = (Objective("params", "minimize", log=True), Objective("val_error", "minimize"))
    shown = {}
    for selection in ("pareto", "fitness"):
        shown[selection] = set()
        for seed in range(10):
            strategy = EvoPrompting(rounds=3, prompts=2, samples=4, survivors=3, selection=selection)
            strategy.enter(None, objectives)
            strategy.begin(seed, (0.3,), {"crossover": 1.0})
            strategy.tell(Candidate(1, "seed"), scored(1, 1000, 0.3))
            play_round(strategy, 3, evaluate)
            shown[selection] |= parents_shown(strategy)
    assert shown == {"pareto": {3, 6, 7}, "fitness": {4, 5, 6}}


def test_a_child_that_breaks_a_bound_is_no_parent_and_no_lesson():
    def evaluate(number):
        metrics = {"params": 10, "val_error": 0.1} | ({"fitness": -1.0} if number == 5 else {})
        return Evaluation(number, Status.OK, metrics)

    strategy = started(tune_on="all")
    play_round(strategy, 3, evaluate)
    assert strategy.ask().candidates == (5,)
    assert parents_shown(strategy) == {5}


def test_on_a_task_without_an_error_every_child_counts():
    strategy = EvoPrompting(rounds=2, prompts=1, samples=2, survivors=2)
    strategy.enter(None, (Objective("score", "maximize"),))
    strategy.begin(0, (0.3,), {"crossover": 1.0})
    strategy.tell(Candidate(1, "seed"), Evaluation(1, Status.OK, {"score": -3.0, "fitness": -3.0}))
    brief = strategy.ask()
    assert brief.facts == ({"score": "-3"},) * 2 and brief.target == {"score": "-2.94"}
    for number in (2, 3):
        metrics = {"score": -number, "fitness": -number}
        assert strategy.accepts(metrics)
        strategy.tell(Candidate(number, "x", step=0), Evaluation(number, Status.OK, metrics))
    shown = parents_shown(strategy)
    assert shown and shown <= {2, 3}


def test_random_parents_are_drawn_among_all_scored_children():
    chosen = set()
    for seed in range(20):
        strategy = started(seed=seed, random_parents=True)
        play_round(strategy, 3, lambda n: scored(n, n, 0.1))
        chosen |= {parent for action in asks(strategy) if isinstance(action, Brief) for parent in action.parents}
    assert len(chosen) > 5


def test_the_users_temperatures_and_operators_win_over_the_language_models():
    strategy = started(temperatures=[0.9], operators={"infill": 2.0})
    assert {(brief.sampling.temperature, brief.operator) for brief in asks(strategy)} == {(0.9, "infill")}


@pytest.mark.parametrize(
    "options",
    [
        {"rounds": 0},
        {"error_threshold": 0},
        {"tune_on": "some"},
        {"selection": "best"},
        {"temperatures": []},
        {"operators": {"crossover": 0}},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        EvoPrompting(**options)


def test_without_a_trained_seed_the_search_ends_with_the_reason():
    strategy = EvoPrompting()
    strategy.begin(0, (0.5,), {"infill": 1.0})
    strategy.tell(Candidate(2, "b"), Evaluation(2, Status.OOM))
    strategy.tell(Candidate(1, "a"), Evaluation(1, Status.FAILED, message="no such layer"))
    with pytest.raises(SeedError, match=r"no seed program could be trained.*no such layer"):
        strategy.ask()
