from __future__ import annotations

import json
from math import sqrt

import pytest

from nasmith import comparison
from nasmith.comparison import Comparison, checkpoints_up_to, curve, holm, mean_ranks, paired, standings, whole
from nasmith.testing import ToySpaceTask, ToyTask
from nasmith.types import Candidate, Evaluation, Status


def told(*fitness, first=1):
    return [
        Evaluation(number, Status.DUPLICATE if value is None else Status.OK, {} if value is None else {"fitness": value})
        for number, value in enumerate(fitness, start=first)
    ]


def children(*texts):
    return {number: Candidate(number, text, step=number - 1) for number, text in enumerate(texts, start=1)}


def test_checkpoints_are_tens_and_thirties_and_the_end():
    assert checkpoints_up_to(4) == (4,)
    assert checkpoints_up_to(10) == (10,)
    assert checkpoints_up_to(100) == (10, 30, 100)
    assert checkpoints_up_to(500) == (10, 30, 100, 300, 500)


def test_a_curve_is_what_the_fittest_so_far_is_worth_in_what_the_search_does_not_see():
    # Accuracy in the search: 64, 76, 68; the task reveals one less. A duplicate counts as an evaluation.
    candidates = children("1000", "1111", "1111", "1100")
    assert curve(ToySpaceTask(), candidates, told(64.0, 76.0, None, 68.0), 5) == (63.0, 75.0, 75.0, 75.0, 75.0)


def test_a_curve_has_no_value_before_a_first_result_and_ends_with_the_budget():
    candidates = children("x", "1000", "1111")
    assert curve(ToySpaceTask(), candidates, told(None, 64.0, 76.0), 2) == (None, 63.0)
    assert curve(ToySpaceTask(), {}, [], 2) == (None, None)


def test_a_task_that_reveals_nothing_is_valued_by_fitness_and_seeds_do_not_count():
    candidates = {1: Candidate(1, "seed"), **{n: Candidate(n, "x", step=0) for n in (2, 3)}}
    assert curve(ToyTask(), candidates, told(-1.0, -5.0, -3.0), 2) == (-5.0, -3.0)


def test_what_the_strategy_recommends_takes_the_fittests_place():
    candidates = children("1000", "1111", "1100")
    evaluations = told(64.0, 76.0, 68.0)
    assert curve(ToySpaceTask(), candidates, evaluations, 3, [None, 1, 3]) == (63.0, 63.0, 67.0)
    assert curve(ToySpaceTask(), candidates, evaluations, 3, [2, 2, 2]) == (63.0, 75.0, 75.0)  # 2 is not known at first


def test_a_run_without_a_result_has_the_lowest_value_with_which_any_began():
    curves = {"a": {0: (None, 5.0), 1: (4.0, 6.0)}, "b": {0: (None, None), 1: (None, 7.0)}}
    assert whole(curves) == {"a": {0: (4.0, 5.0), 1: (4.0, 6.0)}, "b": {0: (4.0, 4.0), 1: (4.0, 7.0)}}
    point = standings(curves, (1, 2), "a")[1].points
    assert [p.missing for p in point] == [2, 1]


def test_ranks_are_shared_by_equal_values():
    values = {"a": [3.0, 1.0], "b": [2.0, 1.0], "c": [1.0, 1.0]}
    assert mean_ranks(values) == {"a": 1.5, "b": 2.0, "c": 2.5}


def test_holm_multiplies_by_what_is_left_and_never_falls():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_the_signed_rank_test_of_six_pairs_is_that_of_the_tables():
    # Differences 1, 2, 3, 4, 5, -6: rank sums 15 and 6. Of 64 sign patterns 14 have a sum of 6 or less: p = 2 * 14 / 64.
    test = paired([11.0, 12.0, 13.0, 14.0, 15.0, 4.0], [10.0] * 6)
    assert test.p == pytest.approx(28 / 64)
    assert test.effect == pytest.approx((15 - 6) / 21)
    assert (test.better, test.equal, test.worse) == (5, 0, 1)


def test_a_strategy_that_always_wins_has_the_effect_one_and_the_smallest_p():
    test = paired([11.0, 12.0, 13.0, 14.0, 15.0, 16.0], [10.0] * 6)
    assert (test.p, test.effect) == (pytest.approx(2 / 64), 1.0)
    assert paired([10.0] * 6, [11.0, 12.0, 13.0, 14.0, 15.0, 16.0]).effect == -1.0


def test_equal_runs_are_no_evidence():
    test = paired([1.0, 2.0, 0.1 + 0.2], [1.0, 2.0, 0.3])
    assert (test.p, test.effect, test.equal) == (1.0, 0.0, 3)


def test_equal_pairs_are_counted_and_left_out_of_the_test():
    few = paired([11.0, 12.0, 13.0, 14.0, 15.0, 4.0], [10.0] * 6)
    more = paired([11.0, 12.0, 13.0, 14.0, 15.0, 4.0, 7.0], [10.0] * 6 + [7.0])
    assert (more.p, more.effect, more.equal) == (few.p, few.effect, 1)


CURVES = {
    "random": {0: (1.0, 2.0), 1: (3.0, 4.0), 2: (2.0, 6.0)},
    "clever": {0: (2.0, 3.0), 1: (3.0, 8.0), 2: (4.0, 10.0)},
}


def test_standings_are_those_of_a_hand_and_a_pencil():
    random, clever = standings(CURVES, (1, 2), "random", optimum=10.0)
    first, last = random.points
    assert (first.mean, first.sd, first.median, first.rank) == (2.0, 1.0, 2.0, (2 + 1.5 + 2) / 3)
    assert first.standard_error == pytest.approx(1 / sqrt(3))
    assert (last.evaluations, last.mean, last.sd, last.low, last.high, last.rank) == (2, 4.0, 2.0, 3.0, 5.0, 2.0)
    assert random.area == pytest.approx(((10 - 1.5) + (10 - 3.5) + (10 - 4)) / 3)
    assert clever.points[1].mean == 7.0
    assert clever.area == pytest.approx(10 - (2.5 + 5.5 + 7) / 3)
    assert random.test is None
    assert clever.test is not None and clever.test.effect == 1.0 and clever.test.p == pytest.approx(0.25)


def test_without_an_optimum_the_area_is_the_mean_of_the_curve():
    assert standings(CURVES, (2,), "random")[0].area == pytest.approx((1.5 + 3.5 + 4) / 3)


def test_one_seed_alone_is_not_tested_and_has_no_spread():
    one = {label: {0: runs[0]} for label, runs in CURVES.items()}
    for standing in standings(one, (1, 2), "random"):
        assert standing.test is None and standing.area_sd == 0.0
        assert all(point.sd == point.standard_error == 0.0 and point.low == point.mean for point in standing.points)


def test_three_strategies_are_corrected_together():
    six = {
        "reference": {seed: (10.0,) for seed in range(6)},
        "best": {seed: (11.0 + seed,) for seed in range(6)},
        "equal": {seed: (10.0,) for seed in range(6)},
    }
    _, best, equal = standings(six, (1,), "reference")
    assert best.test is not None and best.test.holm == pytest.approx(2 * 2 / 64)
    assert equal.test is not None and equal.test.holm == 1.0


def test_a_comparison_is_plain_json():
    made = Comparison(
        "compare-toy", {"name": "toy"}, "Toy", "fitness", "", 2, (0, 1, 2), (1, 2), "random", CURVES,
        standings(CURVES, (1, 2), "random"), runs={"random": {0: "r0"}},
    )  # fmt: skip
    plain = json.loads(json.dumps(made.to_json()))
    assert plain["curves"]["clever"][2] == {"seed": 2, "run": "", "values": [4.0, 10.0]}
    assert plain["curves"]["random"][0]["run"] == "r0"
    assert plain["strategies"][1]["points"][1]["mean"] == 7.0 and plain["area"] == "value"
    assert plain["test"] == comparison.TEST_RULE
