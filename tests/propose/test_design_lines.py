from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.propose.design_lines import end_of_design, grammar, line
from nasmith.replies import design_in, designs_in
from nasmith.space import Choice, Position, Space
from nasmith.testing import TOY_SPACE

PREFIXES = Space("prefixes", tuple(Position(f"p{i}", tuple(Choice(str(c), f"n{c}") for c in (1, 12, 120))) for i in range(3)))
CHANNELS = Space(
    "channels", (Position("a", (Choice("1", "64"), Choice("2", "128"))), Position("b", (Choice("1", "256"),))), shown="name"
)


@given(st.data())
def test_what_is_allowed_is_a_design_and_every_design_is_allowed(data):
    space = data.draw(st.sampled_from([TOY_SPACE, PREFIXES, CHANNELS]))
    design = tuple(data.draw(st.integers(0, size - 1)) for size in space.sizes)
    follows, said = grammar(space), ""
    for index in design:
        options = follows(said)
        assert not any(a != b and a.startswith(b) for a in options for b in options)
        said += options[index]
    assert follows(said) == ()
    assert design_in(said, space) == design
    assert said.strip() == line(space, design)


def test_a_choice_that_is_half_said_is_completed():
    follows = grammar(PREFIXES)
    assert follows("") == (" 1,", " 12,", " 120,")
    assert follows(" 1") == (",", "2,", "20,")
    assert follows(" 1, 12,") == (" 1\n", " 12\n", " 120\n")


@given(st.sets(st.tuples(*[st.integers(0, 2)] * 3), max_size=26))
def test_known_designs_are_not_said_and_all_others_can_be(known):
    follows = grammar(PREFIXES, known)

    def said(begin):
        options = follows(begin)
        return [text for option in options for text in said(begin + option)] if options else [begin]

    texts = [design_in(text, PREFIXES) for text in said("")]
    assert sorted(texts) == sorted(set(PREFIXES.designs()) - known)


def test_nothing_is_left_to_say_where_all_is_known():
    assert grammar(CHANNELS, CHANNELS.designs())("") == ()


@pytest.mark.parametrize("said", [" 3,", "x", " 0, 0, 0, 0, 0", " 0,0"])
def test_nothing_follows_what_is_no_beginning(said):
    assert grammar(TOY_SPACE)(said) == ()


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        (" 0, 1, 2, 0\naccuracy 93: 0, 0, 0, 0", 11),
        (" 0, 1, 2, 0", None),
        (" 0, 1\n 2, 0\n", 11),
        ("\nI take\n[0, 1, 2, 0]\n", 20),
        ("\n" * 1000, None),
        ("", None),
    ],
)
def test_a_reply_ends_with_the_line_that_completes_a_design(reply, end):
    assert end_of_design(TOY_SPACE, reply) == end


def test_what_cannot_keep_the_limits_may_not_come():
    def total(designs):
        return designs.sum(axis=1)[:, None].astype(float)

    space = replace(TOY_SPACE, form=None, measures=("sum",), measure=total, admits=None, limits=(("sum", 1.0, 1.0),))
    follows = grammar(space)
    said = [""]
    while any(follows(reply) for reply in said):
        said = [reply + text for reply in said for text in (follows(reply) or ("",))]
    designs = {designs_in(reply, space)[0] for reply in said}
    assert designs == {design for design in space.designs() if sum(design) == 1}
