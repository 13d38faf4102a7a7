from nasmith.population import Scored, front, top
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
