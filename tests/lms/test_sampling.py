from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from nasmith.lms.sampling import Reply, Stop, Text, sample


class Letters:
    """A tokenizer with a token per letter."""

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))


class Script:
    """A decoder whose next-token probabilities are a function of the text so far."""

    hidden_size = 1

    def __init__(self, shares: Callable[[str], dict[str, float]], most: int = 1000) -> None:
        self.shares, self.rows, self.batches = shares, [""], []
        self.most, self.begun = most, 0

    def logits(self) -> torch.Tensor:
        logits = torch.full((len(self.rows), 128), -torch.inf)
        for row, said in enumerate(self.rows):
            for letter, share in self.shares(said).items():
                logits[row, ord(letter)] = torch.tensor(share).log()
        return logits

    def begin(self, tokens: Sequence[int], soft: Any = None) -> torch.Tensor:
        self.rows, self.begun = [""], self.begun + 1
        return self.logits()

    def step(self, origins: Sequence[int], tokens: Sequence[int]) -> torch.Tensor:
        if len(tokens) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.batches.append(len(tokens))
        self.rows = [self.rows[origin] + chr(token) for origin, token in zip(origins, tokens, strict=True)]
        return self.logits()

    def key_value_bytes(self, rows: int, length: int) -> int:
        return rows * length

    def forget(self) -> None:
        self.rows = []


def run(shares: Callable[[str], dict[str, float]], **changes: Any) -> tuple[list[Reply], list[int]]:
    decoder = Script(shares, changes.pop("most", 1000))
    text = Text(Letters(), [ord("p")], [ord("$")])
    stop = Stop(text, changes.pop("stop", None), changes.pop("stop_texts", ()))
    options: dict[str, Any] = {"n": 8, "temperature": 1.0, "top_p": 1.0, "seed": 0, "max_tokens": 10, "stop": stop, **changes}
    return sample(decoder, [], text, **options), decoder.batches


def coin(said: str) -> dict[str, float]:
    return {"a": 0.5, "b": 0.5}


def test_the_same_seed_gives_the_same_replies_and_another_seed_others() -> None:
    assert run(coin)[0] == run(coin)[0]
    assert run(coin)[0] != run(coin, seed=1)[0]


def test_a_reply_does_not_depend_on_how_many_others_are_asked_for() -> None:
    assert run(coin, n=3)[0] == run(coin, n=8)[0][:3]


def test_tokens_are_drawn_in_proportion_to_their_shares() -> None:
    replies, _ = run(lambda said: {"a": 0.7, "b": 0.2, "c": 0.1}, n=4000, max_tokens=1)
    said = [reply.text for reply in replies]
    assert abs(said.count("a") / 4000 - 0.7) < 0.03
    assert abs(said.count("b") / 4000 - 0.2) < 0.03
    assert abs(said.count("c") / 4000 - 0.1) < 0.02


def test_temperature_zero_takes_the_likeliest_token_always() -> None:
    replies, batches = run(lambda said: {"a": 0.4, "b": 0.6}, temperature=0)
    assert {reply.text for reply in replies} == {"bbbbbbbbbb"}
    assert batches == [1] * 9  # equal replies are one row


def test_a_low_temperature_sharpens() -> None:
    replies, _ = run(lambda said: {"a": 0.4, "b": 0.6}, n=200, max_tokens=1, temperature=0.1)
    assert sum(reply.text == "b" for reply in replies) > 190


def test_top_p_leaves_out_what_is_unlikely() -> None:
    replies, _ = run(lambda said: {"a": 0.6, "b": 0.3, "c": 0.1}, n=500, max_tokens=1, top_p=0.85)
    assert {reply.text for reply in replies} == {"a", "b"}


def test_equal_openings_are_computed_once_and_ended_replies_no_more() -> None:
    def shares(said: str) -> dict[str, float]:
        if len(said) < 3:
            return {"x": 1.0}
        if len(said) == 3:
            return {"a": 0.5, "b": 0.5}
        return {"$": 1.0} if said[3] == "a" or len(said) > 5 else {"y": 1.0}

    replies, batches = run(shares)
    assert {reply.text for reply in replies} == {"xxxa", "xxxbyy"}
    assert batches == [1, 1, 1, 2, 1, 1]  # three steps in common, two rows, and one after the short replies ended


def test_replies_end_at_the_limit_the_end_token_or_where_stop_says() -> None:
    def shares(said: str) -> dict[str, float]:
        return {"x": 0.7, ")": 0.2, "$": 0.1}

    replies, _ = run(shares, n=64, max_tokens=4, stop=lambda said: said.find(")") + 1 if ")" in said else None)
    for reply in replies:
        if ")" in reply.text:
            assert reply.finish == "stop" and reply.text.endswith(")") and reply.text.count(")") == 1
        elif reply.finish == "length":
            assert reply.text == "xxxx" and reply.tokens == 4
        else:
            assert reply.tokens == len(reply.text) + 1  # the end token is counted, and not shown
    assert len({reply.finish for reply in replies}) == 2


def test_stop_is_asked_only_where_a_program_can_have_ended() -> None:
    asked: list[str] = []

    def stop(said: str) -> int | None:
        asked.append(said)
        return None

    line = "f(x)\nabc\nyz"
    run(lambda said: {line[len(said)]: 1.0}, n=1, max_tokens=len(line), stop=stop)
    assert asked == ["f(x)", "f(x)\n", "f(x)\nabc\n", line]


def test_the_text_of_a_reply_begins_where_the_prompt_ends() -> None:
    class Spaced:
        def decode(self, tokens: Sequence[int]) -> str:
            return " ".join(str(token) for token in tokens)

    assert Text(Spaced(), [1, 2], [])([3, 4]) == " 3 4"


@pytest.mark.parametrize("n", [1, 5])
def test_exactly_as_many_replies_come_as_were_asked_for(n: int) -> None:
    assert len(run(coin, n=n)[0]) == n


def letters(said: str) -> dict[str, float]:
    return {"a": 0.4, "b": 0.3, "c": 0.2, "$": 0.1}


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_replies_that_do_not_fit_into_memory_are_sampled_in_parts_and_are_the_same(most: int) -> None:
    whole, batches = run(letters, n=16)
    parts, smaller = run(letters, n=16, most=most)
    assert parts == whole
    assert max(smaller) <= most < max(batches)


def test_replies_that_ended_before_memory_was_exhausted_are_kept() -> None:
    def shares(said: str) -> dict[str, float]:
        return {"$": 0.5, "a": 0.25, "b": 0.25} if not said else letters(said)

    decoder, text = Script(shares, most=2), Text(Letters(), [ord("p")], [ord("$")])
    seen: list[str] = []
    stop = Stop(text, lambda said: seen.append(said) or None)
    options: dict[str, Any] = {"n": 16, "temperature": 1.0, "top_p": 1.0, "seed": 0, "max_tokens": 6}
    replies = sample(decoder, [], text, stop=stop, **options)
    early = sum(reply.text == "" for reply in replies)
    assert early > 1 and seen.count("") == 1  # those that said nothing were one row, once
    assert decoder.begun > 1


def test_one_reply_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        run(letters, most=0)


def test_another_error_of_the_device_is_not_taken_for_memory() -> None:
    def shares(said: str) -> dict[str, float]:
        if said:
            raise RuntimeError("device-side assert")
        return {"a": 1.0}

    with pytest.raises(RuntimeError, match="device-side"):
        run(shares)


@pytest.mark.parametrize(("memory", "rows"), [(59, 5), (30, 3), (1, 1)])
def test_a_limit_of_memory_is_kept_by_parts_and_gives_the_same(memory: int, rows: int) -> None:
    whole, _ = run(letters, n=16)
    parts, batches = run(letters, n=16, memory_bytes=memory)
    assert parts == whole
    assert max(batches) <= rows


def test_a_reply_ends_before_the_first_of_the_stop_texts() -> None:
    line = "one\n## two ```"
    replies, _ = run(lambda said: {line[len(said)]: 1.0}, n=2, max_tokens=len(line), stop_texts=("```", "\n#", ""))
    assert replies == [Reply("one", 5, "stop")] * 2


class Words:
    """Holds replies to a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def allowed(self, tokens: Sequence[int]) -> list[int]:
        said = "".join(map(chr, tokens))
        return sorted({ord(word[len(said)]) for word in self.words if word.startswith(said) and len(word) > len(said)})

    def said(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))


def test_a_guide_says_what_may_follow_and_shares_are_those_of_what_may() -> None:
    replies, _ = run(lambda said: {"a": 0.1, "b": 0.3, "c": 0.5, "$": 0.1}, n=4000, guide=Words("aa", "b", "ac"))
    said = [reply.text for reply in replies]
    assert set(said) == {"aa", "b", "ac"}  # rows with different numbers of tokens that may follow
    assert abs(said.count("b") / 4000 - 0.75) < 0.03
    assert abs(said.count("ac") / said.count("aa") - 5) < 1.5
    assert {(reply.text, reply.tokens, reply.finish) for reply in replies} == {
        ("aa", 2, "stop"),
        ("b", 1, "stop"),
        ("ac", 2, "stop"),
    }


def test_rows_with_many_and_few_tokens_that_may_follow_are_drawn_together() -> None:
    words = Words(*(first + second for first in "ab" for second in ("x" if first == "a" else "stuvwxyz")))
    shares = {letter: 0.1 for letter in "abstuvwxyz"}
    for temperature in (0.0, 1.0, 5.0):
        replies, batches = run(lambda said: shares, n=64, temperature=temperature, guide=words)
        assert {reply.text for reply in replies} <= set(words.words)
        assert batches == [1 if temperature == 0 else 2]


def test_a_guide_decides_alone_where_a_reply_ends() -> None:
    options: dict[str, Any] = {"n": 4, "guide": Words("a$b", "a$c"), "stop": lambda said: 0, "stop_texts": ("a",)}
    replies, _ = run(lambda said: {"a": 0.2, "$": 0.4, "b": 0.2, "c": 0.2}, **options)
    assert {reply.text for reply in replies} <= {"a$b", "a$c"}
    assert run(coin, n=2, guide=Words("")) == ([Reply("", 0, "stop")] * 2, [])
    assert run(coin, n=2, guide=Words("aaaaa", "b"), temperature=0, max_tokens=3)[0] == [Reply("aaa", 3, "length")] * 2


@pytest.mark.parametrize("text", ["é", "x ", " "])
def test_a_stop_text_is_found_where_no_token_shows_its_end(text: str) -> None:
    class Bytes:
        """A tokenizer of bytes that hides blanks at the edges of a lone token."""

        def decode(self, tokens: Sequence[int]) -> str:
            said = bytes(tokens).decode(errors="replace")
            return said.strip() if len(tokens) == 1 else said

    whole = Text(Bytes(), list(b"pppp"), [])
    stop = Stop(whole, texts=[text])
    token = text.encode()[-1]
    assert stop.may_be(token) and stop(f"ab{text}c") == 2
    assert stop("ab") is None


def test_tokens_that_end_no_stop_text_are_not_looked_at() -> None:
    text = Text(Letters(), [], [])
    assert not Stop(text).may_be(ord(")")) and not Stop(text, texts=["```"]).may_be(ord("a"))
    assert Stop(text, lambda said: None).may_be(ord(")")) and Stop(text, texts=["```"]).may_be(ord("`"))


def test_a_program_that_ends_before_a_stop_text_ends_the_reply() -> None:
    line = "f()\nmore\n##"
    replies, _ = run(
        lambda said: {line[len(said)]: 1.0}, n=1, max_tokens=11, stop=lambda s: 3 if "\n" in s else None, stop_texts=("##",)
    )
    assert replies == [Reply("f()", 4, "stop")]
