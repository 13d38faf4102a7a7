import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nasmith.errors import ConfigError
from nasmith.types import Objective
from nasmith.valuing import SELECTIONS, check, value

SIZE = Objective("params", "minimize", log=True)
ERROR = Objective("val_error", "minimize")
RIGHT = Objective("val_right", "maximize")


def test_a_product_is_the_papers_fitness():
    assert value({"params": 4800, "val_error": 0.125}, (SIZE, ERROR), "product") == -600


def test_weights_are_exponents_of_a_product():
    half = Objective("params", "minimize", weight=0.5)
    assert value({"params": 100, "val_error": 0.5}, (half, ERROR), "product") == -5


def test_a_weighted_sum_counts_sizes_by_their_logarithm():
    heavy = Objective("val_right", "maximize", weight=10)
    assert value({"params": 1000, "val_right": 0.9}, (SIZE, heavy), "weighted") == pytest.approx(9 - 3)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_one_objective_is_its_own_value(selection):
    assert value({"val_error": 0.25}, (ERROR,), selection) == -0.25
    assert value({"val_right": -3.0}, (RIGHT,), selection) == -3.0


def test_the_number_of_a_front_is_a_product_or_a_sum():
    metrics = {"params": 100.0, "val_error": 0.5, "val_right": 0.5}
    assert value(metrics, (SIZE, ERROR), "pareto") == -50
    assert value(metrics, (SIZE, RIGHT), "pareto") == pytest.approx(0.5 - 2)


def steps(point):
    """Value whole numbers one after the other."""
    aims = tuple(Objective(str(place), "maximize", tolerance=1.0) for place in range(len(point)))
    return value({str(place): float(each) for place, each in enumerate(point)}, aims, "lexicographic")


first = st.integers(-(2**17) + 1, 2**17 - 1)
later = st.integers(-(2**16) + 1, 2**16 - 1)
points = st.tuples(first, later, later)


@given(points, points)
@example((2**17 - 1, 2**16 - 1, 2**16 - 1), (2**17 - 1, 2**16 - 1, 2**16 - 2))
@example((2**17 - 1, 1 - 2**16, 1 - 2**16), (2**17 - 2, 2**16 - 1, 2**16 - 1))
def test_one_after_the_other_is_how_tuples_are_compared(one, other):
    assert (steps(one) > steps(other)) == (one > other)
    assert (steps(one) == steps(other)) == (one == other)


@given(points, st.integers(0, 2), st.sampled_from([-1, 1]))
def test_the_smallest_step_of_any_objective_counts(point, place, by):
    moved = tuple(each + by * (at == place) for at, each in enumerate(point))
    if max(map(abs, moved[1:])) < 2**16:
        assert (steps(moved) > steps(point)) == (by > 0)


number = st.one_of(st.integers(-3, 3), st.integers(-(10**15), 10**15))
many = st.lists(number, min_size=5, max_size=5).map(tuple)


@given(many, many)
def test_with_more_than_a_number_holds_the_last_may_be_lost_and_none_is_turned_round(one, other):
    if one > other:
        assert steps(one) >= steps(other)
    if one[0] != other[0]:
        assert steps(one) != steps(other) or max(abs(one[0]), abs(other[0])) > 2**50


size = st.floats(1, 1e9, allow_nan=False)
share = st.floats(0, 1, allow_nan=False)


@given(share, size, share, size)
def test_without_a_tolerance_a_thousandth_counts_of_sizes_a_thousandth_part(error, params, other_error, other_params):
    def places(error, params):
        return -round(error / 0.001), -round(math.log10(params) / math.log10(1.001))

    one, other = ({"val_error": e, "params": p} for e, p in ((error, params), (other_error, other_params)))
    ahead = value(one, (ERROR, SIZE), "lexicographic") > value(other, (ERROR, SIZE), "lexicographic")
    assert ahead == (places(error, params) > places(other_error, other_params))


def test_a_tolerance_is_in_the_metrics_own_unit_for_sizes_too():
    aims = (Objective("params", "minimize", log=True, tolerance=1000.0), ERROR)
    small, precise = {"params": 10_000.0, "val_error": 0.3}, {"params": 10_300.0, "val_error": 0.2}
    assert value(precise, aims, "lexicographic") > value(small, aims, "lexicographic")


def test_a_difference_below_the_tolerance_leaves_it_to_the_next_objective():
    aims = (Objective("val_error", "minimize", tolerance=0.01), SIZE)
    better, smaller = {"val_error": 0.101, "params": 900.0}, {"val_error": 0.104, "params": 100.0}
    assert value(smaller, aims, "lexicographic") > value(better, aims, "lexicographic")
    worse = {"val_error": 0.2, "params": 1.0}
    assert value(worse, aims, "lexicographic") < value(better, aims, "lexicographic")


def test_a_product_of_what_is_maximised_is_refused():
    with pytest.raises(ConfigError, match=r"val_right is maximised.*1 - accuracy.*weighted"):
        check((SIZE, RIGHT), "product")
    check((RIGHT,), "product")
    check((SIZE, RIGHT), "weighted")
    check((SIZE, ERROR), "product")

    with pytest.raises(ConfigError, match=r"one of product, weighted, lexicographic, pareto, got 'sum'"):
        check((SIZE, ERROR), "sum")


def test_a_negative_value_has_no_product():
    with pytest.raises(ValueError, match=r"val_error is -0.5, and a product .* weighted"):
        value({"params": 100.0, "val_error": -0.5}, (SIZE, ERROR), "product")
    assert value({"params": 100.0, "val_error": -0.5}, (SIZE, ERROR), "pareto") == pytest.approx(0.5 - 2)
    assert value({"val_error": -0.5}, (ERROR,), "product") == 0.5


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_by_name(selection, odd):
    with pytest.raises(ValueError, match="val_error is not finite"):
        value({"params": 100.0, "val_error": odd}, (SIZE, ERROR), selection)


def test_what_was_not_measured_is_named():
    with pytest.raises(ValueError, match="val_error was not measured"):
        value({"params": 100.0}, (SIZE, ERROR), "weighted")


def test_what_no_number_can_hold_is_the_worst():
    steep = Objective("params", "minimize", weight=3.0)
    assert value({"params": 1e200, "val_error": 0.5}, (steep, ERROR), "product") == -math.inf
    assert value({"params": 1e200, "val_error": 1e308}, (ERROR, SIZE), "lexicographic") == -math.inf


def test_values_are_finite_where_a_measure_is_zero():
    for selection in SELECTIONS:
        assert math.isfinite(value({"params": 0.0, "val_error": 0.0}, (SIZE, ERROR), selection))
