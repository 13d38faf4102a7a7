from __future__ import annotations

import pytest

from nasmith.tasks.clrs.function_rules import MODULES, check_text
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES as PART

BODY = "    return z\n"
HEAD = PART.first_line + "\n"


def check(text: str) -> None:
    check_text(text, PART.function, PART.arguments)


@pytest.mark.parametrize("name", PART.seeds)
def test_the_seeds_keep_to_the_rules(name):
    check(PART.seeds[name])


@pytest.mark.parametrize(
    "text",
    [
        "import jax.numpy as np\nfrom haiku import Linear\nimport math, functools\n" + HEAD + BODY,
        "from __future__ import annotations\n" + HEAD + BODY,
        "class Block(hk.Module):\n    def __init__(self):\n        super().__init__()\n        self._x = 1\n" + HEAD + BODY,
        PART.first_line.replace("out_size", "out_size, scale=2") + "\n" + BODY,
        PART.first_line.replace("z, ", "z, /, ") + "\n" + BODY,
    ],
)
def test_what_is_allowed(text):
    check(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\n" + HEAD + BODY, r"line 1: imports os; allowed are .*haiku"),
        ("from jax._src import core\n" + HEAD + BODY, "imports jax._src"),
        ("from . import secrets\n" + HEAD + BODY, "imports ."),
        ("import clrs\n" + HEAD + BODY, "imports clrs"),
        (HEAD + "    print(z)\n" + BODY, "line 2: uses print"),
        (HEAD + "    open('f')\n" + BODY, "uses open"),
        (HEAD + "    getattr(z, 'x')\n" + BODY, "uses getattr"),
        (HEAD + "    z.__class__\n" + BODY, "private attribute __class__"),
        (HEAD + "    jax._src\n" + BODY, "private attribute _src"),
        (HEAD + "    __builtins__\n" + BODY, "private name __builtins__"),
        ("n = 0\n" + HEAD + "    global n\n    n = 1\n" + BODY, "changes a name outside"),
        ("def other(z):\n" + BODY, r"defines no function get_triplet_msgs\(z, edge_fts"),
        ("get_triplet_msgs = 3\n", "defines no function"),
        (
            PART.first_line.replace("graph_fts, ", "") + "\n" + BODY,
            r"must take \(z, edge_fts, graph_fts.*not \(z, edge_fts, nb",
        ),
        (PART.first_line.replace("z,", "x,") + "\n" + BODY, "must take"),
        (PART.first_line.replace("out_size", "out_size, more") + "\n" + BODY, "must take"),
        (PART.first_line.replace("out_size", "out_size, *, more") + "\n" + BODY, "must take"),
        (HEAD + "    return (z\n", "line 2: "),
        ("", "defines no function"),
    ],
)
def test_what_is_not_allowed(text, said):
    with pytest.raises(ValueError, match=said):
        check(text)


def test_the_last_definition_counts():
    with pytest.raises(ValueError, match="must take"):
        check(HEAD + BODY + "def get_triplet_msgs(z):\n" + BODY)


def test_no_module_that_scores_is_allowed():
    assert not {"clrs", "nasmith", "os", "sys", "tensorflow"} & set(MODULES)
