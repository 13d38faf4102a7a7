import pytest

from nasmith.errors import ConfigError
from nasmith.space import Choice, Position, Space
from nasmith.tasks.tabular.bounds import Bounds
from nasmith.testing import TOY_SPACE


def test_a_broken_bound_is_said_with_the_distance():
    assert Bounds(flops_max=10).broken(TOY_SPACE, (2, 2, 2, 2)) == (
        "fails the constraint: 18 FLOPs, 8 above the upper bound of 10"
    )
    assert Bounds(params_min=5).broken(TOY_SPACE, (0, 0, 0, 1)) == (
        "fails the constraint: 2 parameters, 3 below the lower bound of 5"
    )
    assert Bounds(flops_max=18, flops_min=18, params_max=9).broken(TOY_SPACE, (2, 2, 2, 2)) == ""


def test_large_numbers_are_said_in_millions():
    assert Bounds(flops_max=330e6).words() == "at most 330 M FLOPs"
    assert Bounds(270e6, 330e6, None, 7e6).words() == "at least 270 M FLOPs and at most 330 M FLOPs and at most 7 M parameters"


def test_bounds_that_no_design_keeps_are_refused():
    Bounds(flops_max=2).check(TOY_SPACE)
    with pytest.raises(ConfigError, match=r"no design of toy space keeps at most 1 FLOPs. Its designs have 2 to 18 FLOPs"):
        Bounds(flops_max=1).check(TOY_SPACE)
    with pytest.raises(ConfigError, match="no design"):
        Bounds(flops_max=4, params_min=3).check(TOY_SPACE)  # each can be kept, not both


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(ConfigError, match="flops_min is 5 and flops_max is 4: nothing lies between"):
        Bounds(5, 4)


def test_what_is_not_known_cannot_be_bounded():
    space = Space("bare", (Position("p", (Choice("0", "a"),)),))
    with pytest.raises(ConfigError, match="FLOPs of designs of bare are not known"):
        Bounds(flops_max=4).check(space)
    assert not Bounds()
