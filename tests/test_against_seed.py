from __future__ import annotations

from math import nan

import pytest

from nasmith import against_seed
from nasmith.against_seed import Standing, against_seeds, cost_pairs, intervals_overlap
from nasmith.analysis import Records
from nasmith.testing import ToyTask
from nasmith.types import Bound, Candidate, Evaluation, Objective, Run, Status

ERROR, PARAMS = Objective("val_error", "minimize"), Objective("params", "minimize", log=True)
SCORE, SPEED = Objective("score", "maximize"), Objective("speed", "maximize")


def item(number: int, **metrics: float) -> Standing:
    return Standing(Candidate(number, "", operator="seed" if number == 1 else "crossover"), metrics)


def ok(number: int, params: float, error: float, purpose: str = "search", seed: int = 0, fits: bool = True) -> Evaluation:
    metrics = {"params": params, "val_error": error} | ({"fitness": -params * error} if fits else {})
    return Evaluation(number, Status.OK, metrics, seed, purpose=purpose)


def records(*evaluations: Evaluation, seeds: int = 1) -> Records:
    numbers = sorted({evaluation.candidate for evaluation in evaluations})
    candidates = {
        number: Candidate(number, "", (), "seed", label=f"s{number}")
        if number <= seeds
        else Candidate(number, "", (1,), "infill")
        for number in numbers
    }
    return Records(Run("r", {}, "0", {}, ""), candidates, evaluations, {}, (), {})


def test_the_smallest_that_is_at_least_as_accurate_and_the_most_accurate_that_is_at_most_as_large() -> None:
    seed = item(1, params=100, val_error=0.2)
    children = [
        item(2, params=90, val_error=0.1),
        item(3, params=50, val_error=0.2),  # as accurate as the seed
        item(4, params=20, val_error=0.3),
        item(5, params=100, val_error=0.05),  # as large as the seed
        item(6, params=500, val_error=0.01),
    ]
    smallest = against_seed.smallest_as_accurate(children, seed, PARAMS, ERROR)
    best = against_seed.most_accurate_as_small(children, seed, PARAMS, ERROR)
    assert smallest is not None and smallest.id == 3
    assert best is not None and best.id == 5


def test_directions_are_kept() -> None:
    seed = item(1, speed=10, score=-2)
    children = [item(2, speed=30, score=-3), item(3, speed=20, score=-2), item(4, speed=12, score=4), item(5, speed=9, score=9)]
    fastest = against_seed.smallest_as_accurate(children, seed, SPEED, SCORE)
    best = against_seed.most_accurate_as_small(children, seed, SPEED, SCORE)
    assert fastest is not None and fastest.id == 3
    assert best is not None and best.id == 4


def test_what_is_only_equal_or_not_known_is_no_find() -> None:
    seed = item(1, params=100, val_error=0.2)
    children = [
        item(2, params=100, val_error=0.2),
        item(3, params=nan, val_error=0.1),
        item(4, val_error=0.1),
        item(5, params=1),
    ]
    assert against_seed.smallest_as_accurate(children, seed, PARAMS, ERROR) is None
    assert against_seed.most_accurate_as_small(children, seed, PARAMS, ERROR) is None


def test_of_two_that_are_equally_small_the_more_accurate_wins_then_the_earlier() -> None:
    seed = item(1, params=100, val_error=0.2)
    children = [item(2, params=50, val_error=0.2), item(4, params=50, val_error=0.1), item(3, params=50, val_error=0.1)]
    smallest = against_seed.smallest_as_accurate(children, seed, PARAMS, ERROR)
    assert smallest is not None and smallest.id == 3


@pytest.mark.parametrize(
    ("objectives", "pairs"),
    [
        ((PARAMS, ERROR), [(PARAMS, ERROR)]),
        ((ERROR, PARAMS), [(PARAMS, ERROR)]),
        ((ERROR, PARAMS, SPEED), [(PARAMS, ERROR), (SPEED, ERROR)]),
        ((SCORE, SPEED), [(SPEED, SCORE)]),
        ((SCORE,), [(None, SCORE)]),
        ((), []),
    ],
)
def test_what_is_measured_on_validation_data_is_the_quality_and_everything_else_a_cost(objectives, pairs) -> None:
    assert cost_pairs(objectives) == pairs


def test_intervals_overlap_or_not_or_nobody_knows() -> None:
    def made(mean: float, half: float | None) -> Standing:
        return Standing(Candidate(2, ""), {"val_error": mean}, {} if half is None else {"val_error": half})

    assert intervals_overlap(made(0.1, 0.02), made(0.2, 0.09), "val_error") is True
    assert intervals_overlap(made(0.1, 0.02), made(0.2, 0.07), "val_error") is False
    assert intervals_overlap(made(0.1, None), made(0.2, 0.07), "val_error") is None


def test_verified_means_decide_where_there_are_any() -> None:
    data = records(
        ok(1, 100, 0.2), ok(2, 50, 0.1), ok(3, 60, 0.1),
        *(ok(1, 100, 0.2, "verify", seed) for seed in range(3)),
        *(ok(2, 50, 0.29 + seed / 100, "verify", seed) for seed in range(3)),  # chance in the search
        *(ok(3, 60, 0.11 + seed / 100, "verify", seed) for seed in range(3)),
    )  # fmt: skip
    (found,) = against_seeds(data, ToyTask())
    assert found.verified and found.children == 2 and found.seed.trainings == 3
    assert found.smallest is not None and found.smallest.id == 3
    assert found.smallest.metrics["val_error"] == pytest.approx(0.12)
    assert found.smallest.intervals["val_error"] == pytest.approx(4.302653 * 0.01 / 3**0.5)
    assert [child.id for child in found.trade_off] == [3]


def test_what_the_search_saw_decides_where_the_seed_was_not_verified() -> None:
    data = records(ok(1, 100, 0.2), ok(2, 50, 0.1), ok(2, 50, 0.3, "verify"))
    (found,) = against_seeds(data, ToyTask())
    assert not found.verified
    assert found.smallest is not None and found.smallest.id == 2


def test_the_trade_off_runs_from_the_smallest_to_the_most_accurate_and_leaves_out_what_is_beaten() -> None:
    data = records(ok(1, 100, 0.2), ok(2, 100, 0.05), ok(3, 50, 0.2), ok(4, 70, 0.1), ok(5, 80, 0.15), ok(6, 10, 0.4))
    (found,) = against_seeds(data, ToyTask())
    assert [child.id for child in found.trade_off] == [3, 4, 2]
    assert found.smallest is not None and found.best is not None
    assert (found.smallest.id, found.best.id) == (3, 2)


def test_nothing_is_found_where_nothing_is_better() -> None:
    (found,) = against_seeds(records(ok(1, 100, 0.2), ok(2, 10, 0.3), ok(3, 200, 0.1)), ToyTask())
    assert (found.smallest, found.best, found.trade_off, found.children) == (None, None, (), 2)


def test_the_fittest_seed_comes_first_and_one_that_breaks_a_bound_last() -> None:
    data = records(ok(1, 900, 0.1, fits=False), ok(2, 100, 0.3), ok(3, 100, 0.2), ok(4, 90, 0.1), seeds=3)
    assert [found.seed.id for found in against_seeds(data, ToyTask())] == [3, 2, 1]


def test_a_child_whose_means_break_a_bound_is_no_result() -> None:
    class Bounded(ToyTask):
        bounds = (Bound("params", at_most=60),)

    data = records(ok(1, 100, 0.2), ok(2, 50, 0.1), ok(3, 70, 0.01, fits=False), ok(4, 60, 0.1))
    data = Records(
        data.run, data.candidates,
        (*data.evaluations, ok(1, 100, 0.2, "verify"), ok(2, 50, 0.1, "verify"), ok(4, 61, 0.01, "verify")), {}, (), {},
    )  # fmt: skip
    (found,) = against_seeds(data, Bounded())
    assert found.verified and found.children == 1
    assert found.best is not None and found.best.id == 2


def test_one_objective_alone_has_a_best_and_no_cost() -> None:
    class Lone(ToyTask):
        objectives = (SCORE,)

        def fitness(self, metrics):
            return metrics["score"]

    evaluations = [Evaluation(n, Status.OK, {"score": s, "fitness": s}) for n, s in ((1, -0.5), (2, -0.2), (3, -0.9))]
    (found,) = against_seeds(records(*evaluations), Lone())
    assert found.cost is None and found.smallest is None
    assert found.best is not None and found.best.id == 2
