import numpy as np
import pytest

from nasmith.tasks.torch_accounts import checked_params, count_state, flops_of, state_at
from nasmith.types import Outcome, Status


def outcome(arrays=None, **facts):
    return Outcome(Status.OK, arrays or {}, facts)


def test_the_state_of_a_point_is_found_among_other_arrays():
    arrays = {"state/0/a.w": np.ones(2), "state/1/a.w": np.zeros(2), "train_loss": np.ones(1), "outputs/val": np.ones(1)}
    assert (state_at(outcome(arrays), 1)["a.w"] == 0).all()
    with pytest.raises(ValueError, match="no state of evaluation point 2"):
        state_at(outcome(arrays), 2)


@pytest.mark.parametrize("name", ["score", "state/x/w", "state/0/", "other/0/w"])
def test_arrays_of_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match=f"unknown name '{name}'"):
        state_at(outcome({"state/0/w": np.ones(1), name: np.ones(1)}), 0)


def test_tied_weights_count_once_and_untouched_ones_do_not_look_tied():
    tied = np.arange(6.0).reshape(2, 3)
    assert count_state({"a": tied, "b": tied.copy(), "c": np.zeros(4), "d": np.zeros(4)}) == 6 + 4 + 4


def test_a_state_must_not_be_larger_than_the_program_or_the_limit():
    state = {"w": np.arange(10.0)}
    assert checked_params(state, outcome(params=10.0), 10) == 10
    with pytest.raises(ValueError, match="measured with fewer"):
        checked_params(state, outcome(params=9.0), 100)
    with pytest.raises(ValueError, match="at most 5 are allowed"):
        checked_params(state, outcome(params=10.0), 5)


def test_a_model_must_not_take_more_operations_than_were_measured():
    assert flops_of(outcome(flops=100.0, predict_flops=100.0)) == 100
    with pytest.raises(ValueError, match="100 FLOPs when the program is measured, and 200 to predict"):
        flops_of(outcome(flops=100.0, predict_flops=200.0))
    with pytest.raises(ValueError, match="FLOPs"):
        flops_of(outcome(flops=100.0))
