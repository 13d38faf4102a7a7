from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.recorded_chat import Record, Turn, compared, read_record

DESIGN = [1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 4, 0, 4, 3, 0, 0, 4, 3, 0, 4, 4, 0, 5, 0, 5, 5, 5, 0]
OTHER = [*DESIGN[:-2], 4, 0]
FAILS = "The design fails to meet the FLOPS constraint"
PROBLEM = "Please choose 30 operations. The total FLOPS must remain in [270, 330]."


def experiments(*rows: tuple[list[int], int, float]) -> str:
    told = "This design satisfies the FLOPS constraint, achieving a total of {} FLOPS. We achieved an accuracy of {}%."
    listed = [f"- Experiment{n}\nAll: {design}\n{told.format(flops, acc)}" for n, (design, flops, acc) in enumerate(rows, 1)]
    return PROBLEM + "\nWe have conducted several experiments:\n" + "\n\n".join(listed)


def write(folder: Path, *messages: str, system: bool = True) -> Path:
    """Messages in turns: "s" for a new iteration, "a:…" for an answer, other text for the user."""
    found = []
    for message in messages:
        role = {"s": "system", "a": "assistant"}.get(message[:1] if message[:2] in ("s:", "a:") else "", "user")
        found.append({"role": role, "content": message[2:] if role != "user" else message})
    path = folder / "chat.json"
    path.write_text(json.dumps(found))
    return path


@pytest.mark.parametrize(
    ("said", "decision", "amount"),
    [
        (f"{FAILS}, resulting 362 FLOPS, which is 32 FLOPS higher the upper bound of 330.", "above", 362),
        (f"{FAILS}, resulting 250 FLOPS, which is 20 FLOPS lower the lower bound of 270.", "below", 250),
        ("The result of 401.6M FLOPs exceeds the limit.", "above", 402),
        ("The design is already being tested, please avoid suggesting it.", "repeated", None),
        ("This design has already been tested. Please avoid repeating it.", "repeated", None),
        ("The design satisfies the constraint with a total of 329 FLOPS. We achieved an accuracy of 72.61%.", "in range", 329),
    ],
)  # fmt: skip
def test_what_is_said_of_an_answer_is_what_was_decided(tmp_path, said, decision, amount):
    record = read_record(write(tmp_path, "s:You design.", PROBLEM, f"a:{DESIGN}", said, f"a:{OTHER}"))
    first, last = record.answers
    assert (first.message, first.decision, first.amount) == (2, decision, amount)
    assert first.accuracy == (72.61 if decision == "in range" else None)
    assert (last.decision, last.amount) == ("", None)
    assert (record.flops.least, record.flops.most) == (270, 330)


def test_an_answer_before_a_new_iteration_is_the_last_experiment_listed_there(tmp_path):
    rows = ((DESIGN, 329, 72.61), (OTHER, 328, 72.5))
    path = write(
        tmp_path, "s:", PROBLEM, f"a:{DESIGN}", "s:", experiments(rows[0]), f"a:{OTHER}", "s:", experiments(*rows), "a:no idea"
    )
    first, second, last = read_record(path).answers
    assert (first.decision, first.amount, first.accuracy, first.listed) == ("in range", 329, 72.61, tuple(DESIGN))
    assert (second.amount, second.accuracy, second.listed) == (328, 72.5, tuple(OTHER))
    assert last.decision == ""


def test_other_bounds_and_newer_forms_are_read(tmp_path):
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "FLOPs in [370, 430], please"}]},
        {"role": "assistant", "content": [{"type": "text", "text": str(DESIGN)}]},
    ]
    path = tmp_path / "chat.json"
    path.write_text(json.dumps({"model": "m", "messages": messages}))
    record = read_record(path)
    assert (record.flops.least, record.flops.most) == (370, 430) and record.answers[0].text == str(DESIGN)


def test_the_published_record(record, tmp_path):
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(record))
    found = read_record(path)
    decisions = [answer.decision for answer in found.answers]
    assert (len(decisions), decisions.count("in range"), decisions.count("above"), decisions[-1]) == (26, 9, 16, "")
    accuracies = [answer.accuracy for answer in found.answers if answer.decision == "in range"]
    assert accuracies == [71.71, 72.46, 72.39, 72.61, 72.53, 72.42, 72.07, 72.47, 72.27]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("3", "holds something else: a record is a JSON list of messages"),
        ('[{"role": "user"}]', "holds something else"),
        ('[{"role": "user", "content": "no range"}]', "names no range of FLOPs"),
        ('[{"role": "user", "content": "in [270, 330]"}]', "holds no answer"),
        ('[{"role": "user", "content": "in [330, 270]"}, {"role": "assistant", "content": ""}]', "smaller number comes first"),
    ],
)
def test_what_is_no_record_is_told(tmp_path, content, message):
    (tmp_path / "chat.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_record(tmp_path / "chat.json")
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        read_record(tmp_path / "nothing.json")


def played(tmp_path, *turns: Turn, told: int = 329):
    record = read_record(
        write(tmp_path, "s:", PROBLEM, f"a:{DESIGN}", "s:", experiments((DESIGN, told, 72.61)), f"a:{OTHER}", "already tested")
    )
    assert isinstance(record, Record)
    return compared(record, turns)


def test_agreement_is_said(tmp_path):
    found = played(tmp_path, Turn(2, tuple(DESIGN), "in range", 329), Turn(5, tuple(OTHER), "repeated", 328))
    assert found.differences == found.notes == ()
    assert found.lines()[-1] == "2 answers, no differences" and found.lines()[1] == (
        "      2      329  in range    in range      329  72.61%"
    )
    assert max(map(len, found.lines())) <= 80 and json.loads(json.dumps(found.as_json()))["turns"][1]["amount"] == 328


@pytest.mark.parametrize(
    ("first", "last", "told", "message"),
    [
        (Turn(2, tuple(DESIGN), "above", 340), "repeated", 329, "the record decided 'in range', nasmith 'above' (340 M FLOPs)"),
        (Turn(2, tuple(DESIGN), "in range", 329), "unreadable", 329, "nasmith found no design: 29 numbers"),
        (Turn(2, tuple(DESIGN), "in range", 329), "repeated", 317, "told 317 M FLOPs; the table's sum"),
    ],
)
def test_disagreement_is_listed(tmp_path, first, last, told, message):
    found = played(tmp_path, first, Turn(5, None, last, why="29 numbers"), told=told)
    assert len(found.differences) == 1 and message in found.differences[0]
    assert found.lines()[-1] == "2 answers, 1 difference"


def test_what_is_odd_in_a_record_is_noted(tmp_path):
    moved = [*DESIGN[:6], 1, 1, 0, 1, 1, 0, *DESIGN[12:]]
    found = played(tmp_path, Turn(2, tuple(OTHER), "in range", 329), Turn(5, tuple(OTHER), "repeated"))
    assert "lists another design than the answer's as experiment 1" in found.notes[0]
    record = read_record(write(tmp_path, PROBLEM, f"a:{DESIGN}", "accuracy of 1%", f"a:{moved}", "accuracy of 2%"))
    found = compared(record, [Turn(1, tuple(DESIGN), "in range", 329), Turn(3, tuple(moved), "in range", 329)])
    assert found.notes == ("message 3: its design is the same network as that of message 1.",)
