from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.canonical import canonical, canonical_hash
from programs import CLASSES, PROGRAMS

FUTURE = "from __future__ import annotations\n"


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x: Tensor): return x", "def f(x): return x"),
        ("def f(x) -> Tensor: return x", "def f(x): return x"),
        ("int = None\ndef f(x: int.bits): return x", "int = None\ndef f(x): return x"),
        ("nn.Sequential(OrderedDict(a=f(), b=g()))", "nn.Sequential(OrderedDict(b=g(), a=f()))"),
        ("from collections import OrderedDict as D\nD(a=1, b=2)", "from collections import OrderedDict as D\nD(b=2, a=1)"),
        ("layers.update(a=1, b=2)", "layers.update(b=2, a=1)"),
        ("def make(**m): return list(m)\nmake(a=1, b=2)", "def make(**m): return list(m)\nmake(b=2, a=1)"),
        ("f(a=layers.pop(), b=layers.pop())", "f(b=layers.pop(), a=layers.pop())"),
        ("def k(h): return f(a=h.size, b=h.grow())", "def k(h): return f(b=h.grow(), a=h.size)"),
        ("class A(B, a=1, b=2): pass", "class A(B, b=2, a=1): pass"),
        ("def f():\n    x = 1\n    return locals()", "def f():\n    y = 1\n    return locals()"),
        ("def f(x): return eval('x')", "def f(y): return eval('x')"),
        ("def f(width): return width\nf(**{'width': 3})", "def f(size): return size\nf(**{'width': 3})"),
        ("def f(): pass\nprint(f.__name__)", "def g(): pass\nprint(g.__name__)"),
        ("def f():\n    'doc'\nprint(f.__doc__)", "def f():\n    pass\nprint(f.__doc__)"),
        ("x = nn.ReLU\nnn = 3", "x = mm.ReLU\nmm = 3"),
        ("nn = nn.ReLU", "mm = mm.ReLU"),
        ("if 0:\n    nn = 3\nprint(nn)", "if 0:\n    mm = 3\nprint(mm)"),
        ("nn = 3\ndel nn\nprint(nn)", "mm = 3\ndel mm\nprint(mm)"),
        ("def f(): return nn\nx = f()\nnn = 3", "def f(): return mm\nx = f()\nmm = 3"),
        ("def nn(a=nn.ReLU): return a", "def mm(a=mm.ReLU): return a"),
        ("class F(F.A): pass", "class G(G.A): pass"),
        (
            "from math import *\ne = 1\nfrom math import *\nprint(e)",
            "from math import *\nx = 1\nfrom math import *\nprint(x)",
        ),
        (
            "class A(nn.Module):\n    def forward(self, x, mask=None): return x",
            "class A(nn.Module):\n    def forward(self, x, m=None): return x",
        ),
        (
            "class A:\n    def f(self): return self.__x\nprint(a._A__x)",
            "class B:\n    def f(self): return self.__x\nprint(a._A__x)",
        ),
    ],
)
def test_what_a_program_can_notice_is_not_forgotten(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x: int, y: 'Tensor') -> None: return x", "def f(x, y): return x"),
        (
            "from __future__ import annotations\ndef f(x: Tensor): return x",
            "from __future__ import annotations\ndef f(x): return x",
        ),
        ("nn.Linear(a=width * 2, b=width + 1)", "nn.Linear(b=width + 1, a=width * 2)"),
        ("def f(): return g(1)\ndef g(x): return x", "def h(): return k(1)\ndef k(x): return x"),
        ("def f(n): return f(n - 1)", "def g(n): return g(n - 1)"),
        (
            "class A(nn.Module):\n    def __init__(self): super(A, self).__init__()",
            "class B(nn.Module):\n    def __init__(self): super(B, self).__init__()",
        ),
        ("def f():\n    x = nn.ReLU()\n    return x", "def f():\n    nn2 = nn.ReLU()\n    return nn2"),
    ],
)
def test_what_nobody_can_notice_is_forgotten(one, other):
    assert canonical(one) == canonical(other)


def test_a_name_that_is_shared_by_two_functions_keeps_programs_apart():
    """A needless difference, which costs a training at most."""
    assert canonical("def f(a): return a\ndef g(a): return a") != canonical("def f(a): return a\ndef g(b): return b")


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def run(): return 1", "def go(): return 1"),
        ("x = 1", "y = 1"),
        ("class A: pass", "class B: pass"),
        ("def run(width): return width", "def run(size): return size"),
        ("if x:\n    def run(*, a, **b): return a", "if x:\n    def run(*, c, **d): return c"),
        ("class A:\n    def f(self, x): return x", "class A:\n    def f(self, y): return y"),
        ("def run():\n    global x\n    x = 1", "def run():\n    global y\n    y = 1"),
    ],
)
def test_without_an_entry_any_name_may_be_looked_for(one, other):
    assert canonical(one, "") != canonical(other, "")
    assert canonical_hash(one, "") != canonical_hash(other, "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def run(a):\n    x = a  # why\n    return x", "def run(a):\n    y = a\n    return y"),
        ("def run():\n    def f(a): return a\n    return f(1)", "def run():\n    def g(b): return b\n    return g(1)"),
        ("run = lambda: f(a=1, b=2)", "run = lambda: f(b=2, a=1)"),
        ("x = [a for a in y]", "x = [b for b in y]"),
    ],
)
def test_without_an_entry_what_functions_keep_to_themselves_is_forgotten(one, other):
    assert canonical(one, "") == canonical(other, "")


def test_a_class_may_be_the_entry():
    other = CLASSES.replace("Block", "Part").replace("Model", "Network")
    assert canonical(CLASSES) == canonical(CLASSES.replace("Block", "Part")) != canonical(other)
    assert canonical(other, "Network") == canonical(CLASSES.replace("Model", "Network"), "Network")
    net = "class {0}(nn.Module):\n    pass\ndef Model(): return {0}()\n"
    assert canonical(net.format("Net")) == canonical(net.format("Network"))
