from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.source import Hole, canonical, canonical_hash, cuts, definitions, end_of_lines, end_of_program, holes, names

SEEDS = Path(__file__).parents[1] / "src/nasmith/tasks/mnist1d/seeds"
PROGRAMS = {path.stem: path.read_text() for path in sorted(SEEDS.glob("*.py")) if path.stem != "preamble"}

CLASSES = '''class Block(nn.Module):
    """Two layers."""

    def __init__(self, width: int, act=nn.ReLU):
        super().__init__()
        self.layer = nn.LazyConv1d(width, kernel_size=3, padding=1)

    def forward(self, x):
        for i in range(2):
            x = F.relu(self.layer(x)) + i  # twice
        return x


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(10)

    def forward(self, x):
        return self.block(x.unsqueeze(1)).mean(-1)
'''


@pytest.mark.parametrize("name", PROGRAMS)
def test_layout_and_comments_do_not_change_the_canonical_form(name):
    text = PROGRAMS[name]
    other = text.replace("        ", "            ").replace(",\n", ",  # a layer\n\n").replace("):\n", '):\n    "doc"\n', 1)
    assert other != text
    assert canonical(other) == canonical(text)


def test_order_of_keywords_does_not_matter():
    assert canonical("f(1, a=g(c=1, b=2), d=3)") == canonical("f(1, d=3, a=g(b=2, c=1))")


def test_order_of_keywords_matters_where_a_mapping_is_unpacked():
    assert canonical("f(**m, a=1)") != canonical("f(a=1, **m)")


def test_own_names_do_not_matter():
    other = CLASSES
    for old, new in {"Block": "Part", "self": "this", "width": "size", "x": "y", "i": "step", "act": "a"}.items():
        other, count = re.subn(rf"\b{old}\b", new, other)
        assert count
    assert canonical(other) == canonical(CLASSES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def Model(): return nn.Linear(40, 10)", "def Model(): return nn.Linear(40, 11)"),
        ("def Model(): return nn.ReLU()", "def Model(): return nn.GELU()"),
        ("f(a=1)", "f(b=1)"),
        ("x.a", "x.b"),
        ("import a", "import b"),
        ("f(1, a=2)", "f(a=2)"),
        ("class A:\n    def f(self): pass", "class A:\n    def g(self): pass"),
        ("class A:\n    x = 1", "class A:\n    y = 1"),
        ("def f(a, b): return a - b\nf(a=1, b=2)", "def f(b, a): return b - a\nf(a=1, b=2)"),
        ("def Model(): return 1\ndef f(): return 2", "def f(): return 1\ndef Model(): return 2"),
        ("def f(): return F.relu\ndef g(F): return F", "def f(): return H.relu\ndef g(H): return H"),
        ("x = y = 1\nprint(x - y, x)", "x = y = 1\nprint(x - y, y)"),
    ],
)
def test_programs_that_differ_in_what_they_do_stay_apart(one, other):
    assert canonical(one) != canonical(other)
    assert canonical_hash(one) != canonical_hash(other)


def test_a_new_name_does_not_hide_one_from_outside():
    assert canonical("x = v0\nprint(x)") != canonical("x = v1\nprint(x)")
    assert "v0" in canonical("x = v0\nprint(x)").split("\n")[0].split("= ")[1]


def test_a_docstring_alone_leaves_a_valid_body():
    assert canonical('def f():\n    "doc"') == canonical("def f():\n    pass")


def test_all_ways_to_bind_a_name_are_renamed():
    text = """
def f(*{a}, **{b}):
    global {c}
    try:
        {c} = [{d} for {d} in {a} if ({e} := {d})]
    except ValueError as {g}:
        print({g})
    match {b}:
        case [{h}, *{i}] as {j}:
            return lambda {k}: {k} + {h} + {i} + {j} + {e}
        case {{"x": 1, **{l}}}:
            return {l}
"""
    letters = "abcdeghijkl"
    one = text.format(**{letter: letter * 2 for letter in letters})
    other = text.format(**{letter: f"name_{letter}" for letter in letters})
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def Model():\n    return (", "line 2: '(' was never closed"),
        ("def Model(:", "line 1: invalid syntax"),
        ("x = '\0'", "null bytes"),
        ("(" * 5000, "too"),
        ("x" + ".a" * 100_000, "deep"),
        ("x = '\ud800'", "no text"),
        ("def f():\nreturn 1", "line 2: expected an indented block"),
    ],
)
def test_text_that_is_no_program_is_a_value_error_with_a_reason(text, reason):
    with pytest.raises(ValueError, match=r".") as caught:
        canonical(text)
    assert reason in str(caught.value)


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


NAMES = st.sampled_from(["a", "b", "v0", "v1", "nn", "x"])
EXPRESSIONS = st.recursive(
    NAMES | st.integers(-3, 3).map(str) | st.sampled_from(["'s'", "1.5", "f'{a}'"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} + {pair[1]})"),
        st.tuples(NAMES, inner).map(lambda pair: f"(lambda {pair[0]}: {pair[1]})"),
        st.tuples(NAMES, inner, inner).map(lambda three: f"[{three[1]} for {three[0]} in {three[2]}]"),
        st.tuples(NAMES, inner, inner).map(lambda three: f"{three[0]}.m({three[1]}, z={three[2]}, k=2)"),
    ),
    max_leaves=6,
)
STATEMENTS = st.lists(
    st.tuples(NAMES, EXPRESSIONS).map(" = ".join) | EXPRESSIONS.map("return {}".format), min_size=1, max_size=4
)
FUNCTIONS = st.tuples(NAMES, NAMES, STATEMENTS).map(lambda f: f"def {f[0]}({f[1]}):\n    " + "\n    ".join(f[2]) + "\n")
TEXTS = st.lists(FUNCTIONS, min_size=1, max_size=3).map("\n".join)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_the_canonical_form_is_its_own_canonical_form(text):
    assert canonical(canonical(text)) == canonical(text)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_the_canonical_form_survives_reformatting(text):
    assert canonical(ast.unparse(ast.parse(text))) == canonical(text)
    assert canonical(text.replace("\n", "  # why\n").replace("z=", "z = ")) == canonical(text)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_the_canonical_form_survives_renaming(text):
    text = f"a = 1\n{text}"  # bound at the top, so that no scope reads an `a` from outside
    assert canonical(re.sub(r"\ba\b", "entirely_new", text)) == canonical(text)


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
