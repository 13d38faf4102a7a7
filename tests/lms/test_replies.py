from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.lms.replies import Choice, Reply, Usage, estimated, read, share

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(total=st.integers(0, 10**9), weights=st.lists(st.integers(0, 10**7), min_size=1, max_size=64))
def test_shares_sum_to_the_total_and_none_is_off_by_a_token(total: int, weights: list[int]) -> None:
    shares = share(total, weights)
    even = weights if any(weights) else [1] * len(weights)

    assert sum(shares) == total
    assert all(abs(part * sum(even) - total * weight) < sum(even) for part, weight in zip(shares, even, strict=True))


def test_nothing_is_shared_among_none() -> None:
    assert share(0, []) == []


def test_a_chat_reply_is_read() -> None:
    data = {
        "choices": [
            {"message": {"content": "one"}, "finish_reason": "stop"},
            {"message": {"content": [{"type": "text", "text": "t"}, {"text": "wo"}]}, "finish_reason": "length"},
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}},
    }
    assert read(data) == Reply((Choice("one"), Choice("two", "length")), Usage(10, 4, 8))


def test_a_continuation_is_read() -> None:
    assert read({"choices": [{"text": " x", "finish_reason": None}]}) == Reply((Choice(" x"),), None)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"message": {"content": None, "refusal": "I will not."}, "finish_reason": "stop"}, "I will not."),
        ({"message": {"content": ""}, "finish_reason": "content_filter"}, "the provider's filter"),
        ({"text": "", "finish_reason": "content_filter"}, "the provider's filter"),
    ],
)
def test_a_refusal_is_seen(choice: dict[str, Any], message: str) -> None:
    reply = read({"choices": [choice]})
    assert reply is not None and (reply.choices[0].finish, reply.choices[0].message) == ("refused", message)


@pytest.mark.parametrize("data", [None, [], "text", {}, {"choices": None}, {"choices": {}}, {"error": {}}])
def test_what_has_no_choices_is_no_reply(data: Any) -> None:
    assert read(data) is None


@pytest.mark.parametrize("count", [-1, 1.5, "7", None, 10**30])
def test_a_count_that_is_none_is_not_believed(count: Any) -> None:
    reply = read({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": count}})
    assert reply is not None and reply.usage is None


@given(choices=st.lists(JSON, max_size=3), usage=JSON)
def test_any_json_is_read_without_a_fault(choices: list[Any], usage: Any) -> None:
    reply = read({"choices": choices, "usage": usage})
    assert reply is not None and len(reply.choices) == len(choices)


def test_tokens_are_guessed_from_characters() -> None:
    assert [estimated("x" * length) for length in (0, 1, 4, 5)] == [0, 1, 1, 2]
