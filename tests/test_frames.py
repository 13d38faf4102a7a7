from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framed import FRAMED, METHOD, TWO, WINDOWS, frame_of
from nasmith.frames import Frame, agree, end_at_mark, marks_in

BODY = "        z = x * 2\n"
METHOD_PARTS = "        y = self.layer(x)\n        y = torch.relu(y)\n"
CHANGED = METHOD.replace(METHOD_PARTS, BODY)


@pytest.mark.parametrize("name", FRAMED)
def test_the_parts_of_a_text_make_the_text(name):
    frame, text = frame_of(name), FRAMED[name]
    assert frame.joined(frame.parts(text)) == text
    assert len(frame.fixed) == len(frame.parts(text)) + 1


def test_the_lines_of_the_marks_are_fixed():
    frame = frame_of("method")
    assert frame.parts(METHOD) == (METHOD_PARTS,)
    assert frame.fixed[0].endswith("        # nasmith: begin\n")
    assert frame.fixed[1].startswith("        # nasmith: end\n")
    assert frame_of("two").marks == (
        "# EVOLVE-BLOCK-START: settings",
        "# EVOLVE-BLOCK-END",
        "# EVOLVE-BLOCK-START",
        "# EVOLVE-BLOCK-END",
    )


def test_ends_of_lines_are_kept():
    assert all("\n" not in part.replace("\r\n", "") for part in frame_of("windows").fixed)
    assert frame_of("windows").joined(["        z = 1"]).replace("\r\n", "\n") == METHOD.replace(
        METHOD_PARTS, "        z = 1\n"
    )


def test_a_text_without_marks_has_no_frame():
    assert Frame.of("def Model():\n    return 1  # nasmith: begin\n") is None
    assert Frame.of("# nasmith: beginning\n# EVOLVE-BLOCK-STARTED\n") is None
    assert Frame.of_parts(()) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\n# nasmith: end\n", "line 2: a part that may change ends, and none has begun"),
        ("a\n\n  # nasmith: begin\nb\n", "line 3: a part that may change begins and does not end"),
        ("# EVOLVE-BLOCK-START\n# nasmith: begin\n# nasmith: end\n", "line 2: .* begins inside of that of line 1"),
        ("x = '''\n# nasmith: begin\n# nasmith: end\n'''\n", "line 2: the mark of a part .* stands within a string"),
        ("a\r\nb\r# nasmith: end\r\n", "line 3: .* none has begun"),
    ],
)
def test_marks_without_order_are_refused_with_the_line(text, reason):
    with pytest.raises(ValueError, match=f"^{reason}"):
        Frame.of(text)


def test_lines_are_those_of_python():
    """A form feed and other separators end a line for `str.splitlines`, and not for Python."""
    text = "x = '\u2028# nasmith: end'\n\x0c# nasmith: begin\n# nasmith: begin\ny = 1\n# nasmith: end\n"
    frame = Frame.of(text)
    assert frame is not None and frame.parts(text) == ("y = 1\n",)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("import torch\n", "import torch as t\n", "line 1 is fixed: 'import torch' became 'import torch as t'"),
        ("self.block = Block(8)  # fixed\n", "self.block = Block(9)\n", "line 21 is fixed: 'self.block = Block"),
        ("return x + y\n", "return x + y \n", "line 15 is fixed: the blanks or the line end of 'return x \\+ y'"),
        ("        # nasmith: end\n", "    # nasmith: end\n", "line 14 is fixed: the blanks"),
        ("import torch\n", "", "line 1 is fixed: 'import torch' became 'from torch import nn'"),
        ("        return self.block(x)\n", "", "line 24 is fixed: 'return self.block\\(x\\)' is missing"),
        ("self.block(x)\n", "self.block(x)\nprint(1)\n", "line 25 is fixed: 'print\\(1\\)' is new"),
        ("        # nasmith: begin\n", "", "line 13: a part that may change ends"),
        ("self.block(x)\n", "self.block(x)\n# nasmith: begin\n# nasmith: end\n", "line 25 is fixed: '# nasmith: begin' is new"),
    ],
)
def test_a_text_with_other_fixed_parts_is_refused_with_the_line(old, new, reason):
    assert METHOD.count(old) == 1
    with pytest.raises(ValueError, match=f"^{reason}"):
        frame_of("method").parts(METHOD.replace(old, new))


def test_what_differs_in_blanks_at_line_ends_alone_is_restored():
    frame = frame_of("windows")
    assert frame.restored(METHOD.replace("import torch\n", "import torch  \n").rstrip()) == frame.joined([METHOD_PARTS])
    with pytest.raises(ValueError, match="line 1 is fixed"):
        frame.restored(METHOD.replace("import torch\n", "import os\n"))


def test_free_parts_must_be_as_many_and_hold_no_marks():
    with pytest.raises(ValueError, match="the program has 2 parts that may change, and 1 came"):
        frame_of("two").joined(["x = 1\n"])
    for part in ("# nasmith: end\n# nasmith: begin\n", "x\n# EVOLVE-BLOCK-END", "  # nasmith: begin"):
        with pytest.raises(ValueError, match="a mark of a part that may change stands inside of one"):
            frame_of("method").joined([part])


def test_an_outline_shows_where_something_may_stand():
    assert frame_of("method").outline == METHOD.replace(METHOD_PARTS, "        ...\n")
    assert frame_of("two").outline.count("\n...\n") == 2


def test_spans_are_the_lines_between_the_marks():
    lines = METHOD.splitlines(keepends=True)
    ((start, end),) = frame_of("method").spans(METHOD)
    assert "".join(lines[start:end]) == METHOD_PARTS
    assert frame_of("windows").spans(METHOD) == [(start, end)]


# Refitting what somebody wrote.


WRITTEN = {
    "the program": CHANGED,
    "a program that is not what it was around": CHANGED.replace("Block(8)", "Block(9)").replace("x + y", "y"),
    "the part with its marks": f"        # nasmith: begin\n{BODY}        # nasmith: end\n",
    "the part with marks at the margin": "# nasmith: begin\nz = x * 2\n# nasmith: end\n",
    "the part with marks at the margin, indented": f"# nasmith: begin\n{BODY}# nasmith: end\n",
    "the part": BODY,
    "the part at the margin": "z = x * 2\n",
    "the program without marks": "\n".join(line for line in CHANGED.splitlines() if "nasmith" not in line),
    "the program without marks, comments and blank lines": "\n".join(
        line for line in CHANGED.replace("  # fixed", "  # fixed").splitlines() if line.strip() and "nasmith" not in line
    ),
    "the program without marks from the class on": "\n".join(
        line for line in CHANGED[CHANGED.index("class Block") :].splitlines() if "nasmith" not in line
    ),
    "the method alone": f"    def forward(self, x):\n{BODY}        return x + y\n",
    "the method alone at the margin": "def forward(self, x):\n    z = x * 2\n    return x + y\n",
}


@pytest.mark.parametrize("name", ["method", "windows"])
@pytest.mark.parametrize("form", WRITTEN)
def test_a_part_comes_back_in_whatever_form_it_is_written(form, name):
    program = frame_of(name).refit(WRITTEN[form])
    assert [line for line in frame_of(name).parts(program)[0].splitlines() if line.strip()] == [BODY.rstrip()]


def test_a_part_may_begin_with_the_line_before_it():
    text = "def f(x):\n    x = x + 1\n    # nasmith: begin\n    pass\n    # nasmith: end\n    return x\n"
    frame = Frame.of(text)
    assert frame is not None
    assert frame.parts(frame.refit("    x = x + 1\n    return -x\n")) == ("    x = x + 1\n    return -x\n",)
    assert frame.parts(frame.refit("def f(x):\n    x = x + 1\n    x = 2\n    return x\n")) == ("    x = 2\n",)


def test_a_part_may_end_with_the_line_behind_it():
    """Arguments of a call: the bracket behind them is fixed, and the last argument has one of its own."""
    frame = Frame.of("net = Sequential(\n    # nasmith: begin\n    Linear(1, 2),\n    # nasmith: end\n)\n")
    assert frame is not None
    for text in ("Linear(\n    3,\n    4,\n)", "net = Sequential(\n    Linear(\n        3,\n        4,\n    )\n)\n"):
        part = frame.parts(frame.refit(text))[0]
        assert part == "    Linear(\n        3,\n        4,\n    )\n"


def test_several_parts_need_their_marks():
    frame = frame_of("two")
    with pytest.raises(ValueError, match="the program has 2 parts that may change: repeat the lines of their marks"):
        frame.refit("STEPS = 3\n")
    with pytest.raises(ValueError, match="2 parts that may change, and 1 came"):
        frame.refit("# EVOLVE-BLOCK-START\nSTEPS = 3\n# EVOLVE-BLOCK-END\n")
    marks = "# nasmith: begin\n{}\n# nasmith: end\n"
    assert frame.parts(frame.refit(marks.format("A = 1") + marks.format("B = 1"))) == ("A = 1\n", "B = 1\n")


def test_what_is_fixed_cannot_be_put_into_a_string():
    frame = frame_of("two")
    free = ["STEPS = '''\n", "'''\n"]
    for make in (frame.parts, frame.restored, frame.refit):
        with pytest.raises(ValueError, match=r"line 6: the mark .* stands within a string"):
            make(frame.joined(free))


def test_a_part_of_one_line_is_not_indented_twice():
    frame = Frame.of("def f():\n    # nasmith: begin\n    pass\n    # nasmith: end\n")
    assert frame is not None
    for text in ("return 1", "    return 1", "return 1\n", "# nasmith: begin\nreturn 1\n# nasmith: end"):
        assert frame.parts(frame.refit(text)) == ("    return 1\n",)
    assert frame.parts(frame.refit("\treturn 1")) == ("\treturn 1\n",)


PIECES = [
    "# nasmith: begin\n", "# nasmith: end\n", "    # nasmith: begin: why\r\n", "\t# nasmith: end", "# EVOLVE-BLOCK-START\n",
    "# EVOLVE-BLOCK-END\r", "\n", "\r\n", "\r", "'''", '"""', "\\\n", "\u2028", "\x0c", "é = 1\n", "x = 1\n", "    return x\n",
    "import torch\n", METHOD, CHANGED, TWO, WINDOWS, METHOD_PARTS, "class Block(nn.Module):\n", "(", ")", "'", "#",
    "\ufeff", "\0", "\ud800",
]  # fmt: skip
TEXTS = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)


@settings(max_examples=500, deadline=None)
@given(TEXTS, st.sampled_from([*FRAMED]))
def test_whatever_is_written_the_fixed_parts_are_the_same_or_there_is_a_reason(text, name):
    frame = frame_of(name)
    for make in (frame.refit, frame.restored):
        try:
            program = make(text)
        except ValueError as error:
            assert str(error)
            continue
        assert frame.joined(frame.parts(program)) == program
        rest = program
        for part in frame.fixed:
            _, found, rest = rest.partition(part)
            assert found == part
        assert not rest
        assert frame.refit(program) == program == frame.restored(program)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_any_frame_takes_its_own_text_apart(text):
    try:
        frame = Frame.of(text)
    except ValueError as error:
        assert str(error).startswith("line ")
        return
    assert (frame is None) == (marks_in(text) == 0)
    if frame is not None:
        assert frame.joined(frame.parts(text)) == text
        assert frame.refit(text) == text
        assert Frame.of(frame.outline) == frame
        assert len(frame.marks) == marks_in(text)


def test_a_reply_can_be_cut_at_its_first_mark():
    assert end_at_mark("x = 1\r\n  # nasmith: end\n") == len("x = 1\r\n")
    assert end_at_mark("# nasmith: end") == 0
    assert end_at_mark("x = 1  # nasmith: end\n# nasmith") is None


# Seeds.


def test_seeds_agree_where_all_but_the_marked_parts_are_equal():
    assert agree({"a": METHOD, "b": CHANGED}) == frame_of("method").fixed
    assert agree({"a": "x = 1\n", "b": "y = 1\n"}) == ()
    assert agree({}) == ()


@pytest.mark.parametrize(
    ("seeds", "reason"),
    [
        (
            {"a": METHOD, "b": CHANGED.replace("Block(8)", "Block(9)")},
            "seeds 'a' and 'b' differ in what may not change: in 'b', line 20 is fixed: 'self.block = Block\\(8\\)",
        ),
        ({"a": METHOD, "b": "x = 1\n"}, "seeds 'a' and 'b' differ in what may not change: 'b' has no marks"),
        ({"b": "x = 1\n", "a": METHOD}, "seeds 'b' and 'a' differ in what may not change: 'b' has no marks"),
        ({"a": METHOD, "b": WINDOWS}, "seeds 'a' and 'b' differ .* line 1 is fixed: the blanks or the line end of 'import"),
        ({"a": METHOD, "c": TWO}, "seeds 'a' and 'c' differ in what may not change: in 'c', line 1 is fixed"),
        ({"a": METHOD, "b": "# nasmith: begin\n"}, "seed 'b', line 1: a part that may change begins and does not end"),
    ],
)
def test_seeds_that_do_not_agree_are_named_with_the_line(seeds, reason):
    with pytest.raises(ValueError, match=f"^{reason}"):
        agree(seeds)
