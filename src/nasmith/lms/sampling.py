"""Samples many replies to one prompt: what to draw, what has ended, and which replies still are the same.

Replies that have been equal so far are one row for the model, so that the opening that they share costs once; a row splits when
they part, and is dropped when they end. Every reply draws from random numbers of its own, fixed by the seed beforehand: what it
says does not depend on when the others end. So replies that do not fit into memory together are sampled in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from nasmith.lms.devices import is_out_of_memory

__all__ = ["Decoder", "Guide", "Reply", "Stop", "Text", "sample"]

_CLOSING = frozenset("\n)]}")
"""Only after one of these can a program have ended."""


class Decoder(Protocol):
    """A model that reads a prompt once and then continues it in rows."""

    hidden_size: int

    def begin(self, tokens: Sequence[int], soft: Tensor | None = None) -> Tensor:
        """Read a prompt; return the logits of its continuation, shape (1, vocabulary)."""

    def step(self, origins: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Continue row `origins[i]` of the last step by `tokens[i]`; return logits, shape (rows, vocabulary)."""

    def key_value_bytes(self, rows: int, length: int) -> int:
        """Return what the prompt that was read and `rows` continuations of `length` tokens take in memory, in bytes."""

    def forget(self) -> None:
        """Free the memory of the prompt and its continuations."""


class Guide(Protocol):
    """Holds replies to a grammar."""

    def allowed(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return the tokens that may follow a reply's tokens, ascending; none where it is complete."""

    def said(self, tokens: Sequence[int]) -> str:
        """Return the text of a reply's tokens."""


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
        self._pieces: dict[int, str] = {}
        self.ends = frozenset(ends)

    def __call__(self, tokens: Sequence[int]) -> str:
        """Return the text of a reply."""
        return self._tokenizer.decode(self._before + list(tokens))[self._skip :]

    def piece(self, token: int) -> str:
        """Return the text of one token; a part of a character is "\ufffd"."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._tokenizer.decode([token])
        return known


class Stop:
    """Finds where a reply is complete.

    Args:
        text: Turns tokens into text.
        program: Given a reply so far, the length at which it is complete, or None.
        texts: A reply ends before the first of them.
    """

    def __init__(self, text: Text, program: Callable[[str], int | None] | None = None, texts: Iterable[str] = ()) -> None:
        self._text, self._program = text, program
        self._texts = tuple(filter(None, texts))
        # The last character of a text that has just appeared is in the last token; a tokenizer may hide blanks at its edges.
        last = {said[-1] for said in self._texts}
        self._always = any(map(str.isspace, last - {"\n"}))
        self._signs = frozenset(_CLOSING if program is not None else ()) | last | ({"\ufffd"} if last else set())

    def may_be(self, token: int) -> bool:
        """Whether a reply may be complete with this token; cheap."""
        return self._always or (bool(self._signs) and not self._signs.isdisjoint(self._text.piece(token)))

    def __call__(self, said: str) -> int | None:
        """Return the length at which a reply is complete, or None."""
        places = [place for place in map(said.find, self._texts) if place >= 0]
        cut = min(places, default=None)
        ended = self._program(said[:cut]) if self._program is not None else None
        return cut if ended is None else ended


@dataclass(slots=True)
class Reply:
    """One sampled reply.

    Attributes:
        text: The reply, cut where `stop` says, or as the guide has it.
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
    tokens: Sequence[int],
    text: Text,
    *,
    n: int,
    temperature: float,
    top_p: float,
    seed: int,
    max_tokens: int,
    stop: Stop | None = None,
    soft: Tensor | None = None,
    memory_bytes: int | None = None,
    guide: Guide | None = None,
) -> list[Reply]:
    """Return `n` replies to a prompt.

    Args:
        decoder: Reads the prompt and continues it.
        tokens: The prompt.
        text: Turns tokens into text.
        n: Number of replies.
        temperature: Divides the logits; 0 takes the likeliest token.
        top_p: Draw from the likeliest tokens that together hold this share of the probability, in (0, 1].
        seed: Fixes every random number.
        max_tokens: Limit of one reply.
        stop: Where a reply is complete; None for the model's own end alone.
        soft: Vectors before the prompt.
        memory_bytes: Limit of the keys and values; as many replies as it holds are sampled together, and at least one.
        guide: Says what may follow and where a reply is complete, in place of `stop` and the model's own end.

    Raises:
        RuntimeError: The device's memory does not hold one reply.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(n, max_tokens, generator=generator, dtype=torch.float64)
    stop = stop or Stop(text)
    replies: dict[int, Reply] = {}
    waiting, together = list(range(n)), n
    while waiting:
        logits = decoder.begin(tokens, soft)
        if memory_bytes is not None:
            fits = (rows for rows in range(together, 0, -1) if decoder.key_value_bytes(rows, max_tokens) <= memory_bytes)
            together = next(fits, 1)
        part = waiting[:together]
        steps = _Continued(decoder, text, stop, draws, temperature, top_p, guide)
        try:
            steps.run(logits, part, replies)
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(part) == 1:
                raise
            together = len(part) // 2
        if together < len(part):
            decoder.forget()  # outside of the handler, whose traceback holds the memory, too
        waiting = [number for number in waiting if number not in replies]
    return [replies[number] for number in range(n)]


@dataclass(frozen=True, slots=True)
class _Continued:
    """Continues a prompt that the decoder has read, for some of the replies."""

    decoder: Decoder
    text: Text
    stop: Stop
    draws: Tensor
    temperature: float
    top_p: float
    guide: Guide | None = None

    def run(self, logits: Tensor, numbers: list[int], replies: dict[int, Reply]) -> None:
        """Put the replies of these numbers into `replies`, each when it has ended."""
        rows, most = [_Row(numbers)], self.draws.shape[1]
        if self.guide is not None and not self.guide.allowed([]):  # it has said all before a token is drawn
            replies.update(dict.fromkeys(numbers, Reply(self.guide.said([]), 0, "stop")))
            return
        for place in range(most):
            alive = []
            for row in _split(rows, self._choices(logits, rows, self.draws[:, place])):
                ended = self._ended(row.tokens, last=place + 1 == most)
                if ended is None:
                    alive.append(row)
                else:
                    replies.update(dict.fromkeys(row.replies, ended))
            if not alive:
                return
            rows = alive
            logits = self.decoder.step([row.origin for row in rows], [row.tokens[-1] for row in rows])

    def _choices(self, logits: Tensor, rows: Sequence[_Row], draws: Tensor) -> list[list[int]]:
        """Return, for each row, the next token of each of its replies."""
        if self.guide is None:
            return _choose(logits, rows, draws, self.temperature, self.top_p)
        allowed = [self.guide.allowed(row.tokens) for row in rows]
        chosen = _choose(_among(logits, allowed), rows, draws, self.temperature, self.top_p)
        return [[tokens[place] for place in places] for tokens, places in zip(allowed, chosen, strict=True)]

    def _ended(self, tokens: list[int], *, last: bool) -> Reply | None:
        """Return the reply if these tokens complete it."""
        if self.guide is None:
            return _ended(tokens, self.text, self.stop, last=last)
        if self.guide.allowed(tokens) and not last:
            return None
        return Reply(self.guide.said(tokens), len(tokens), "length" if self.guide.allowed(tokens) else "stop")


def _choose(logits: Tensor, rows: Sequence[_Row], draws: Tensor, temperature: float, top_p: float) -> list[list[int]]:
    """Return, for each row, the place of the next token of each of its replies among the logits."""
    if temperature == 0:
        best = logits.argmax(-1).tolist()
        return [[token] * len(row.replies) for row, token in zip(rows, best, strict=True)]
    shares = torch.softmax(logits.float() / temperature, dim=-1)
    if top_p < 1:
        shares = _nucleus(shares, top_p)
    # Sums are float64, which MPS lacks.
    sums = (shares.cpu() if shares.device.type == "mps" else shares).cumsum(-1, dtype=torch.float64)
    chosen = []
    for row, line in zip(rows, sums, strict=True):
        # A draw below the whole sum always meets a token with a share above 0.
        marks = draws[row.replies].to(line.device) * line[-1]
        chosen.append(torch.searchsorted(line, marks, right=True).clamp_(max=len(line) - 1))
    # One transfer for all rows, since a device is waited for at each.
    tokens = iter(torch.cat(chosen).tolist())
    return [[next(tokens) for _ in row.replies] for row in rows]


def _among(logits: Tensor, allowed: Sequence[Sequence[int]]) -> Tensor:
    """Return each row's logits of its allowed tokens, shape (rows, most tokens of a row); -inf behind the last."""
    most = max(map(len, allowed))
    places = torch.tensor([[*tokens, *[0] * (most - len(tokens))] for tokens in allowed], device=logits.device)
    counts = torch.tensor([[len(tokens)] for tokens in allowed], device=logits.device)
    beyond = torch.arange(most, device=logits.device) >= counts
    return logits.gather(1, places).masked_fill(beyond, -torch.inf)


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


def _ended(tokens: list[int], text: Text, stop: Stop, *, last: bool) -> Reply | None:
    """Return the reply if these tokens complete it."""
    over = tokens[-1] in text.ends
    if not (over or last or stop.may_be(tokens[-1])):
        return None
    said = text(tokens[:-1] if over else tokens)
    cut = stop(said)
    if cut is not None:
        return Reply(said[:cut], len(tokens), "stop")
    if over or last:
        return Reply(said, len(tokens), "stop" if over else "length")
    return None
