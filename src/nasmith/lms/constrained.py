"""Holds replies to a grammar: says which tokens may follow, so that a reply is made of the options that its request gives.

Texts are compared as bytes: an option may be spelled by any tokens, of which none reaches beyond its end. Each token is drawn
by the model's probability among those that some option goes on with. So an option has the model's probability where one token
tells the options apart. Where it takes several, options that begin alike share all that the model gives to their beginning,
also what it would have gone on with otherwise; Park et al. 2024 (arXiv 2405.21047) are about the difference.

Text without a choice is not drawn. It is divided into tokens together with the options that follow it, as a model has read it:
", " and "none" are the tokens "," and " none".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

from nasmith.errors import UsageError

__all__ = ["Grammar", "Vocabulary"]

LOOK_AHEAD = 1000
"""Characters without a choice that are looked beyond; a grammar without an end has to be left."""


class Vocabulary:
    """What a tokenizer's tokens spell, as bytes. Special tokens spell nothing.

    Args:
        tokenizer: A `tokenizers.Tokenizer`: byte-level BPE, or pieces with "▁" for a blank and "<0x0A>" for a byte.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        bytewise = "ByteLevel" in json.dumps(json.loads(tokenizer.to_str())["decoder"])
        self._spelled = {
            token: _byte_level(piece) if bytewise else _pieced(piece)
            for piece, token in tokenizer.get_vocab(with_added_tokens=True).items()
            if not (token in added and added[token].special)
        }
        self._tokens: dict[bytes, list[int]] = {}
        for token, spelled in self._spelled.items():
            self._tokens.setdefault(spelled, []).append(token)
        self._longest = max(map(len, self._tokens), default=0)

    def spelled(self, token: int) -> bytes:
        """Return what a token spells."""
        return self._spelled.get(token, b"")

    def beginnings(self, text: bytes) -> list[int]:
        """Return the tokens that a text begins with: of "none", those for "n", "no", "non" and "none"."""
        ends = range(1, min(len(text), self._longest) + 1)
        return [token for end in ends for token in self._tokens.get(text[:end], ())]

    def divide(self, text: bytes) -> tuple[int, ...]:
        """Return a text's tokens as the tokenizer itself divides it; none where that would spell something else."""
        try:
            tokens = self._tokenizer.encode(text.decode(), add_special_tokens=False).ids
        except UnicodeDecodeError:  # it begins within a character
            return ()
        return tuple(tokens) if b"".join(map(self.spelled, tokens)) == text else ()


@dataclass(frozen=True, slots=True)
class _State:
    """Where a reply is in the grammar.

    Attributes:
        said: The reply up to the end of its last option.
        texts: What it may go on with from there, each as far as the end of an option; none where it is complete.
        begun: As much of one of them as is there.
        sure: Tokens that follow without a choice.
        following: Tokens that may follow, ascending.
    """

    said: str
    texts: tuple[bytes, ...] = ()
    begun: bytes = b""
    sure: tuple[int, ...] = ()
    following: tuple[int, ...] = ()


class Grammar:
    """The `Guide` of replies that are made of options.

    Args:
        vocabulary: Of the model's tokenizer.
        options: Given the reply so far, the texts that it may go on with, none of which begins another; none where it is
            complete. Asked at the ends of options alone; the same reply so far has to get the same texts.
    """

    def __init__(self, vocabulary: Vocabulary, options: Callable[[str], Sequence[str]]) -> None:
        self._vocabulary, self._options = vocabulary, options
        self._states: dict[tuple[int, ...], _State] = {}
        self._starts: dict[str, _State] = {}
        self._divided: dict[bytes, tuple[int, ...]] = {}

    def allowed(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return the tokens that may follow a reply's tokens, ascending; none where it is complete.

        Raises:
            UsageError: The tokenizer cannot spell an option.
            ValueError: An option begins another, or is empty.
        """
        return self._state(tuple(tokens)).following

    def said(self, tokens: Sequence[int]) -> str:
        """Return a reply's text: with what follows without a choice where nothing else does, without a part of a character."""
        state = self._state(tuple(tokens))
        return state.said + state.begun.decode(errors="ignore")

    def _state(self, tokens: tuple[int, ...]) -> _State:
        if tokens not in self._states:  # the state before is known, unless this is the first
            before = self._state(tokens[:-1]) if tokens else None
            self._states[tokens] = self._start("") if before is None else self._after(before, tokens[-1])
        return self._states[tokens]

    def _start(self, said: str) -> _State:
        """Return the state of a reply that ends with an option."""
        if said not in self._starts:
            sure, texts = "", self._asked(said)
            while len(texts) == 1 and len(sure) < LOOK_AHEAD:
                sure += texts[0]
                texts = self._asked(said + sure)
            ways = tuple((sure + text).encode() for text in texts)
            self._starts[said] = self._at(said, ways, b"", self._shared(ways)) if ways else _State(said + sure)
        return self._starts[said]

    def _after(self, state: _State, token: int) -> _State:
        """Return the state after one more token."""
        begun = state.begun + self._vocabulary.spelled(token)
        left = tuple(text for text in state.texts if text.startswith(begun))
        if begun in left:
            return self._start(state.said + begun.decode())
        sure = state.sure[1:]
        return self._at(state.said, left, begun, sure if sure or len(left) > 1 else self._rest(left[0], begun))

    def _at(self, said: str, texts: tuple[bytes, ...], begun: bytes, sure: tuple[int, ...]) -> _State:
        rests = [text[len(begun) :] for text in texts]
        following = sure[:1] or tuple(sorted({token for rest in rests for token in self._vocabulary.beginnings(rest)}))
        if not following:
            raise UsageError(
                f"the model's tokenizer has no token for the beginning of {rests[0].decode(errors='replace')!r}, so its "
                "replies cannot be held to what the request allows. Use another model."
            )
        return _State(said, texts, begun, sure, following)

    def _asked(self, said: str) -> list[str]:
        """Return the options after a reply so far, each once."""
        texts = sorted(set(self._options(said)))
        # Whatever begins another text stands right before one that it begins.
        if "" in texts or any(after.startswith(text) for text, after in pairwise(texts)):
            raise ValueError(f"the options after {said[-80:]!r} must be texts of which none begins another; got {texts[:20]}")
        return texts

    def _divide(self, text: bytes) -> tuple[int, ...]:
        if text not in self._divided:
            self._divided[text] = self._vocabulary.divide(text)
        return self._divided[text]

    def _shared(self, texts: Sequence[bytes]) -> tuple[int, ...]:
        """Return the tokens that all texts begin with, as the tokenizer divides them."""
        together = zip(*map(self._divide, texts), strict=False)
        return tuple(tokens[0] for tokens in takewhile(lambda tokens: len(set(tokens)) == 1, together))

    def _rest(self, text: bytes, begun: bytes) -> tuple[int, ...]:
        """Return the tokens for the rest of a text; none where the tokenizer cannot divide it at that place."""
        tokens, length = self._divide(text), 0
        for place, token in enumerate(tokens):
            if length == len(begun):  # it has been spelled as the tokenizer would
                return tokens[place:]
            length += len(self._vocabulary.spelled(token))
        return self._divide(text[len(begun) :])


def _byte_level(piece: str) -> bytes:
    """Return the bytes of a token of byte-level BPE; one that was added stands there as it is."""
    if all(letter in _BYTES for letter in piece):
        return bytes(_BYTES[letter] for letter in piece)
    return piece.encode(errors="replace")


def _pieced(piece: str) -> bytes:
    """Return the bytes of a token of other kinds."""
    byte = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", piece)
    return bytes.fromhex(byte[1]) if byte else piece.replace("▁", " ").encode(errors="replace")


def _letters() -> dict[str, int]:
    """Return the byte that each letter of byte-level BPE stands for (Radford et al. 2019, GPT-2's `bytes_to_unicode`)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}


_BYTES = _letters()
