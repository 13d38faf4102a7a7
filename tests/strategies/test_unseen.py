from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np

from nasmith.space import Choice, Position, Space
from nasmith.strategies.unseen import Unseen, forms, suggestion
from nasmith.testing import TOY_SPACE
from nasmith.types import Suggestion

CHOICES = tuple(Choice(str(index), f"c{index}") for index in range(4))
SORTED = Space("pairs in any order", (Position("a", CHOICES), Position("b", CHOICES)), form=lambda d: np.sort(d, axis=1))


def test_every_design_is_drawn_once_and_then_none():
    unseen, draw = Unseen(TOY_SPACE), Random(0)
    drawn = [unseen.draw(draw) for _ in range(81)]
    assert sorted(drawn) == list(TOY_SPACE.designs())
    assert unseen.draw(draw) is None and unseen.draw(draw) is None


def test_positions_may_differ_in_their_number_of_choices():
    sizes = (2, 9, 20)
    positions = (Position(f"p{size}", tuple(Choice(str(i), f"c{i}") for i in range(size))) for size in sizes)
    uneven, draw = Space("uneven", tuple(positions)), Random(0)
    unseen = Unseen(uneven)
    assert sorted(unseen.draw(draw) for _ in range(360)) == list(uneven.designs())


def test_equal_designs_count_once():
    unseen, draw = Unseen(SORTED), Random(0)
    assert unseen.take((2, 1)) and not unseen.take((1, 2))
    assert (1, 2) not in unseen and (1, 1) in unseen
    drawn = [unseen.draw(draw) for _ in range(9)]
    assert None not in drawn and unseen.draw(draw) is None
    assert len({tuple(sorted(design)) for design in [*drawn, (1, 2)]}) == 10


def test_draws_are_uniform_before_and_after_what_is_left_was_listed():
    first, last = Counter(), Counter()
    for seed in range(600):
        unseen, draw = Unseen(SORTED), Random(seed)
        first[unseen.draw(draw)] += 1
        for design in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]:
            unseen.take(design)
        unseen._rest = [place for place, design in enumerate(SORTED.designs()) if design in unseen]
        last[unseen.draw(draw) or "none"] += 1
    assert len(first) == 16 and max(first.values()) < 75 and min(first.values()) > 12
    assert set(last) <= {(2, 2), (2, 3), (3, 2), (3, 3), "none"}
    left = [last[design] for design in ((2, 2), (2, 3), (3, 2), (3, 3))]
    assert max(left) < 1.6 * min(left)


def test_a_large_space_of_equal_designs_is_used_up_without_being_listed():
    large = Space("all equal", tuple(Position(f"p{i}", CHOICES) for i in range(30)), form=lambda d: d * 0)
    unseen, draw = Unseen(large), Random(0)
    assert unseen.draw(draw) is not None
    assert unseen.draw(draw) is None


def test_many_forms_are_those_of_each():
    assert forms(SORTED, SORTED.designs()) == [SORTED.canonical(design) for design in SORTED.designs()]
    assert forms(TOY_SPACE, [(0, 1, 2, 0)]) == [(0, 1, 2, 0)]
    assert forms(SORTED, []) == []


def test_a_suggestion_is_of_one_design():
    assert suggestion(TOY_SPACE, (0, 1, 2, 0), "mutation", 4, 7) == Suggestion(("0120",), "mutation", (7,), 4)


def test_designs_that_break_the_bounds_are_not_drawn():
    bounded = replace(SORTED, admits=lambda designs: designs.sum(axis=1) <= 1)
    unseen, random = Unseen(bounded), Random(0)
    drawn = []
    while (design := unseen.draw(random)) is not None:
        drawn.append(design)
    assert drawn and all(sum(design) <= 1 for design in drawn)
    assert (1, 1) not in unseen and not Unseen(bounded).take((1, 1)) and Unseen(bounded).take((0, 1))
