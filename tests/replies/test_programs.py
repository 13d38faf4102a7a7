from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nasmith.replies import LONGEST, end_of_block, program_in
from programs import CLASSES, PROGRAMS

CNN = PROGRAMS["large_cnn"]
IMPORTS = "import math\nfrom torch import nn\n\nWIDTH = 8\n\n\n" + CNN
HELPER = "class Block(nn.Module):\n    pass\n"
USES = "def Model():\n    return Block()\n"
USAGE = """
# Example usage
if __name__ == "__main__":
    print(Model())
model = Model()
y = model(torch.randn(2, 40))
assert y.shape == (2, 10)
print(y)
"""
WRAPPERS = {
    "nothing": "{}",
    "a fence": "```python\n{}```",
    "a fence of no language": "```\n{}```",
    "a fence of another case": "``` Python\n{}```",
    "tildes": "~~~python\n{}~~~",
    "a long fence": "`````py\n{}`````",
    "a fence that is not closed": "Here it is:\n\n```python\n{}",
    "prose and a fence": "Sure! It's **small**:\n\n```python\n{}```\n\nThis (I think) can't fail.\n",
    "a fence behind prose": "Here it is: ```python\n{}```\nGood luck.",
    "prose alone": "Sure, here's the program you asked for.\n\n{}\nI hope it's good: it has few parameters.",
    "a word that parses": "Program:\n\n{}\nEnjoy",
    "thinking": "<think>\nMaybe\n```python\ndef Model():\n    pass\n```\nNo.\n</think>\n\n```python\n{}```",
    "thinking whose beginning is missing": "def Model(): no.\n</think>\n{}",
    "a block of Markdown": "````markdown\nThe answer:\n```python\n{}```\n````",
    "a fence whose beginning is missing": "{}```\n\nThis design is small.",
    "other blocks": "```\npip install torch\n```\nthen\n```python\nimport torch\n```\n```python\n{}```\n```text\n(2, 10)\n```",
    "itself": "```python\n{0}```\nOnce more:\n\n```python\n{0}\n```",
    "usage": "```python\n{}" + USAGE + "```",
    "usage of no fence": "{}" + USAGE,
    "a mark of the encoding": "\ufeff{}",
}


def windows(text):
    return text.replace("\n", "\r\n")


@pytest.mark.parametrize("lines", [str, windows])
@pytest.mark.parametrize("program", [*PROGRAMS.values(), CLASSES, IMPORTS])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_program_comes_back_from_what_is_around_it(wrapper, program, lines):
    if wrapper == "prose alone":
        program = program.replace("WIDTH = 8\n\n\n", "")
    assert program_in(lines(WRAPPERS[wrapper].format(program)), "Model") == program


LINE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=40).filter(
    lambda text: not any(mark in text for mark in ("```", "~~~", "</think"))
)


@given(st.lists(LINE), st.lists(LINE), st.sampled_from([*WRAPPERS]), st.sampled_from(["Model", "f"]))
def test_any_program_comes_back_from_what_is_around_it(comments, strings, wrapper, entry):
    body = [f"    # {line}" for line in comments] + [f"    x = {line!r}" for line in strings]
    program = "\n".join([f"def {entry}():", *body, "    return None\n"])
    wrapped = WRAPPERS[wrapper].replace("Model", entry).replace("{0}", "{}").replace("{}", program)
    assert program_in(wrapped, entry) == program


@pytest.mark.parametrize("indent", ["    ", "\t"])
def test_a_program_in_a_list_loses_the_lists_indentation(indent):
    inner = "".join(f"{indent}{line}\n" for line in CNN.splitlines())
    assert program_in(f"1. So:\n{indent}```python\n{inner}{indent}```\n2. Done", "Model") == CNN
    assert program_in(inner, "Model") == CNN


def test_a_fence_within_a_docstring_ends_no_block():
    program = 'def Model():\n    """Makes it.\n\n    ```\n    Model()\n    ```\n    """\n    return 1\n'
    assert program_in(f"```python\n{program}```", "Model") == program


def test_what_a_program_uses_and_lacks_is_taken_from_blocks_before_it():
    block = "```python\n{}```\n"
    assert program_in("".join(map(block.format, [HELPER, "x = 1\n", USES])), "Model") == f"{HELPER}\n\n{USES}"
    base = "class Base:\n    pass\n"
    below = HELPER.replace("nn.Module", "Base")
    assert program_in("".join(map(block.format, [base, below, USES])), "Model") == f"{base}\n\n{below}\n\n{USES}"


def test_blocks_that_a_program_does_not_need_are_left_out():
    block = "```python\n{}```\n"
    assert program_in("".join(map(block.format, [HELPER, CNN])), "Model") == CNN
    assert program_in("".join(map(block.format, [HELPER, HELPER + USES])), "Model") == HELPER + USES
    assert program_in("".join(map(block.format, [USES, HELPER])), "Model") == USES
    assert program_in("".join(map(block.format, ["class Block(:\n", USES])), "Model") == USES


@pytest.mark.parametrize(
    ("rest", "kept"),
    [
        ("print(Model())\n", ""),
        ("print(1); x = 2\n", ""),
        ("x = 2; print(x)\n", "x = 2; print(x)\n"),
        ("def other():\n    return 1\n", "def other():\n    return 1\n"),
        ("class Other:\n    pass\nOther()\n", "class Other:\n    pass\n"),
        ("import math\nWIDTH: int = 3\nWIDTH += 1\n", "import math\nWIDTH: int = 3\nWIDTH += 1\n"),
        ("net = Model()\nsize = net.size\nother = 3\n", "other = 3\n"),
        ("def run():\n    return Model()\nresult = run()\n", "def run():\n    return Model()\n"),
        ("for i in range(3):\n    Model()\nA = 1\nwith a:\n    pass\nB = 2\n", "A = 1\nB = 2\n"),
    ],
)
def test_what_only_shows_the_use_of_a_program_is_cut(rest, kept):
    assert program_in(f"```python\n{CNN}{rest}```", "Model") == CNN + kept


def test_what_stands_before_the_definition_is_kept():
    program = f"print('so it is written')\n{CNN}"
    assert program_in(f"```python\n{program}```", "Model") == program


@pytest.mark.parametrize(
    "definition", ["Model = make", "Model: type = make", "async def Model():\n    pass", "class Model: pass"]
)
def test_a_program_may_define_its_entry_in_any_way(definition):
    assert program_in(f"Here:\n```\n{definition}\n```", "Model") == f"{definition}\n"


NO_PROGRAM = "the reply holds no program: no definition of Model"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I'm sorry, I can't help with that.", NO_PROGRAM),
        ("很抱歉,我不能写这个程序。", NO_PROGRAM),
        ("這是一個模型", NO_PROGRAM),
        ("لا أستطيع ذلك", NO_PROGRAM),
        ("def model():\n    pass", NO_PROGRAM),
        ("```python\nclass Net:\n    pass\n```", NO_PROGRAM),
        ("```python\nclass Net:\n    def Model(self): pass\n```", NO_PROGRAM),
        ("The def Model() is small.", NO_PROGRAM),
        ('```\n"""\ndef Model():\n"""\n```', NO_PROGRAM),
        ("Model == 1", NO_PROGRAM),
        ("```python\n```", NO_PROGRAM),
        ("```\ndef Model(): pass\nclass Model: pass\n```", "the reply defines Model 2 times"),
        ("def Model(): pass\ndef Model(): pass\nModel = 1", "the reply defines Model 3 times"),
        ("```\ndef Model(): pass\n```\nor\n```\ndef Model(): ...\n```", "the reply defines Model 2 times"),
        ("```\ndef Model():\n    return (\n```", r"the program does not parse: line 2: '\(' was never closed"),
        ("def Model():\n    a = 1\n    b = = 2\n    return a", "the program does not parse: line 3: invalid syntax"),
        ("def Model(:", "the program does not parse: line 1: .*"),
        ("```python\ndef Model():\n    pass\nHope it helps!\n```", "the program does not parse: line 3: invalid syntax"),
        ("def Model(): return '\x00'", ".*null bytes"),
        ("def Model(): return '\ud800'", "the program does not parse: the program holds a character that is no text"),
    ],
)
def test_a_reply_without_a_program_says_why(reply, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        program_in(reply, "Model")


PARTS = [
    "```", "```python\n", "~~~", "````md\n", "\n", "    ", "def Model():", "class Model", "Model = ", "return 1\n",
    "import x\n", "<think>", "</think>", "(", ")", '"""', "'", "\\", "\r", "\t", "\x0c", "\u2028", "print(Model())\n", ";", "#",
    "@x\n", "=",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.text() | st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
@example("def Model(): pass\n" + "\x0c\nprint(1)")
def test_any_text_gives_a_program_or_a_reason(reply):
    try:
        program = program_in(reply, "Model")
    except ValueError as error:
        assert str(error)
    else:
        assert program_in(program, "Model") == program
    end = end_of_block("Model", reply)
    assert end is None or 0 <= end <= len(reply)


REPEATED = [
    " ", "`", "```\n", "```x\n", "~", "\n", "\t\n", "Model ", "Model:", "class Model", "def Model():\n", "<think>",
    "</think>", "(", "'", "# ", "import x ", "from x ", "``` a`", "a ```python\n", "```\nModel=1\n```\n",
]  # fmt: skip


@pytest.mark.parametrize("length", [LONGEST, 10 * 1024 * 1024])
@pytest.mark.parametrize("start", ["", "def Model():\n    pass\n", "```python\n"])
@pytest.mark.parametrize("part", REPEATED)
def test_the_longest_replies_are_read(part, start, length):
    """In time that grows with the square of the length this would take hours."""
    reply = (start + part * (length // len(part)))[:length]
    try:
        assert "Model" in program_in(reply, "Model")
    except ValueError as error:
        assert str(error)
    end = end_of_block("Model", reply)
    assert end is None or reply[:end].endswith("```")
