from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framed import ENTRIES, FRAMED, METHOD, TWO, frame_of
from nasmith.frames import Frame
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


# Classes.


NET = "class Net(nn.Module):\n    pass\n\n\ndef Model():\n    return Net()\n"


@pytest.mark.parametrize("program", [CLASSES, NET])
def test_a_model_may_be_a_class_or_made_of_one(program):
    usage = "\nmodel = Model()\nprint(model(torch.zeros(2, 40)).shape)\n"
    assert program_in(f"So:\n```python\n{program}{usage}```\n", "Model") == program
    first, rest = program.split("\n\n\n")
    assert program_in(f"```python\n{first}\n```\nThen:\n```python\n{rest}```", "Model") == program
    reply = f"```python\n{first}\n```\nThen:\n```python\n{rest}```"
    assert end_of_block("Model", reply + "\nDone.") == len(reply)


# Programs that need not define an entry.


@pytest.mark.parametrize(
    ("reply", "program"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Run `pip install x`:\n```\npip install x\n```\n```python\nimport x\nprint(x)\n```\nDone.", "import x\nprint(x)\n"),
        ("```\na b c d e f g h i j\n```\n```\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\n```python\ndef f():\n    return 1\n```", "def f():\n    return 1\n"),
        ("x = 1\ny = 2", "x = 1\ny = 2\n"),
        (
            "Here it is:\n\nimport math\n\ndef f():\n    return math.pi\n\nGood luck.",
            "import math\n\ndef f():\n    return math.pi\n",
        ),
        ("```\nprint(1)\n```", "print(1)\n"),
    ],
)
def test_without_an_entry_the_longest_block_is_the_program(reply, program):
    assert program_in(reply, "") == program
    assert end_of_block("", reply) is None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Sorry", "the reply holds no program"),
        ("I cannot do that.", "the reply holds no program"),
        ("這是一個模型", "the reply holds no program"),
        ("```\n# nothing\n```", "the reply holds no program"),
        ("```\n```", "the reply holds no program"),
        ("```\nx = (\n```", "the program does not parse: line 1: '\\(' was never closed"),
    ],
)
def test_without_an_entry_a_reply_without_a_program_says_why(reply, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        program_in(reply, "")


# Programs of which only marked parts may change.


BODY = "        z = x * 2\n"
CHANGED = METHOD.replace("        y = self.layer(x)\n        y = torch.relu(y)\n", BODY)
WITHOUT_MARKS = "".join(line for line in CHANGED.splitlines(keepends=True) if "nasmith" not in line)
ANSWERS = {
    "the program": f"So:\n```python\n{CHANGED}```",
    "the program without marks": f"```python\n{WITHOUT_MARKS}```",
    "the program in a list": "1. So:\n   ```python\n" + "".join(f"   {line}\n" for line in CHANGED.splitlines()) + "   ```\n",
    "the program in prose": f"Here it is.\n\n{CHANGED}\nIt's small.",
    "the program and what it was": f"Before:\n```python\nx = 1\n```\nAfter:\n```python\n{CHANGED}```",
    "the part": f"```python\n{BODY}```",
    "the part at the margin": f"```python\n{BODY.strip()}\n```",
    "the part in a list": "- So:\n  ```python\n  z = x * 2\n  ```\n",
    "the part in no block": f"{BODY}",
    "the part with marks": f"```python\n# nasmith: begin\n{BODY}# nasmith: end\n```",
    "the part with marks in prose": f"Hi.\n        # nasmith: begin\n{BODY}        # nasmith: end\nI hope it's good: (",
    "the method": f"```python\ndef forward(self, x):\n    {BODY.strip()}\n    return x + y\n```",
    "thinking": f"<think>\n```python\n{METHOD}```\n</think>\n```python\n{CHANGED}```",
    "other changes": "```python\n" + CHANGED.replace("Block(8)", "Block(80)").replace("import torch\n", "") + "```",
    "windows": f"```python\n{CHANGED}```".replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", ["method", "windows"])
@pytest.mark.parametrize("form", ANSWERS)
def test_a_changed_part_comes_back_within_what_is_fixed(form, name):
    frame = frame_of(name)
    (part,) = frame.parts(program_in(ANSWERS[form], "Model", frame))
    assert part.strip() == BODY.strip()


def test_parts_may_stand_in_blocks_of_their_own():
    block = "```python\n# EVOLVE-BLOCK-START\n{}# EVOLVE-BLOCK-END\n```\n"
    reply = block.format("STEPS = 1\n") + "and\n" + block.format("def search():\n    return 1\n")
    assert frame_of("two").parts(program_in(reply, "", frame_of("two"))) == ("STEPS = 1\n", "def search():\n    return 1\n")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I cannot do that.", "the reply holds no program"),
        ("Sorry", "the reply holds no program"),
        (f"```\n{METHOD}```\n```\n{CHANGED}```", "the reply holds 2 programs"),
        ("```\nz = (\n```", "the program does not parse: line [0-9]+: .*"),
        ("```\nz = 1\n# nasmith: begin\n```", "line 2: a part that may change begins and does not end"),
        (
            "```\n# nasmith: begin\nx\n# nasmith: end\n# nasmith: begin\ny\n# nasmith: end\n```",
            ".* 1 part that may change, and 2 came",
        ),
    ],
)
def test_a_reply_without_a_changed_part_says_why(reply, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        program_in(reply, "Model", frame_of("method"))


def test_a_program_with_fixed_parts_still_defines_its_entry_once():
    text = "import torch\n# nasmith: begin\ndef Model():\n    return 1\n# nasmith: end\n"
    frame = Frame.of(text)
    assert program_in(f"```\n{text}```", "Model", frame) == text
    with pytest.raises(ValueError, match=r"^the program does not define Model$"):
        program_in("```\ndef Net():\n    return 1\n```", "Model", frame)
    with pytest.raises(ValueError, match=r"^the program defines Model 2 times$"):
        program_in("```\ndef Model():\n    return 1\nModel = 2\n```", "Model", frame)


FRAMED_PARTS = [
    *PARTS, *ANSWERS.values(), METHOD, TWO, BODY, "# nasmith: begin\n", "  # nasmith: end\n", "# EVOLVE-BLOCK-START\n",
    "# EVOLVE-BLOCK-END\r\n", "\'\'\'", "\u2028# nasmith: end", "\ufeff",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.text() | st.lists(st.sampled_from(FRAMED_PARTS), max_size=12).map("".join), st.sampled_from([*FRAMED]))
def test_whatever_a_reply_says_what_is_fixed_stays(reply, name):
    frame, entry = frame_of(name), ENTRIES[name]
    try:
        program = program_in(reply, entry, frame)
    except ValueError as error:
        assert str(error)
        return
    assert frame.joined(frame.parts(program)) == program
    assert program_in(f"```python\n{program}```", entry, frame) == program


@pytest.mark.parametrize(
    "part", [*REPEATED, "# nasmith: begin\n", "# nasmith: begin\nx\n# nasmith: end\n", "class Block(nn.Module):\n"]
)
def test_the_longest_replies_are_read_where_parts_are_fixed(part):
    for start in ("", "```python\n"):
        for name, entry in ENTRIES.items():
            try:
                assert program_in((start + part * LONGEST)[:LONGEST], entry, frame_of(name))
            except ValueError as error:
                assert str(error)
