from random import Random

import numpy as np
import pytest

from nasmith.space import Choice, Disguise, Position, Space
from nasmith.testing import TOY_SPACE

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CELL = Space(
    "cell",
    tuple(
        Position(f"edge {number}", tuple(Choice(str(index), name) for index, name in enumerate(OPERATIONS)))
        for number in range(6)
    ),
    template="|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|",
    written="name",
)
WIDTHS = Space(
    "widths",
    tuple(
        Position(f"layer {n}", tuple(Choice(str(i + 1), str(base * (i + 1))) for i in range(4)))
        for n, base in enumerate((64, 128))
    ),
    template="{}{}",
    shown="name",
)
SPACES = (CELL, WIDTHS, TOY_SPACE)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_what_is_written_or_shown_is_read_again(space):
    draw = Random(1)
    for _ in range(50):
        design = space.sample(draw)
        assert space.read(space.write(design)) == design
        assert space.read(space.show(design)) == design
        assert space.read(f"  {space.write(design)}\n") == design


def test_a_design_is_written_as_the_table_writes_it_and_shown_as_a_list():
    design = (3, 1, 0, 2, 4, 3)
    assert CELL.write(design) == "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    assert CELL.show(design) == "[3, 1, 0, 2, 4, 3]"
    assert (WIDTHS.write((0, 3)), WIDTHS.show((0, 3))) == ("14", "[64, 512]")
    assert WIDTHS.read("[1, 4]") == WIDTHS.read("[64, 512]") == (0, 3)


@pytest.mark.parametrize(
    "space, text, reason",
    [
        (TOY_SPACE, "012", "one looks like 0000"),
        (TOY_SPACE, "01200", "one looks like 0000"),
        (TOY_SPACE, "0123", "'3' is no choice at position 4 .layer 4.. Valid: 0, 1, 2"),
        (TOY_SPACE, "[0, 1, 2, -1]", "'-1' is no choice at position 4"),
        (TOY_SPACE, "[0, 1]", "4 choices, one for each position; 2 came"),
        (CELL, "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "'conv' is no choice at position 1 .edge 0."),
        (CELL, "", "one looks like"),
        (WIDTHS, "[64, 64]", "'64' is no choice at position 2 .layer 1.. Valid: 128, 256, 384, 512"),
    ],
)
def test_what_is_no_design_is_refused_with_the_reason(space, text, reason):
    with pytest.raises(ValueError, match=reason):
        space.read(text)


def test_a_design_of_another_space_is_not_written():
    with pytest.raises(ValueError, match="4 positions"):
        TOY_SPACE.write((0, 0, 0))
    with pytest.raises(ValueError, match="4 positions"):
        TOY_SPACE.write((0, 0, 0, 3))


def test_neighbours_differ_at_one_position():
    design = (0, 1, 2, 0)
    near = TOY_SPACE.neighbours(design)
    assert len(set(near)) == 8 and all(sum(a != b for a, b in zip(design, other, strict=True)) == 1 for other in near)


def test_every_design_is_listed_once_and_drawn_equally_often():
    designs = list(WIDTHS.designs())
    assert len(designs) == len(set(designs)) == WIDTHS.size == 16
    draw = Random(0)
    counts = {design: 0 for design in designs}
    for _ in range(16_000):
        counts[WIDTHS.sample(draw)] += 1
    assert all(850 < count < 1150 for count in counts.values())  # 1000, standard deviation 31


def test_a_position_needs_choices_that_can_be_told_apart():
    with pytest.raises(ValueError, match="needs choices"):
        Space("x", (Position("p", (Choice("0", "a"), Choice("0", "b"))),))


def test_a_disguise_is_the_same_space_under_other_names():
    merged = Space(
        "merged",
        TOY_SPACE.positions,
        "{}{}{}{}",
        form=lambda designs: np.sort(designs, axis=1),
        measures=("params",),
        measure=lambda d: d @ [[1], [3], [9], [27]],
    )
    disguise = Disguise(merged, 5)
    hidden = disguise.space
    assert {hidden.sizes} == {(3, 3, 3, 3)} and "narrow" not in str(hidden.positions)
    designs = list(hidden.designs())
    revealed = [disguise.reveal(design) for design in designs]
    assert sorted(revealed) == sorted(merged.designs()) and revealed != designs
    assert [disguise.hide(design) for design in revealed] == designs
    assert all(disguise.reveal(hidden.canonical(d)) == merged.canonical(r) for d, r in zip(designs, revealed, strict=True))
    assert (hidden.measure(np.array(designs)) == merged.measure(np.array(revealed))).all()
    assert (
        Disguise(merged, 6).reveal(designs[5]) != disguise.reveal(designs[5])
        or Disguise(merged, 7).reveal(designs[5]) != revealed[5]
    )
    assert [Disguise(merged, 5).reveal(design) for design in designs] == revealed
