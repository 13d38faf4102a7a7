from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.canonical import canonical
from nasmith.source import (
    Hole,
    complete,
    cuts,
    definitions,
    end_of_body,
    end_of_function,
    end_of_lines,
    end_of_program,
    end_of_text,
    holes,
    lines_of,
    names,
)
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
            assert not holes(text, everywhere=True)
            assert end_of_function(text, 1) is None
    assert text.startswith(complete(text))
    assert "".join(lines_of(text)) == text
    for end in (end_of_body("def Model():", text, 4), end_of_text("x", text)):
        assert end is None or 0 <= end <= len(text)
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


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("\n        y = x\n    def", "\n        y = x\n"),
        (
            "\n        y = [\n  1,\n]\n\n        # why\n    # so\n        return y\nx",
            "\n        y = [\n  1,\n]\n\n        # why\n    # so\n        return y\n",
        ),
        ("\n        return f(1))", "\n        return f(1)"),
        ("\n        y = x\n    z)", "\n        y = x\n"),
        ("\n        if x:\n            y = 1\n", None),
    ],
)
def test_a_body_ends_where_a_line_is_indented_by_less(reply, kept):
    prefix = "class A:\n    def f(self, x):\n        z = x"
    end = end_of_body(prefix, reply, 8)
    assert (None if end is None else reply[:end]) == kept


def test_a_body_may_have_begun_within_brackets():
    prefix = "class A:\n    def f(self):\n        return nn.Sequential(\n            a,"
    reply = "\n            b,\n        )\n\n    def g(self):"
    assert reply[: end_of_body(prefix, reply, 8)] == "\n            b,\n        )\n\n"


def test_a_text_ends_before_the_next_header():
    text = 'import math\n\n\ndef f():\n    return """\nMetrics"""\n\n\nX = f()\n'
    assert end_of_text('"""Metrics:', text) is None
    for more in ('"""Metrics:\n{}\n"""\n', "if __name__ == '__main__':\n", "])\n"):
        assert end_of_text('"""Metrics:', text + more) == len(text)
    assert end_of_text("", text + '"""Metrics:\n"""\n') is None


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("x = 1\ny = f(\n", "x = 1\n"),
        ("x = 1\n@d\ndef f():\n    return (\n", "x = 1\n"),
        ("x = 1\ny = 2", "x = 1\ny = 2"),
        ("x = 1\nclass A:\n    def f(self):\n        return '", "x = 1\n"),
        ("x = = 1\ny = 2\n", "x = = 1\ny = 2\n"),
    ],
)
def test_a_statement_that_was_cut_can_be_left_out(text, whole):
    assert complete(text) == whole


# Holes and definitions.


def test_lines_are_those_of_python():
    text = "a\r\nb\x0cc\u2028d\re\n\n"
    assert lines_of(text) == ["a\r\n", "b\x0cc\u2028d\r", "e\n", "\n"]
    assert definitions("x = '\x0c'\ndef f():\n    return 1\n") == {"f": "def f():\n    return 1\n"}


def test_a_function_ends_behind_its_last_line():
    lines = CLASSES.splitlines()
    for place in (lines.index("        for i in range(2):"), lines.index("        return x")):
        assert end_of_function(CLASSES, place) == (lines.index("        return x") + 1, 8)
    assert end_of_function(CLASSES, lines.index("class Model(nn.Module):")) is None
    nested = "def f():\n    def g():\n        return 1\n    return g\n"
    assert [end_of_function(nested, place) for place in range(4)] == [None, (4, 4), (3, 8), (4, 4)]


def test_what_every_class_of_layers_needs_is_no_hole():
    text = '''class A(nn.Module):
    def __init__(self):
        """Makes it."""
        super().__init__()
        super(A, self).__init__()
        self.a = 1
        super().f()
'''
    lines = text.splitlines()
    assert [lines[hole.start].strip() for hole in holes(text)] == ["self.a = 1", "super().f()"]


def test_statements_outside_of_functions_are_holes_where_that_is_asked_for():
    text = '''"""Doc."""
import x
A = 1
B = f(
    1,
    2,
)


class C:
    d = 3

    def f(self):
        self.e = 4
'''
    assert holes(text) == [Hole(13, 14)]
    assert holes(text, everywhere=True) == [Hole(2, 3), Hole(4, 5), Hole(5, 6), Hole(10, 11), Hole(13, 14)]


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
