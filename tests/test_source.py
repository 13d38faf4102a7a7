from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.canonical import canonical
from nasmith.source import Hole, cuts, definitions, end_of_lines, end_of_program, holes, names
from programs import CLASSES, PROGRAMS


@settings(max_examples=150, deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from([*"()[]{}:=,'\"#\\\n .xX1", "def f", "class A", "return ", "    ", '"""'])).map("".join)
)
def test_any_text_is_read_without_a_crash(text):
    for read in (canonical, definitions, names):
        try:
            read(text)
        except ValueError:
            assert not holes(text)
    end = end_of_program("def Model():", text)
    assert end is None or 0 <= end <= len(text)
    end = end_of_lines("", text)
    assert end is None or 0 <= end <= len(text)


# Ends.


def grow(prefix, reply):
    """Feed a reply character by character, as a language model would; return what is kept, or None."""
    for length in range(len(reply) + 1):
        end = end_of_program(prefix, reply[:length])
        if end is not None:
            return reply[:end]
    return None


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_function_ends_behind_the_line_of_its_return(name):
    first, rest = PROGRAMS[name][: len("def Model():")], PROGRAMS[name][len("def Model():") :]
    assert grow(first, rest + '\n"""Metrics:\n{}\n"""\ndef Model():') == rest
    assert all(end_of_program(first, rest[:length]) is None for length in range(len(rest)))


def test_a_class_ends_where_the_next_line_begins_at_column_0():
    first = "class Model(nn.Module):"
    rest = CLASSES[CLASSES.index(first) + len(first) :]
    assert grow(first, rest + "\n\nprint(1)") == rest + "\n\n"
    assert grow(first, rest) is None


def test_the_prefix_may_be_a_whole_prompt():
    prompt = '"""Metrics:\n{}\n"""\n' + PROGRAMS["gru"] + '\n"""Metrics:\n{}\n"""\ndef Model():'
    assert grow(prompt, "\n    return nn.Linear(40, 10)\n\n") == "\n    return nn.Linear(40, 10)\n"


def test_the_program_may_have_begun_earlier_than_its_last_line():
    assert grow("def Model():\n    return nn.Sequential(\n", "        nn.ReLU(),\n    )\nx") == "        nn.ReLU(),\n    )\n"


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("\nreturn 1\n", "\n"),
        (" return nn.Linear(40, 10)\nx", " return nn.Linear(40, 10)\n"),
        ("\n    if a:\n        return b\n    return c\n\n", "\n    if a:\n        return b\n    return c\n"),
        ('\n    """Doc\n\nreturn\n"""\n    return c\n', '\n    """Doc\n\nreturn\n"""\n    return c\n'),
        ("\n    x = '('  # )\n    return x\ny", "\n    x = '('  # )\n    return x\n"),
        ("\n    # (\n    return f(\n  1)\ny", "\n    # (\n    return f(\n  1)\n"),
        ("\n    return a \\\n        + b\nc", "\n    return a \\\n        + b\n"),
        ("\n    returned = 1\n    return returned\nc", "\n    returned = 1\n    return returned\n"),
    ],
)
def test_a_function_ends_where_python_ends_it(reply, kept):
    assert grow("def Model():", reply) == kept


@pytest.mark.parametrize(
    "reply",
    [
        "\n    return f(1))",
        "\n    return f(1]",
        "\n    x = 'abc\n",
        "\n    return f(\n        1,\ndef Model",
        '\n    f(1,\n"""M',
    ],
)
def test_a_reply_beyond_repair_ends_at_once(reply):
    assert end_of_program("def Model():", reply) is not None


def test_a_line_ends_before_its_newline():
    assert end_of_lines("", "\n        nn.ReLU(),") is None
    assert end_of_lines("", "\n        nn.ReLU(),\n       ") == len("\n        nn.ReLU(),")


def test_a_line_ends_when_its_brackets_are_closed():
    reply = "\n        Residual(\n            nn.ReLU(),\n        ),\n        nn.Flatten()"
    assert reply[: end_of_lines("", reply)] == "\n        Residual(\n            nn.ReLU(),\n        ),"
    assert end_of_lines("", reply[:-25]) is None


def test_a_line_may_have_begun():
    begun = "\n        Residual(nn.LazyConv1d("
    assert end_of_lines(begun, "8, kernel_size=3)") is None
    assert end_of_lines(begun, "8, kernel_size=3),\n            nn.ReLU()),\n") == len(
        "8, kernel_size=3),\n            nn.ReLU()),"
    )
    assert end_of_lines(begun, "8)))") == 0


def test_several_lines_may_be_asked_for():
    reply = "\n  a,\n  b,\n  c,\n"
    assert reply[: end_of_lines("", reply, 2)] == "\n  a,\n  b,"


def test_a_bracket_that_closes_nothing_ends_the_lines_before_it():
    reply = "\n        nn.ReLU(),\n    )\n"
    assert reply[: end_of_lines("", reply, 3)] == "\n        nn.ReLU(),\n"
    assert not "\n    )\n"[: end_of_lines("", "\n    )\n")].strip()


# Holes and definitions.


def test_the_holes_of_a_seed_are_its_layers():
    lines = PROGRAMS["large_cnn"].splitlines()
    assert [lines[hole.start].strip() for hole in holes(PROGRAMS["large_cnn"])] == [line.strip() for line in lines[2:-1]]


def test_a_layer_on_several_lines_is_one_hole():
    text = "def Model():\n    return nn.Sequential(\n        Residual(\n            nn.ReLU(),\n        ),\n"
    text += "        nn.Flatten(),\n    )\n"
    assert holes(text) == [Hole(2, 5), Hole(5, 6)]


def test_layers_that_share_a_line_are_one_hole():
    text = "def Model():\n    return nn.Sequential(\n        nn.ReLU(), nn.Flatten(),\n        nn.ReLU(),\n    )\n"
    assert holes(text) == [Hole(2, 3), Hole(3, 4)]


def test_statements_of_methods_are_holes():
    found = [CLASSES.splitlines()[hole.start].strip() for hole in holes(CLASSES)]
    assert "self.layer = nn.LazyConv1d(width, kernel_size=3, padding=1)" in found
    assert not [line for line in found if line.startswith(("def", "return", "class", '"""'))]


@pytest.mark.parametrize(
    "text", ["", "def f(", "def Model(): return nn.Linear(40, 10)", "def f():\n    return nn.Sequential(a,\n  b)\n"]
)
def test_a_program_without_lines_to_rewrite_has_no_holes(text):
    assert holes(text) == []


def test_a_line_can_be_cut_before_its_arguments():
    line = "        Residual(nn.LazyConv1d(32, kernel_size=3), nn.ReLU()),"
    assert [line[column:] for column in cuts(line)] == [
        "nn.LazyConv1d(32, kernel_size=3), nn.ReLU()),",
        "32, kernel_size=3), nn.ReLU()),",
        "3), nn.ReLU()),",
    ]
    assert cuts("        nn.Flatten(),") == []


def test_definitions_are_found_by_name_with_their_decorators():
    text = "x = 1\n@d\ndef f():\n    return 1\n\n\nclass A:\n    b = 1\n"
    assert definitions(text) == {"f": "@d\ndef f():\n    return 1\n", "A": "class A:\n    b = 1\n"}


def test_names_are_those_that_are_read():
    assert names("y = f(x, k=z.w)") == {"f", "x", "z"}
