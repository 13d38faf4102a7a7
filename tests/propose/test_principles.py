from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nasmith.propose.principles import principles_in
from nasmith.space import Choice, Position, Space
from nasmith.testing import TOY_SPACE


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Principles:\n1. Be wide.\n2. Be deep.\n\nDesign: [2, 2, 2, 2]", ["Be wide.", "Be deep."]),
        ("Steps:\n- first\n\n## Design principles\n\n- Be wide.\n- Be deep.\n[2, 2, 2, 2]\n- no", ["Be wide.", "Be deep."]),
        (
            "1. Which is wide?\nThe second.\n2. Where?\nAt the end,\nmostly.\n\n[0, 0, 2, 2]",
            ["The second.", "At the end, mostly."],
        ),
        ("**Principles**\n1) **Be wide.**\n   Really.\n\n0022", ["Be wide. Really."]),
        ("<think>1. No.</think>1. Yes.\n[0, 0, 2, 2]", ["Yes."]),
        ("A wide layer has to come before every narrow one, and never after it.\n\n[0, 0, 2, 2]", None),
        ("Here it is: [0, 0, 2, 2]\n1. It is wide.", []),
        ("Sure!\n[0, 0, 2, 2]", []),
        ("[0, 0, 2, 2]", []),
        ("", []),
    ],
)
def test_principles_are_what_stands_before_the_design(reply, expected):
    whole = ["A wide layer has to come before every narrow one, and never after it."]
    assert principles_in(reply, TOY_SPACE) == (whole if expected is None else expected)


def test_long_ones_are_cut():
    reply = "\n".join(f"{number}. {'word ' * 100}" for number in range(1, 9)) + "\n[0, 0, 0, 0]"
    principles = principles_in(reply, TOY_SPACE)
    assert 1 < len(principles) < 8 and sum(map(len, principles)) < 1600
    assert principles[-1].endswith(" ...")


def test_those_of_the_recorded_conversation_are_the_four_that_its_authors_took():
    folder = Path(os.environ.get("NASMITH_DATA") or Path(__file__).parents[3] / "shared/data/genius")
    file = folder / "chat_329M.json"
    if not file.is_file():
        pytest.skip(f"the recorded conversation is not there: {file}. Say where by NASMITH_DATA")
    turns = [turn["content"] for turn in json.loads(file.read_text())]
    space = Space("mobile", tuple(Position(f"{n}", tuple(Choice(str(i), f"op{i}") for i in range(7))) for n in range(30)))
    principles = principles_in(turns[2], space)
    assert len(principles) == 4
    stated = turns[4].partition("design principles:")[2]
    assert all(principle in " ".join(stated.split()) for principle in principles)
