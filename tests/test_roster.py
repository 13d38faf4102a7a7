from dataclasses import replace

import pytest

from framed import METHOD, TWO, frame_of
from nasmith.proposals import Reply
from nasmith.propose import requests
from nasmith.roster import Roster, identity
from nasmith.testing import ToyTask
from nasmith.types import Brief, Completion, Description, Sampling

TASK = ToyTask()


def roster_with_seeds():
    roster = Roster(TASK.describe())
    return roster, roster.plant(TASK.seeds())


def reply_to(roster, texts, step=0):
    facts = {"num_params": "30", "val_accuracy": "0.5"}
    brief = Brief("crossover", (1, 2), (facts, facts), facts, Sampling(len(texts), 0.5, 1), 2)
    (planned,) = requests(brief, [roster[1], roster[2]], TASK.describe())
    completions = [Completion(planned.request.prompt, text, "m", 1, 1) for text in texts]
    return Reply(step, 4, 2, planned, completions, False)


def test_seeds_come_first_and_children_are_numbered_after_them():
    roster, seeds = roster_with_seeds()
    assert [(c.id, c.label, c.step) for c in seeds] == [(1, "narrow", -1), (2, "wide", -1)]
    children = roster.born(
        reply_to(roster, ["\n    return [\n        7,\n    ]\n", "\n    return [\n        8,\n    ]\n"], step=3)
    )
    assert [(c.id, c.step, c.index, c.round, c.parents) for c in children] == [(3, 3, 4, 2, (1, 2)), (4, 3, 5, 2, (1, 2))]
    assert len(roster) == 4
    assert 4 in roster
    assert 5 not in roster


def test_a_program_that_differs_in_layout_alone_is_a_twin():
    roster, _ = roster_with_seeds()
    same, other = roster.born(reply_to(roster, ["\n    return [90]  # as wide\n", "\n    return [91]\n"]))
    assert roster.twin(same) == 2
    assert roster.twin(other) is None


def test_a_lesson_is_the_prompt_and_the_program_from_where_it_ends():
    roster, _ = roster_with_seeds()
    reply = reply_to(roster, ["\n    return [5]\n\n\nprint('more')"])
    (child,) = roster.born(reply)
    lesson = roster.lesson(child.id)
    assert lesson.prompt == reply.planned.request.prompt
    assert lesson.text.strip() == "return [5]"


def test_what_is_no_program_has_no_identity():
    assert identity("def Model():\n    return [1]\n")
    with pytest.raises(ValueError, match="line 1"):
        identity("def Model(:")
    with pytest.raises(ValueError, match="the reply was empty"):
        identity("  \n")


def test_a_child_that_is_no_program_has_a_flaw_and_the_reply_that_it_came_from():
    roster, (seed, _) = roster_with_seeds()
    broken, sound = roster.born(reply_to(roster, ["(:", "\n    return [5]\n"]))
    assert broken.canonical == ""
    assert "line 1" in roster.flaw(broken)
    assert (roster.flaw(sound), roster.flaw(seed)) == ("", "")
    assert roster.completion(broken).text == "(:"
    assert roster.completion(seed) is None


def test_the_name_that_a_program_defines_belongs_to_its_identity():
    net, other = "def Net():\n    return [1]\n", "def Other():\n    return [1]\n"
    assert identity(net) == identity(other)
    for entry in ("Net", ""):
        assert identity(net, entry=entry) != identity(other, entry=entry)
    roster = Roster(replace(TASK.describe(), first_line=""))
    first, second = roster.plant({"net": net, "other": other})
    assert first.canonical != second.canonical
    assert roster.twin(second) is None


@pytest.mark.parametrize(("text", "first_line"), [(METHOD, "class Model(nn.Module):"), (TWO, "")])
def test_programs_with_fixed_parts_are_told_apart_by_what_they_do(text, first_line):
    frame = frame_of("two" if text is TWO else "method")
    roster = Roster(Description("framed", first_line, fixed=frame.fixed))
    parts = frame.parts(text)
    same = frame.joined([f"{parts[0]}{' ' * (len(parts[0]) - len(parts[0].lstrip()))}# why\n", *parts[1:]])
    changed = frame.joined([parts[0].replace("10", "11").replace("relu", "tanh"), *parts[1:]])
    one, two, three = roster.plant({"a": text, "b": same, "c": changed})
    assert one.canonical == two.canonical != three.canonical
    assert roster.twin(two) == one.id
