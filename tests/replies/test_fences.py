from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.replies import LONGEST, check_length, fenced
from nasmith.replies.fences import answer_in, blocks_in, thinking

NOISE = st.text() | st.lists(st.sampled_from(["`", "```", "~~~", "````md", "\n", "  ", "x", "python", "\r"])).map("".join)


def texts(answer):
    blocks, outside = blocks_in(answer)
    return [block.text for block in blocks], outside


@pytest.mark.parametrize(
    ("answer", "blocks", "outside"),
    [
        ("a\n```python\nb\n```\nc", ["b"], "a\nc"),
        ("```\nb\n```", ["b"], ""),
        ("~~~ py\nb\n```\nc\n~~~", ["b\n```\nc"], ""),
        ("````\nb\n```\nc\n````", ["b\n```\nc"], ""),
        ("```\nb", ["b"], ""),
        ("```\nb\n```python\nc\n```", ["b", "c"], ""),
        ("1. First: ```python\n   b\n   ```\nc", ["   b"], "c"),
        ("```py\nb\n       ```\nc\n```", ["b\n       ```\nc"], ""),
        ("````markdown\na\n```python\nb\n```\nc\n````", ["b", ""], "a\nc"),
        ("```x``` and ``` y `", [], "```x``` and ``` y `"),
        ("```python\r\nb\r\nc\r\n```\r\nd", ["b\nc\n"], "d"),
        ("", [], ""),
    ],
)
def test_blocks_are_told_from_what_is_around_them(answer, blocks, outside):
    assert texts(answer) == (blocks, outside)


@given(NOISE)
def test_a_closed_block_ends_at_a_fence(answer):
    for block in blocks_in(answer)[0]:
        if block.end is not None:
            assert answer[: block.end].rstrip().endswith(("```", "~~~"))


@given(NOISE, st.sampled_from(["", "python"]))
def test_nothing_in_a_text_can_end_its_block(text, language):
    blocks, outside = texts(f"{fenced(text, language)}\nafter")
    assert [block.rstrip() for block in blocks] == [
        text.replace("\r\n", "\n").replace("\r", "\n").rstrip().removeprefix("\ufeff")
    ]
    assert outside == "after"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("a", "a"),
        ("<think>b</think>a", "a"),
        ("b</think>a", "a"),
        (" <Thinking>\nb\n</thinking>\na", "\na"),
        ("<think>b</think>c<think>d</think>a", "a"),
        ("I <think> so", "I <think> so"),
    ],
)
def test_the_answer_is_what_follows_the_thinking(reply, answer):
    assert answer_in(reply) == answer
    assert reply[thinking(reply) :] == answer


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "the reply was empty"),
        (" \n\t\u3000", "the reply was empty"),
        ("<think>a</think> \n", "the reply was empty"),
        ("<think>a", "the reply ends before the model has done thinking"),
        (" " * 10_485_760, "the reply has 10,485,760 characters, more than 200,000"),
    ],
)
def test_a_reply_without_an_answer_says_why(reply, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        answer_in(reply)


def test_a_text_may_have_so_many_characters_and_no_more():
    check_length("x" * LONGEST)
    with pytest.raises(ValueError, match="the program has 200,001 characters, more than 200,000"):
        check_length("x" * (LONGEST + 1), "program")
