"""Reads what a server with the interface of OpenAI replies: choices and what they cost in tokens. Pure, and trusts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Choice", "Reply", "Usage", "estimated", "read", "share"]

_MOST_TOKENS = 10**9  # of one exchange; a larger number is no count, and no database's integer


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a reply's texts.

    Attributes:
        text: What the model said; empty where it said nothing.
        finish: "stop", "length" (cut at the limit) or "refused".
        message: The refusal in words, where there is one.
    """

    text: str
    finish: Literal["stop", "length", "refused"] = "stop"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one exchange. `tokens_cached` are part of `tokens_in`."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What an exchange brought; `usage` is None where the server counts nothing."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None


def read(data: Any) -> Reply | None:
    """Return the reply that a JSON value holds; None where it has no list of choices."""
    if not isinstance(data, dict) or not isinstance(data.get("choices"), list):
        return None
    return Reply(tuple(_choice(item) for item in data["choices"]), _usage(data.get("usage")))


def share(total: int, weights: Sequence[int]) -> list[int]:
    """Return whole numbers that sum to `total`, in proportion to the weights; equal ones where all weights are 0."""
    if not weights:
        return []
    weights = weights if any(weights) else [1] * len(weights)
    parts = [divmod(total * weight, sum(weights)) for weight in weights]
    shares = [whole for whole, _ in parts]
    by_remainder = sorted(range(len(parts)), key=lambda place: -parts[place][1])
    for place in by_remainder[: total - sum(shares)]:
        shares[place] += 1
    return shares


def estimated(text: str) -> int:
    """Return a guess at the tokens of a text: one for every 4 characters, rounded up."""
    return -(-len(text) // 4)


def _choice(item: Any) -> Choice:
    if not isinstance(item, dict):
        return Choice("")
    message = item.get("message")
    message = message if isinstance(message, dict) else {}
    text = _text(item.get("text", message.get("content")))
    refusal = _text(message.get("refusal"))
    if refusal or item.get("finish_reason") == "content_filter":
        return Choice(text or refusal, "refused", refusal or "the provider's filter")
    return Choice(text, "length" if item.get("finish_reason") == "length" else "stop")


def _text(content: Any) -> str:
    """Return the text of a content: a string, or a list of parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(stated: Any) -> Usage | None:
    if not isinstance(stated, dict):
        return None
    counts = [_count(stated, "prompt_tokens"), _count(stated, "completion_tokens")]
    details = stated.get("prompt_tokens_details")
    cached = _count(details, "cached_tokens") if isinstance(details, dict) else None
    if None in counts:
        return None
    tokens_in, tokens_out = (count or 0 for count in counts)
    return Usage(tokens_in, tokens_out, min(cached or 0, tokens_in))


def _count(stated: Mapping[str, Any], name: str) -> int | None:
    value = stated.get(name)
    return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else None
