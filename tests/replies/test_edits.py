from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framed import FRAMED, METHOD, TWO, frame_of
from nasmith.replies import LONGEST, NoEditsError, apply_edits, end_of_edits
from programs import CLASSES, PROGRAMS

CNN = PROGRAMS["reference_cnn"]
OLD = "        nn.LazyConv1d(25, kernel_size=5, stride=2, padding=1),\n"
NEW = "        nn.LazyConv1d(12, kernel_size=7, stride=4),\n        nn.BatchNorm1d(12),\n"


def block(search, replace):
    return f"<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def diff(old, new, context=3):
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "a/model.py", "b/model.py", lineterm="", n=context)
    return "\n".join(lines) + "\n"


EDITED = CNN.replace(OLD, NEW)
FORMS = {
    "a block": block(OLD, NEW),
    "a fence": f"I widen it.\n\n```python\n{block(OLD, NEW)}```\nDone.",
    "a block in small letters": block(OLD, NEW).replace("SEARCH", "search").replace("REPLACE", "replace"),
    "a block without the last word": block(OLD, NEW).replace(" REPLACE", ""),
    "a file's name": "model.py\n" + block(OLD, NEW),
    "thinking": f"<think>{block(NEW, OLD)}</think>{block(OLD, NEW)}",
    "blanks at the ends of lines": block(OLD.replace("\n", "  \n"), NEW),
    "another indentation": block(OLD.lstrip(), "".join(line[8:] for line in NEW.splitlines(keepends=True))),
    "too much indentation": block("    " + OLD, "".join("    " + line for line in NEW.splitlines(keepends=True))),
    "blank lines around": block(f"\n{OLD}\n", NEW),
    "two blocks": block(OLD, "        x,\n") + "\n" + block("        x,\n", NEW),
    "a diff": diff(CNN, EDITED),
    "a diff in a fence": f"So:\n```diff\n{diff(CNN, EDITED)}```\nDone.",
    "a diff without numbers": "```diff\n@@\n-" + OLD + "".join("+" + line for line in NEW.splitlines(keepends=True)) + "```",
    "a diff without context": diff(CNN, EDITED, context=0),
}


@pytest.mark.parametrize("lines", [str, lambda text: text.replace("\n", "\r\n")])
@pytest.mark.parametrize("form", FORMS)
def test_an_edit_is_made_in_whatever_form_it_comes(form, lines):
    assert apply_edits(CNN, lines(FORMS[form])) == EDITED


def test_lines_can_be_deleted_and_inserted():
    assert apply_edits(CNN, block(OLD, "")) == CNN.replace(OLD, "")
    assert apply_edits(CNN, block(OLD, OLD + NEW)) == CNN.replace(OLD, OLD + NEW)


def test_a_line_is_no_part_of_a_longer_one():
    text = "def Model():\n    ax = 1\n    x = 1\n    return x\n"
    assert apply_edits(text, block("    x = 1\n", "    x = 2\n")) == text.replace("    x = 1", "    x = 2")


def test_as_it_is_written_goes_before_another_indentation():
    text = "def Model():\n    x = 1\n    if x:\n        x = 1\n    return x\n"
    edited = apply_edits(text, block("        x = 1\n", "        x = 2\n"))
    assert edited == "def Model():\n    x = 1\n    if x:\n        x = 2\n    return x\n"


def test_the_lines_of_a_search_keep_their_indentation_to_one_another():
    text = "if a:\n    b\n    c\nif a:\n    b\n        # deeper\n    c\n"
    edited = apply_edits(text, block("  if a:\n      b\n      c\n", "  if d:\n      e\n\n"))
    assert edited == "if d:\n    e\n\nif a:\n    b\n        # deeper\n    c\n"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "the reply was empty"),
        ("I would widen it.", "the reply holds no SEARCH/REPLACE block"),
        ("```diff\n```", "the reply holds no SEARCH/REPLACE block"),
        (f"```python\n{CNN}```", "the reply holds no SEARCH/REPLACE block"),
        (
            block("        nn.Tanh(),\n", NEW),
            "the SEARCH text of edit 1 does not occur in the program; .*'nn.Tanh.*",
        ),
        (block(OLD, NEW) * 2, "the SEARCH text of edit 2 does not occur in the program; it begins with .*"),
        (block("        nn.ReLU(),\n", NEW), "the SEARCH text of edit 1 occurs more than once in the program"),
        (block("nn.ReLU(),\n", NEW), "the SEARCH text of edit 1 occurs more than once in the program"),
        (block("", NEW), "the SEARCH text of edit 1 is empty"),
        (block(" \n\n", NEW), "the SEARCH text of edit 1 is empty"),
        ("@@ -0,0 +1 @@\n+        nn.ReLU(),\n", "the SEARCH text of edit 1 is empty"),
        (block(OLD, OLD), "the edits change nothing"),
        (block(OLD, NEW) + block(NEW, OLD), "the edits change nothing"),
        (block(OLD, NEW)[:-20], "edit 1 has no line >>>>>>> REPLACE"),
        (block(OLD, NEW) + "<<<<<<< SEARCH\n" + OLD, "edit 2 has no line ======="),
        ("<<<<<<< SEARCH\n" + block(OLD, NEW), "edit 1 has no line ======="),
        (block(OLD, "        nn.Tanh(,\n"), "with the edits the program does not parse: line 2: .* was never closed"),
        (block(OLD, NEW) * 101, "the reply has 101 edits, more than 100"),
        (" " * 10_485_760, "the reply has 10,485,760 characters, more than 200,000"),
    ],
)
def test_an_edit_that_cannot_be_made_says_why(reply, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        apply_edits(CNN, reply)


def test_edits_cannot_make_a_program_too_long():
    long = CNN + "#" * (LONGEST - len(CNN) - 10) + "\n"
    with pytest.raises(ValueError, match=r"the edited program has 200,0.. characters, more than 200,000"):
        apply_edits(long, block(OLD, NEW))


def unique_lines(number):
    return [f"x{line} = {line}" for line in range(number)]


@given(st.data())
def test_edits_of_random_lines_give_the_program_that_they_were_made_for(data):
    old = unique_lines(data.draw(st.integers(2, 20)))
    changed = sorted(data.draw(st.sets(st.integers(0, len(old) - 1), min_size=1)))
    new, blocks = list(old), []
    for place in changed:
        lines = [f"y{place}_{number} = {number}" for number in range(data.draw(st.integers(0, 3)))]
        new[place] = "\n".join(lines) if lines else None
        search = "\n".join(old[place : place + 1])
        blocks.append(block(search + "\n", "".join(line + "\n" for line in lines)))
    wanted = "\n".join(line for line in new if line is not None) + "\n"
    text = "\n".join(old) + "\n"
    order = data.draw(st.permutations(blocks))
    if wanted.strip():
        assert apply_edits(text, "\n".join(order)) == wanted
        assert end_of_edits("\n".join(order)) is not None


@settings(max_examples=200)
@given(st.data())
def test_a_diff_gives_the_program_that_it_was_made_for(data):
    program = data.draw(st.sampled_from([*PROGRAMS.values(), CLASSES]))
    lines = program.splitlines()
    place = data.draw(st.integers(1, len(lines) - 1))
    lines[place:place] = data.draw(st.lists(st.sampled_from(["", "# note", "    # inner"]), min_size=1, max_size=3))
    changed = "\n".join(lines) + "\n"
    try:
        assert apply_edits(program, diff(program, changed)) == changed
    except ValueError as error:
        assert "more than once" in str(error) or "change nothing" in str(error)


PARTS = [
    "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "<<<<<<<", ">>>>>>>", "@@\n", "--- a\n", "+++ b\n", "-", "+", " ",
    "\n", OLD, NEW, "```\n", "<think>", "</think>", "\\", "\r", "x",
]  # fmt: skip
NOISE = st.text() | st.lists(st.sampled_from(PARTS), max_size=30).map("".join)


@settings(max_examples=400)
@given(NOISE | NOISE.map(lambda text: text + block(OLD, NEW)))
def test_any_text_gives_a_program_or_a_reason(reply):
    try:
        assert apply_edits(CNN, reply) != CNN
    except ValueError as error:
        assert str(error)
    end = end_of_edits(reply)
    assert end is None or 0 <= end <= len(reply)


@pytest.mark.parametrize("part", [" ", "`", "<", "<<<<<<< SEARCH\n", "@@\n", "@@\n-x\n", "-\n", "=======\n", block("x\n", "")])
def test_the_longest_replies_are_read(part):
    """In time that grows with the square of the length this would take hours."""
    for text in ("x\n" * (LONGEST // 2), " " * LONGEST, CNN):
        for length in (LONGEST, 10 * 1024 * 1024):
            with pytest.raises(ValueError, match=r"\w"):
                apply_edits(text, "@@\n" + (part * (length // len(part)))[:length])


def test_a_program_that_repeats_itself_is_searched():
    line = "x\n"
    text = line * (LONGEST // 2 - 100)
    with pytest.raises(ValueError, match="more than once"):
        apply_edits(text, block(line * 40_000, "y\n"))
    with pytest.raises(ValueError, match="does not occur"):
        apply_edits(text, block(line * 40_000 + "y\n", "y\n"))


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        ("", None),
        ("No edits.", None),
        (block(OLD, NEW), len(block(OLD, NEW)) - 1),
        (block(OLD, NEW) + "That is all.", len(block(OLD, NEW)) - 1),
        ("<think>\n" + block(OLD, NEW), None),
        (block(OLD, NEW) + "<<<<<<< SEARCH\n", None),
        ("```\n" + block(OLD, NEW), None),
        ("```\n" + block(OLD, NEW) + "```\n", len(block(OLD, NEW)) + 7),
        ("```\n" + block(OLD, NEW) + "```python\nx", None),
        ("~~~\n" + block(OLD, NEW) + "```\n~~~", len(block(OLD, NEW)) + 11),
        (block("```\n", "```\n"), len(block("```\n", "```\n")) - 1),
    ],
)
def test_edits_end_where_the_last_is_closed(reply, end):
    assert end_of_edits(reply) == end


# Programs of which only marked parts may change.


RELU = "        y = torch.relu(y)\n"
GELU = "        y = torch.tanh(y)\n"


@pytest.mark.parametrize("name", ["method", "windows"])
@pytest.mark.parametrize(
    "edits",
    [
        block(RELU, GELU),
        block(f"{RELU}        # nasmith: end\n        return x + y\n", f"{GELU}        # nasmith: end\n        return x + y\n"),
        block("    def forward(self, x):\n        # nasmith: begin\n        y = self.layer(x)\n" + RELU,
              "    def forward(self, x):\n        # nasmith: begin\n        y = self.layer(x)\n" + GELU),
        block(RELU.strip() + "\n", GELU.strip() + "\n"),
        diff(METHOD, METHOD.replace(RELU, GELU)),
    ],
)  # fmt: skip
def test_an_edit_between_the_marks_leaves_the_rest_as_it_is(edits, name):
    ends = "\r\n" if name == "windows" else "\n"
    changed = "".join(frame_of(name).parts(apply_edits(FRAMED[name], edits, frame_of(name))))
    assert changed == f"        y = self.layer(x)\n{GELU}"
    assert ends in frame_of(name).fixed[0]


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        (
            block("import torch\n", "import torch as t\n"),
            "edit 1 touches what may not change: line 1 is fixed: 'import torch' became",
        ),
        (
            block(RELU, GELU) + block("        return x + y\n", "        return y\n"),
            "edit 2 touches .* line 15 is fixed: 'return x",
        ),
        (
            block("        # nasmith: end\n", ""),
            "edit 1 touches what may not change: line 11: a part that may change begins and does",
        ),
        (block(RELU, f"{RELU}        # nasmith: end\n"), "edit 1 touches what may not change: line 15: .* none has begun"),
        (block("        return self.block(x)\n", ""), "edit 1 touches what may not change: line 24 is fixed: 'return self"),
        (block("import torch\n", "# torch\nimport torch\n"), "edit 1 touches what may not change: line 1 is fixed"),
        (block("import torch\n", "import os\n") + block("import os\n", "import torch\n"), "edit 1 touches what may not change"),
    ],
)
def test_an_edit_of_a_fixed_line_is_refused_with_the_line(edits, reason):
    with pytest.raises(ValueError, match=f"^{reason}"):
        apply_edits(METHOD, edits, frame_of("method"))


def test_edits_cannot_put_what_is_fixed_into_a_string():
    edits = block("SCALE = 0.5\n", "SCALE = '''\n") + block(
        "def search(bounds=(-5, 5)):\n", "'''\ndef search(bounds=(-5, 5)):\n"
    )
    with pytest.raises(ValueError, match=r"line 7: the mark .* stands within a string"):
        apply_edits(TWO, edits, frame_of("two"))


def test_a_reply_without_edits_can_be_told_from_others():
    for frame in (None, frame_of("method")):
        with pytest.raises(NoEditsError):
            apply_edits(METHOD, f"```python\n{METHOD}```", frame)


FRAMED_PARTS = [
    *PARTS, "# nasmith: begin\n", "        # nasmith: end\n", RELU, GELU, "        return x + y\n", "import torch\n", "'''\n",
    block(RELU, GELU), "STEPS = 10\n", "SCALE = 0.5\n", "# EVOLVE-BLOCK-END\n", "\r\n",
]  # fmt: skip
FRAMED_NOISE = st.lists(st.sampled_from(FRAMED_PARTS), max_size=12).map("".join)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.builds(block, FRAMED_NOISE, FRAMED_NOISE) | FRAMED_NOISE, max_size=4).map("".join), st.sampled_from([*FRAMED])
)
def test_whatever_edits_say_what_is_fixed_stays(reply, name):
    frame = frame_of(name)
    try:
        edited = apply_edits(FRAMED[name], reply, frame)
    except ValueError as error:
        assert str(error)
    else:
        assert frame.joined(frame.parts(edited)) == edited
