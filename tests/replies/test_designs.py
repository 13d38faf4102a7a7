from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.replies.designs import design_in, designs_in
from nasmith.space import Choice, Disguise, Position, Space
from nasmith.testing import TOY_SPACE

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("0->1", "0->2", "1->2", "0->3", "1->3", "2->3")
CELLS = Space(
    "cells",
    tuple(Position(f"edge {edge}", tuple(Choice(str(i), name) for i, name in enumerate(OPERATIONS))) for edge in EDGES),
    template="|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|",
    written="name",
)
CHANNELS = Space(
    "channels",
    tuple(
        Position(f"layer {number}", tuple(Choice(str(k), str(k * base)) for k in (1, 2, 3, 4)))
        for number, base in enumerate((64, 64, 64, 128, 128, 128, 128), start=1)
    ),
    template="{}" * 7,
    shown="name",
)
LAYERS = Space(
    "layers",
    tuple(Position(f"layer {number + 1}", tuple(Choice(str(i), f"block{i}") for i in range(3))) for number in range(8)),
    template="{}" * 8,
)
MOBILE = Space(
    "mobile",
    tuple(Position(f"layer {number + 2}", tuple(Choice(str(i), f"op{i}") for i in range(7))) for number in range(30)),
)
DETAILED = Space(
    "names that hold signs",
    tuple(
        Position(f"layer {number}: {width} to {2 * width} channels, stride {1 + number % 2}", LAYERS.positions[0].choices)
        for number, width in enumerate((32, 64, 64, 128), start=1)
    ),
    template="{}" * 4,
)
HIDDEN = Disguise(CELLS, 3).space
SPACES = (TOY_SPACE, CELLS, CHANNELS, LAYERS, MOBILE, DETAILED, HIDDEN)
LONGEST = 200_000


def words(space, design, kind):
    return [getattr(choice, kind) for choice in space.choices(design)]


def stages(space, design, kind, size):
    said = words(space, design, kind)
    rows = [said[first : first + size] for first in range(0, len(said), size)]
    return [", ".join(row) for row in rows]


def lines(space, design, kind, form="{}: {}"):
    said = zip(space.positions, words(space, design, kind), strict=True)
    return "\n".join(form.format(position.name, word) for position, word in said)


def half(space):
    return -(-len(space.positions) // 2)


FORMS = {
    "as the space writes it": lambda s, d, k: s.write(d),
    "as a prompt shows it": lambda s, d, k: s.show(d),
    "a list": lambda s, d, k: "[" + ", ".join(words(s, d, k)) + "]",
    "a list without commas": lambda s, d, k: "[" + " ".join(words(s, d, k)) + "]",
    "a list over lines": lambda s, d, k: "[\n  " + ",\n  ".join(words(s, d, k)) + ",\n]",
    "a list of texts": lambda s, d, k: json.dumps(words(s, d, k)),
    "a tuple": lambda s, d, k: "(" + ", ".join(words(s, d, k)) + ")",
    "nested lists": lambda s, d, k: "[" + ",\n ".join(f"[{row}]" for row in stages(s, d, k, half(s))) + "]",
    "lists below each other": lambda s, d, k: "\n".join(f"[{row}]" for row in stages(s, d, k, half(s))),
    "lists of stages": lambda s, d, k: "\n".join(
        f"{i}. **Stage {i}** (Layer {i} to Layer {i + 5}): [{row}]" for i, row in enumerate(stages(s, d, k, half(s)), 1)
    ),
    "stages without brackets": lambda s, d, k: "\n".join(f"Stage {i}: {row}" for i, row in enumerate(stages(s, d, k, half(s)))),
    "JSON": lambda s, d, k: "```json\n" + json.dumps({"operations": words(s, d, k)}, indent=1) + "\n```",
    "a JSON object": lambda s, d, k: json.dumps({p.name: word for p, word in zip(s.positions, words(s, d, k), strict=True)}),
    "commas": lambda s, d, k: ", ".join(words(s, d, k)),
    "lines": lambda s, d, k: lines(s, d, k),
    "lines that explain": lambda s, d, k: lines(s, d, k, "- **{}**: `{}` (a good choice)\n  because it is."),
    "lines backwards": lambda s, d, k: "\n".join(reversed(lines(s, d, k).split("\n"))),
    "a table": lambda s, d, k: "| position | choice |\n|---|---|\n" + lines(s, d, k, "| {} | {} |"),
    "numbered lines": lambda s, d, k: "\n".join(f"op {i}: {word}" for i, word in enumerate(words(s, d, k))),
    "Python": lambda s, d, k: "```python\nops = [" + ", ".join(words(s, d, k)) + "]  # stem to head\n```",
}
PROSE = (
    "{}",
    "I propose this design:\n\n{}\n\nIt stays within [270, 330] M FLOPs and should reach 93.25%.",
    "Compared to experiment 2 of 2023-04-21 (92.46%, 1,234,567 parameters), the design below goes deeper.\n{}\nIt has 329.5 M.",
)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(data=st.data())
def test_every_way_to_write_a_design_is_read_in_prose(form, data):
    space = data.draw(st.sampled_from(SPACES))
    design = tuple(data.draw(st.integers(0, size - 1)) for size in space.sizes)
    kind = data.draw(st.sampled_from(["code", "name"]))
    text = data.draw(st.sampled_from(PROSE)).format(FORMS[form](space, design, kind))
    assert designs_in(text, space) == [design]
    assert design_in(text, space) == design


@settings(deadline=None)
@given(st.data())
def test_digits_alone_are_a_design(data):
    space = data.draw(st.sampled_from([TOY_SPACE, CELLS, CHANNELS, LAYERS]))
    design = tuple(data.draw(st.integers(0, size - 1)) for size in space.sizes)
    digits = "".join(words(space, design, "code"))
    for text in (digits, f"Design: {digits}", f"I take `{digits}`.", f"So {digits} is the next one to try.", f"**{digits}**\n"):
        assert design_in(text, space) == design
    for text in (f"1{digits}", f"{digits}7", f"3.{digits}", f"{digits}.5", f"x{digits}", f"{digits} parameters", f"7,{digits}"):
        assert designs_in(text, space) == []


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 8), min_size=1, max_size=5))
def test_designs_come_in_their_order(designs):
    told = [design for place, design in enumerate(designs) if place == 0 or designs[place - 1] != design]
    text = "\n".join(f"Then {LAYERS.show(design)} reached 90.{place}%." for place, design in enumerate(designs))
    assert designs_in(text, LAYERS) == told


@settings(deadline=None)
@given(st.text(alphabet="0123[](), :\n|~+-=>{}\"'`*._layerstgonv", max_size=200))
def test_any_text_is_read_without_an_exception_of_another_kind(text):
    for space in (CELLS, LAYERS):
        for design in designs_in(text, space):
            space.check(design)
        try:
            design_in(text, space)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        "On 2023-01-02 and 2012/01/01, at 01:20:12, it was measured.",
        "FLOPs must lie in [270, 330], parameters below 12,012,012.",
        "Stages 1, 2 and 3 matter; see [1, 2] and layers (1, 2).",
        "flops = [0.0, 1.0, 2.0, 0.0, 1.0, 1.0, 2.0, 0.5]",
        "It reached 91.07%, 90.2%, 92.1%, 90.0%, 90.1%, 91.2%, 90.0%, 90.7%.",
        "Take [0, 1] instead of [1, 0], [0, 2] instead of [2, 1].",
        "1. first\n2. second\n3. third\n",
        "accuracy: 2\nparameters: 1\n",
        "",
    ],
)
def test_what_is_no_design_gives_none(text):
    for space in (LAYERS, CELLS):
        assert designs_in(text, space) == []


def test_the_proposal_is_the_last_design_that_was_not_tried():
    old, older, new = (0,) * 8, (1,) * 8, (2, 1, 0, 2, 1, 0, 2, 1)
    text = f"{LAYERS.show(older)} was good. I propose {LAYERS.show(new)}, which is deeper than {LAYERS.show(old)}."
    assert design_in(text, LAYERS, known=[old, older]) == new
    assert design_in(text, LAYERS, known=[old, older, new]) == old
    assert design_in(text, LAYERS) == old


def test_a_design_that_equals_a_known_one_is_known():
    space = Space("same", LAYERS.positions, form=lambda designs: np.sort(designs, axis=1))
    new, known = (0, 0, 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 0, 2)
    text = f"{space.show(new)} rather than {space.show(known[::-1])}"
    assert design_in(text, space, known=[known]) == new


def test_thoughts_are_not_the_answer():
    text = f"<think>Maybe {LAYERS.show((0,) * 8)}?</think>\n{LAYERS.show((1,) * 8)}"
    assert design_in(text, LAYERS) == (1,) * 8
    with pytest.raises(ValueError, match="done thinking"):
        design_in(f"<think>Maybe {LAYERS.show((0,) * 8)}", LAYERS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[0, 1, 2, 0, 1, 1, 1]", "the list has 7 numbers; 8 are needed, one for each position"),
        ("[0, 1, 2, 0, 1, 1, 1, 0, 0] in [270, 330]", "the list has 9 numbers; 8 are needed, one for each position"),
        ("[0, 1, 2, 0]\n[1, 1, 1]", "the 2 lists have together 7 numbers; 8 are needed, one for each position"),
        ("[0, 1, 5, 0, 1, 1, 1, 1]", "'5' is no choice at position 3 (layer 3). Valid: 0, 1, 2"),
        ("[0, 1, -1, 0, 1, 1, 1, 1]", "'-1' is no choice at position 3 (layer 3). Valid: 0, 1, 2"),
        ("[0, 1, 1.5, 0, 1, 1, 1, 1]", "'1.5' is no choice at position 3 (layer 3). Valid: 0, 1, 2"),
        ("[a, b, c, d, e, f, g, h]", "'a' is no choice at position 1 (layer 1). Valid: 0, 1, 2"),
        ("0, 1, 2, 7, 1, 1, 1, 1", "'7' is no choice at position 4 (layer 4). Valid: 0, 1, 2"),
        ("0121", "0121 has 4 digits; 8 are needed"),
        ("01210139", "'3' is no choice at position 7 (layer 7). Valid: 0, 1, 2"),
        ("layer 1: 2\nlayer 2: 1\nlayer 3: 0", "the lines choose for 3 positions; there are 8"),
        ("I am sorry, I cannot.", "the reply holds no design; a list of 8 numbers is needed, one for each position"),
        ("", "the reply was empty"),
        ("[0, 1, 2, 0", "the list has 4 numbers; 8 are needed, one for each position"),
        ("[0, 1, 9, 0, 1, 1, 1, 1]\nNo: [0, 1, 8, 0, 1, 1, 1, 1]", "'8' is no choice at position 3 (layer 3). Valid: 0, 1, 2"),
    ],
)
def test_what_is_wrong_is_said_in_words(text, reason):
    with pytest.raises(ValueError) as caught:
        design_in(text, LAYERS)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "'nor_conv_5x5' is no choice at position 1 (edge 0->1). Valid: 0, 1, 2, 3, 4",
        ),
        ("|none~0|+|none~0|none~1|", "'|none~0|+|none~0|none~1|' is not written as a design is: |none~0|+|none~0|none~1|+"),
        ("edge 0->1: none\nedge 0->2: conv_7x7\n", "the lines choose for 2 positions; there are 6"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said_in_words(text, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        design_in(text, CELLS)


def test_a_wrong_number_of_channels_names_the_valid_ones():
    with pytest.raises(ValueError, match=r"'100' is no choice at position 7 \(layer 7\)\. Valid: 128, 256, 384, 512"):
        design_in("[64, 128, 192, 256, 384, 512, 100]", CHANNELS)


@pytest.mark.parametrize(
    "text",
    [
        "[" * LONGEST,
        "[" * (LONGEST // 2) + "]" * (LONGEST // 2),
        "1," * (LONGEST // 2),
        " " * LONGEST,
        "1" * LONGEST,
        "a" * LONGEST,
        "[1, 0]\n" * (LONGEST // 7),
        "layer 1: 1\n" * (LONGEST // 11),
        "|none~0" * (LONGEST // 7),
    ],
    ids=lambda text: text[:7],
)
def test_the_longest_replies_are_read(text):
    dashes = Space("dashes", LAYERS.positions, template="-".join(["{}"] * 8))
    for space in (LAYERS, CELLS, dashes):
        for design in designs_in(text, space):
            space.check(design)


def test_every_design_of_the_recorded_conversation_is_read():
    folder = Path(os.environ.get("NASMITH_DATA") or Path(__file__).parents[3] / "shared/data/genius")
    file = folder / "chat_329M.json"
    if not file.is_file():
        pytest.skip(f"the recorded conversation is not there: {file}. Say where by NASMITH_DATA")
    replies = [turn["content"] for turn in json.loads(file.read_text()) if turn["role"] == "assistant"]
    assert len(replies) > 20
    for reply in replies:
        rows = re.findall(r"Stage \d \(Layer \d+ to Layer \d+\):\s*\[([\d, ]+)\]", reply)
        expected = tuple(int(word) for row in rows for word in row.split(","))
        assert len(expected) == 30
        assert designs_in(reply, MOBILE) == [expected]
        assert design_in(reply, MOBILE) == expected
