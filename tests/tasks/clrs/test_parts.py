from __future__ import annotations

import ast

import pytest

from nasmith.errors import UsageError
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES, load_part


def test_the_built_in_part_is_found_by_its_place():
    assert load_part("nasmith.tasks.clrs.parts:TRIPLET_MESSAGES") is TRIPLET_MESSAGES


@pytest.mark.parametrize("place", ["nasmith.tasks.clrs.parts:NOTHING", "no_such_module:PART", "", "nasmith:"])
def test_a_part_that_is_not_there_is_said(place):
    with pytest.raises(UsageError, match=r"package\.module:NAME"):
        load_part(place)


def test_something_else_is_no_part():
    with pytest.raises(UsageError, match="not a nasmith"):
        load_part("nasmith.tasks.clrs.parts:load_part")


def test_there_are_nine_seeds_that_define_the_function():
    assert list(TRIPLET_MESSAGES.seeds) == [f"v{number}" for number in range(1, 10)]
    for text in TRIPLET_MESSAGES.seeds.values():
        (function,) = ast.parse(text).body
        assert isinstance(function, ast.FunctionDef) and text.startswith(TRIPLET_MESSAGES.first_line)


def test_shapes_are_those_of_the_network():
    takes, returns = TRIPLET_MESSAGES.shapes(2, 5, 32, 8)
    assert takes == ((2, 5, 64), (2, 5, 5, 32), (2, 32), 8, 32) and returns == (2, 5, 5, 32)
