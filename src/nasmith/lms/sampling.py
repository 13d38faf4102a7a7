"""Samples many replies to one prompt: what to draw, what has ended, and which replies still are the same.

Replies that have been equal so far are one row for the model, so that the opening that they share costs once; a row splits when
they part, and is dropped when they end. Every reply draws from random numbers of its own, fixed by the seed beforehand: what it
says does not depend on when the others end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

__all__ = ["Decoder", "Reply", "Text", "sample"]

_CLOSING = frozenset("\n)]}")
"""Only after one of these can a program have ended."""


class Decoder(Protocol):
    """A model that reads a prompt once and then continues it in rows."""

    def begin(self, tokens: Sequence[int], soft: Tensor | None = None) -> Tensor:
        """Read a prompt; return the logits of its continuation, shape (1, vocabulary)."""

    def step(self, origins: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Continue row `origins[i]` of the last step by `tokens[i]`; return logits, shape (rows, vocabulary)."""

    def forget(self) -> None:
        """Free the memory of the prompt and its continuations."""


class Text:
    """Turns a reply's tokens into text.

    Args:
        tokenizer: A `tokenizers.Tokenizer`.
        prompt: The prompt's tokens: some tokenizers write a token differently at a text's beginning.
        ends: Tokens that end a reply.
    """

    def __init__(self, tokenizer: Any, prompt: Sequence[int], ends: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._before = list(prompt[-4:])
        self._skip = len(tokenizer.decode(self._before))
        self._pieces: dict[int, bool] = {}
        self.ends = frozenset(ends)

    def __call__(self, tokens: Sequence[int]) -> str:
        """Return the text of a reply."""
        return self._tokenizer.decode(self._before + list(tokens))[self._skip :]

    def may_close(self, token: int) -> bool:
        """Whether a program may have ended with this token."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = not _CLOSING.isdisjoint(self._tokenizer.decode([token]))
        return known


@dataclass(slots=True)
class Reply:
    """One sampled reply.

    Attributes:
        text: The reply, cut where `stop` says.
        tokens: How many were sampled for it.
        finish: Whether it ended by itself or at the limit.
    """

    text: str
    tokens: int
    finish: Literal["stop", "length"]


@dataclass(slots=True)
class _Row:
    """Replies (their numbers) that have said the same so far."""

    replies: list[int]
    tokens: list[int] = field(default_factory=list)
    origin: int = 0


def sample(
    decoder: Decoder,
    logits: Tensor,
    text: Text,
    *,
    n: int,
    temperature: float,
    top_p: float,
    seed: int,
    max_tokens: int,
    stop: Callable[[str], int | None] | None,
) -> list[Reply]:
    """Return `n` replies to the prompt that `decoder` has read.

    Args:
        decoder: After `begin`.
        logits: What `begin` returned.
        text: Turns tokens into text.
        n: Number of replies.
        temperature: Divides the logits; 0 takes the likeliest token.
        top_p: Draw from the likeliest tokens that together hold this share of the probability, in (0, 1].
        seed: Fixes every random number.
        max_tokens: Limit of one reply.
        stop: Given a reply so far, the length at which it is complete, or None.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(n, max_tokens, generator=generator, dtype=torch.float64)
    replies: list[Reply | None] = [None] * n
    rows = [_Row(list(range(n)))]
    for place in range(max_tokens):
        choices = _choose(logits, rows, draws[:, place], temperature, top_p)
        rows = _split(rows, choices)
        alive = []
        for row in rows:
            ended = _ended(row.tokens, text, stop, last=place + 1 == max_tokens)
            if ended is None:
                alive.append(row)
            else:
                for number in row.replies:
                    replies[number] = ended
        rows = alive
        if not rows:
            break
        logits = decoder.step([row.origin for row in rows], [row.tokens[-1] for row in rows])
    return [reply for reply in replies if reply is not None]


def _choose(logits: Tensor, rows: Sequence[_Row], draws: Tensor, temperature: float, top_p: float) -> list[list[int]]:
    """Return, for each row, the next token of each of its replies."""
    if temperature == 0:
        best = logits.argmax(-1).tolist()
        return [[token] * len(row.replies) for row, token in zip(rows, best, strict=True)]
    shares = torch.softmax(logits.float() / temperature, dim=-1)
    if top_p < 1:
        shares = _nucleus(shares, top_p)
    sums = shares.cumsum(-1, dtype=torch.float64)
    chosen = []
    for row, line in zip(rows, sums, strict=True):
        # A draw below the whole sum always meets a token with a share above 0.
        marks = draws[row.replies].to(line.device) * line[-1]
        chosen.append(torch.searchsorted(line, marks, right=True).clamp_(max=len(line) - 1).tolist())
    return chosen


def _nucleus(shares: Tensor, top_p: float) -> Tensor:
    """Return the shares with 0 for all tokens outside the smallest set that holds `top_p`."""
    ordered, places = shares.sort(dim=-1, descending=True)
    outside = ordered.cumsum(-1) - ordered >= top_p
    return shares.scatter(-1, places, ordered.masked_fill(outside, 0.0))


def _split(rows: Sequence[_Row], choices: Sequence[Sequence[int]]) -> list[_Row]:
    """Return the rows after their replies' next tokens: one for each different continuation."""
    after = []
    for origin, (row, tokens) in enumerate(zip(rows, choices, strict=True)):
        parts: dict[int, list[int]] = {}
        for number, token in zip(row.replies, tokens, strict=True):
            parts.setdefault(token, []).append(number)
        after += [_Row(numbers, [*row.tokens, token], origin) for token, numbers in parts.items()]
    return after


def _ended(tokens: list[int], text: Text, stop: Callable[[str], int | None] | None, *, last: bool) -> Reply | None:
    """Return the reply if these tokens complete it."""
    over = tokens[-1] in text.ends
    if not (over or last or (stop is not None and text.may_close(tokens[-1]))):
        return None
    said = text(tokens[:-1] if over else tokens)
    cut = stop(said) if stop is not None else None
    if cut is not None:
        return Reply(said[:cut], len(tokens), "stop")
    if over or last:
        return Reply(said, len(tokens), "stop" if over else "length")
    return None
