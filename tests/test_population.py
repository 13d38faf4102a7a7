import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.population import Scored, front, ranked, top
from nasmith.types import Objective

OBJECTIVES = (Objective("params", "minimize"), Objective("accuracy", "maximize"))


def scored(number, params, accuracy):
    return Scored(number, {"params": params, "accuracy": accuracy, "fitness": accuracy - params})


def test_top_is_best_first_and_ties_go_to_the_earlier_one():
    assert [s.id for s in top([scored(3, 1, 2), scored(1, 2, 2), scored(2, 1, 2)], 2)] == [2, 3]


def test_front_keeps_what_nothing_beats():
    points = [scored(1, 10, 0.9), scored(2, 5, 0.8), scored(3, 10, 0.85), scored(4, 4, 0.8), scored(5, 20, 0.95)]
    assert [s.id for s in front(points, OBJECTIVES)] == [1, 4, 5]


def test_the_earlier_of_two_equal_points_stays_on_the_front():
    assert [s.id for s in front([scored(2, 5, 0.8), scored(1, 5, 0.8)], OBJECTIVES)] == [1]


def named(number, **metrics):
    return Scored(number, metrics)


SIZE_AND_ERROR = (Objective("params", "minimize", log=True), Objective("val_error", "minimize"))


def test_better_fronts_come_first_and_on_a_front_those_that_stand_alone():
    crowd = [
        named(1, params=10, val_error=0.9),
        named(2, params=10_000, val_error=0.1),
        named(3, params=100, val_error=0.5),
        named(4, params=110, val_error=0.49),
        named(5, params=1000, val_error=0.3),
        named(6, params=10_000, val_error=0.95),  # beaten
        named(7, params=2000, val_error=0.6),  # beaten by 5
    ]
    order = [entry.id for entry in ranked(crowd, SIZE_AND_ERROR)]
    assert set(order[:2]) == {1, 2} and order[2] == 5  # the ends, then the one in the largest gap
    assert set(order[2:5]) == {3, 4, 5} and order[5:] == [7, 6]


def test_a_maximised_objective_counts_the_other_way():
    aims = (Objective("right", "maximize"),)
    assert [entry.id for entry in ranked([named(1, right=0.2), named(2, right=0.8)], aims)] == [2, 1]


def test_equal_candidates_are_ranked_by_age_and_nobody_is_lost():
    same = [named(number, params=10, val_error=0.5) for number in (3, 1, 2)]
    assert [entry.id for entry in ranked(same, SIZE_AND_ERROR)] == [1, 2, 3]
    assert ranked([], SIZE_AND_ERROR) == []


def test_copies_of_the_ends_do_not_take_the_places_of_what_stands_alone():
    ends = [named(number, params=10, val_error=0.9) for number in (1, 2, 3)] + [named(4, params=1000, val_error=0.1)]
    assert [entry.id for entry in ranked([*ends, named(5, params=100, val_error=0.5)], SIZE_AND_ERROR)] == [1, 4, 5, 2, 3]


def test_crowding_is_measured_on_the_objectives_scale():
    line = [named(number, params=10.0**number, val_error=(4 - number) / 8) for number in range(4)]
    linear = (Objective("params", "minimize"), Objective("val_error", "minimize"))
    assert [entry.id for entry in ranked(line, SIZE_AND_ERROR)] == [0, 3, 1, 2]
    assert [entry.id for entry in ranked(line, linear)] == [0, 3, 2, 1]


@pytest.mark.parametrize("metrics", [{}, {"params": 1.0}, {"params": 1.0, "val_error": math.nan}])
def test_what_lacks_an_objective_comes_last_and_is_on_no_front(metrics):
    lacking, worst = Scored(1, metrics), named(2, params=10_000, val_error=0.9)
    best = named(3, params=10, val_error=0.1)
    assert [entry.id for entry in ranked([lacking, worst, best], SIZE_AND_ERROR)] == [3, 2, 1]
    assert [entry.id for entry in front([lacking, worst, best], SIZE_AND_ERROR)] == [3]


values = st.integers(0, 4).map(float)


@given(st.lists(st.tuples(values, values, values), max_size=12))
def test_ranks_are_those_of_the_definition(rows):
    aims = (Objective("a", "minimize"), Objective("b", "maximize"), Objective("c", "minimize", log=True))
    scored = [named(number, **dict(zip("abc", row, strict=True))) for number, row in enumerate(rows)]

    def beats(one, other):
        losses = [one.metrics[o.name] - other.metrics[o.name] for o in aims]
        losses[1] = -losses[1]
        return max(losses) <= 0 and min(losses) < 0

    left, rank = list(scored), {}
    while left:
        peeled = [entry for entry in left if not any(beats(other, entry) for other in left)]
        rank |= {entry.id: len(set(rank.values())) for entry in peeled}
        left = [entry for entry in left if entry not in peeled]
    order = [rank[entry.id] for entry in ranked(scored, aims)]
    assert len(order) == len(scored) and order == sorted(order)
