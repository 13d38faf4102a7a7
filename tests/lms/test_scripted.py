from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasmith.errors import ConfigError
from nasmith.lms.scripted import Scripted
from nasmith.protocols import traits_of
from nasmith.types import Message, Request


def texts(lm: Scripted, **options: int) -> list[str]:
    return [completion.text for completion in lm.complete(Request("a prompt", **options))]


def test_the_same_request_gives_the_same_replies_whatever_was_asked_before() -> None:
    lm = Scripted(["a", "b", "c"])
    first = texts(lm, n=5, seed=1)
    texts(lm, n=2, seed=2)
    assert texts(lm, n=5, seed=1) == first
    assert len(first) == 5 and set(first) == {"a", "b", "c"}


def test_other_seeds_begin_elsewhere() -> None:
    assert {texts(Scripted(["a", "b", "c"]), n=1, seed=seed)[0] for seed in range(20)} == {"a", "b", "c"}


def test_stop_cuts_and_tokens_are_counted_once() -> None:
    completions = Scripted(["one) two"]).complete(Request("a prompt", n=2, stop=lambda said: said.index(")") + 1))
    assert [completion.text for completion in completions] == ["one)", "one)"]
    assert [completion.tokens_in for completion in completions] == [2, 0]


@pytest.mark.parametrize(
    ("stop", "stop_texts", "text"),
    [
        (None, (), "a b c d"),
        (None, ("c", "b"), "a "),
        (None, ("x",), "a b c d"),
        (5, ("c",), "a b "),
        (1, ("c",), "a"),
        (None, ("a",), ""),
    ],
)
def test_a_reply_ends_before_the_first_text_that_nothing_useful_follows(
    stop: int | None, stop_texts: tuple[str, ...], text: str
) -> None:
    request = Request("a prompt", stop=lambda said: stop, stop_texts=stop_texts)
    assert Scripted(["a b c d"]).complete(request)[0].text == text


def test_messages_are_answered_as_a_prompt_is() -> None:
    request = Request("user: hello", n=2, messages=(Message("user", "hello"),))
    completions = Scripted(["a", "b"]).complete(request)
    assert {completion.text for completion in completions} == {"a", "b"}
    assert [completion.tokens_in for completion in completions] == [2, 0]
    assert all(completion.prompt == "user: hello" for completion in completions)


@pytest.mark.parametrize("conversation", [{"messages": (Message("user", "hello"),)}, {"options": lambda said: ("a", "b")}])
def test_a_conversation_is_answered_in_order(conversation) -> None:
    lm = Scripted(["a", "b", "c"])
    for step in range(7):
        for seed in range(3):
            (reply,) = lm.complete(Request("", seed=seed, place=(step, 0), **conversation))
            assert reply.text == "abcabca"[step]
    assert [reply.text for reply in lm.complete(Request("", n=4, place=(1, 0), **conversation))] == ["b", "c", "a", "b"]
    assert [reply.text for reply in lm.complete(Request("", n=1, place=(1, 2), **conversation))] == ["a"]


def test_it_is_asked_by_messages_where_that_is_wanted() -> None:
    assert not traits_of(Scripted(["a"])).chat
    assert traits_of(Scripted(["a"], chat=True)).chat


def test_replies_come_from_json_or_from_text(tmp_path: Path) -> None:
    (tmp_path / "replies.json").write_text(json.dumps(["a\nb", "c"]))
    (tmp_path / "replies.txt").write_text("a\nb\n---\nc\n")
    for name in ("replies.json", "replies.txt"):
        assert sorted(texts(Scripted(file=tmp_path / name), n=2)) == ["a\nb", "c"]


@pytest.mark.parametrize(("name", "content"), [("a.json", "{}"), ("b.json", "[]"), ("c.json", "[1]"), ("d.json", "[")])
def test_a_file_that_holds_no_replies_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=name):
        texts(Scripted(file=tmp_path / name))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Scripted(file=tmp_path / "none.json").warm()


def test_replies_come_from_one_place() -> None:
    for options in ({}, {"replies": ["a"], "file": "b"}):
        with pytest.raises(ConfigError, match="either"):
            Scripted(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="list of texts"):
        Scripted("abc")
