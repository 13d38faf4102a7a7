from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nasmith.chat_playing import play

ROOT = Path(__file__).parents[1]
GENIUS_329 = [1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 4, 0, 4, 3, 0, 0, 4, 3, 0, 4, 4, 0, 5, 0, 5, 5, 5, 0]
LARGE = [*GENIUS_329[:-1], 6]
SMALL = [1, *[0] * 29]
NAMES = ["skip", "ir_k3_e4", "ir_k5_e4", "ir_k7_e4", "ir_k3_e6", "ir_k5_e6", "ir_k7_e6"]
ABOVE = "fails to meet the FLOPS constraint, resulting {} FLOPS, which is {} FLOPS higher the upper bound of {}."


def stages(design: list[int]) -> str:
    return "\n".join(f"Stage {n + 1}: {design[6 * n : 6 * n + 6]}" for n in range(5))


def write(folder: Path, *turns: tuple[str, str], low: int = 270, high: int = 330) -> Path:
    """A record of answers with what was said of each."""
    messages = [{"role": "system", "content": "You design."}, {"role": "user", "content": f"FLOPS remain in [{low}, {high}]"}]
    for answer, said in turns:
        messages.append({"role": "assistant", "content": answer})
        if said:
            messages.append({"role": "user", "content": said})
    path = folder / "chat.json"
    path.write_text(json.dumps(messages))
    return path


def test_the_published_record_plays_through():
    folder = Path(os.environ.get("NASMITH_DATA", ROOT.parent / "shared" / "data" / "genius"))
    if not (folder / "chat_329M.json").is_file():
        pytest.skip(f"no chat_329M.json in {folder}: name the folder with the published files by NASMITH_DATA")
    played = play(folder / "chat_329M.json")
    recorded = [answer.decision for answer in played.answers]
    assert [turn.decision for turn in played.turns][:-1] == recorded[:-1] and played.turns[-1].decision == "in range"
    told = [(turn.message, turn.amount, a.amount) for turn, a in zip(played.turns, played.answers, strict=True) if a.decision]
    assert [row for row in told if row[1] != row[2]] == [(9, 312, 317)]
    assert len(played.differences) == 1 and "message 9: the record told 317 M FLOPs" in played.differences[0]
    assert len(played.notes) == 1 and "experiment 5" in played.notes[0]


@pytest.mark.parametrize(
    "answer",
    [
        f"I propose {GENIUS_329}.",
        stages(GENIUS_329),
        "The design: " + "".join(map(str, GENIUS_329)),
        "The operations are " + ", ".join(map(str, GENIUS_329)) + ".",
        "[" + ", ".join(NAMES[choice] for choice in GENIUS_329) + "]",
        f"Stage 1 was [1, 0, 0, 0, 0, 0] before. In all:\n```\n{GENIUS_329}\n```\nIt remains in [270, 330].",
        "[1,0,0,0,1,0 | 1,0,1,1,1,0 | 4,0,4,3,0,0 | 4,3,0,4,4,0 | 5,0,5,5,5,0]",
    ],
)
def test_a_design_is_found_however_it_is_written(tmp_path, answer):
    played = play(write(tmp_path, (answer, "satisfies the constraint: a total of 329 FLOPS, an accuracy of 72.61%")))
    (turn,) = played.turns
    assert (turn.design, turn.decision, turn.amount) == (tuple(GENIUS_329), "in range", 329) and not played.differences


def test_each_decision_is_that_of_the_record(tmp_path):
    played = play(
        write(
            tmp_path,
            (stages(LARGE), ABOVE.format(355, 25, 330)),
            (stages(SMALL), "fails the FLOPS constraint, resulting 45 FLOPS, which is 225 FLOPS lower the lower bound of 270."),
            (stages(GENIUS_329), "satisfies the constraint with a total of 329 FLOPS; accuracy of 72.61%"),
            (stages(GENIUS_329), "The design is already being tested, please avoid."),
            (stages(LARGE), ABOVE.format(355, 25, 330)),
            (stages(GENIUS_329[:-1]), ""),
        )
    )
    assert [turn.decision for turn in played.turns] == ["above", "below", "in range", "repeated", "above", "unreadable"]
    assert played.turns[-1].design is None and "29 numbers; 30 are needed" in played.turns[-1].why
    assert played.differences == ()


def test_other_bounds_and_wrong_numbers_show(tmp_path):
    turns = ((stages(LARGE), ABOVE.format(444, 14, 430)), (stages(GENIUS_329), "already tested"))
    played = play(write(tmp_path, *turns, low=370, high=430))
    assert [turn.decision for turn in played.turns] == ["below", "below"] and len(played.differences) == 2
    assert played.differences[0] == "message 2: the record decided 'above', nasmith 'below' (355 M FLOPs)."
