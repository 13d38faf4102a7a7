"""What a run's language model has cost and may still cost, requests under way counted in; and what a search will cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from nasmith.types import Call, Completion, Request

__all__ = ["Estimate", "Purse", "guess"]

_CHARACTERS_PER_TOKEN = 3.5  # of code and English, until the run has counted for itself
_REPLY_TOKENS = 160  # of a program, until the run has seen replies
Price = Callable[[int, int], float | None]
"""US dollars for (tokens in, tokens out); None where nobody knows."""


class Purse:
    """Counts tokens and dollars against limits.

    A request may begin while what was spent and what the requests under way will probably take is below every limit. So a limit
    is passed by what was under way, and by no more. Calls come from several threads.

    Args:
        tokens: Limit of prompt and reply tokens together; None for none.
        usd: Limit in US dollars; None for none.
        price: What tokens cost, for requests under way.
    """

    def __init__(self, tokens: int | None = None, usd: float | None = None, price: Price = lambda *_: None) -> None:
        self.tokens, self.usd = 0, 0.0
        self._limits, self._price = (math.inf if tokens is None else tokens, math.inf if usd is None else usd), price
        self._reserved: dict[int, tuple[int, float]] = {}
        self._seen = [0, 0, 0, 0]  # characters and tokens of prompts, replies and tokens of replies
        self._lock = Lock()

    def note(self, spent: Iterable[Completion | Call]) -> None:
        """Count what was charged."""
        with self._lock:
            for item in spent:
                self.tokens += item.tokens_in + item.tokens_out
                self.usd += item.cost
                if isinstance(item, Completion) and item.tokens_out:
                    characters = len(item.prompt) if item.tokens_in else 0
                    for place, value in enumerate((characters, item.tokens_in, 1, item.tokens_out)):
                        self._seen[place] += value

    def reserve(self, key: int, request: Request) -> None:
        """Count a request as under way."""
        with self._lock:
            characters, prompt_tokens, replies, reply_tokens = self._seen
            per_token = characters / prompt_tokens if prompt_tokens else _CHARACTERS_PER_TOKEN
            per_reply = reply_tokens / replies if replies else min(request.max_tokens, _REPLY_TOKENS)
            tokens_in, tokens_out = round(len(request.prompt) / per_token), round(request.n * per_reply)
            self._reserved[key] = tokens_in + tokens_out, self._price(tokens_in, tokens_out) or 0.0

    def release(self, key: int) -> None:
        """Count a request as ended."""
        with self._lock:
            self._reserved.pop(key, None)

    @property
    def has_room(self) -> bool:
        """Whether another request may begin."""
        with self._lock:
            tokens = self.tokens + sum(tokens for tokens, _ in self._reserved.values())
            usd = self.usd + sum(usd for _, usd in self._reserved.values())
        return tokens < self._limits[0] and usd < self._limits[1]

    @property
    def spent(self) -> str:
        """Which limit is reached by what was spent alone, in words; empty where none is."""
        with self._lock:
            if self.tokens >= self._limits[0]:
                return "the token budget was used up"
            return "the dollar budget was used up" if self.usd >= self._limits[1] else ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a search will probably take of its language model, verification aside: it asks nothing.

    Attributes:
        replies: Children that are asked for.
        tokens_in: Tokens of prompts.
        tokens_out: Tokens of replies.
        usd: US dollars; None where no price is known.
    """

    replies: int
    tokens_in: int
    tokens_out: int
    usd: float | None


def guess(replies: int, requests: Sequence[Request], price: Price) -> Estimate:
    """Estimate the cost of `replies` children, from requests such as the search begins with, for as many children as they ask.

    A prompt's tokens are its characters / 3.5; a reply is taken to have 160 tokens, which is a program of about 15 lines.
    A model that thinks before it answers takes several times as many.
    """
    children = sum(request.n for request in requests)
    share = replies / children if children else 0.0
    tokens_in = round(share * sum(len(request.prompt) for request in requests) / _CHARACTERS_PER_TOKEN)
    tokens_out = replies * _REPLY_TOKENS
    return Estimate(replies, tokens_in, tokens_out, price(tokens_in, tokens_out))
