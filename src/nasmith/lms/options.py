"""What the classes of hosted models share before anything is asked: rules of options, defaults, and what to keep secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nasmith.redaction import redacted

__all__ = ["broken_rules", "default_operators", "secrets"]


def default_operators(*, chat: bool) -> dict[str, float]:
    """Return the operators that suit models which are asked, or which continue text, with relative weights."""
    return {"crossover": 1.0, "edit": 1.0, "draft": 0.1} if chat else {"crossover": 1.0, "infill": 1.0}


def secrets(further: Mapping[str, str]) -> dict[str, str]:
    """Return the environment's variables that hold secrets, and further ones, as `redacted` takes them.

    Looked up once: no reply has to wait for it, and a key stays known when the environment changes.
    """
    found = {name: value for name, value in os.environ.items() if redacted(value, {name: value}) != value}
    return {**found, **further}


def broken_rules(lm: Any) -> list[str]:
    """Return what is wrong with the options of a hosted model, one sentence for each that breaks a rule."""
    rules: list[tuple[str, bool, str]] = [
        ("endpoint", lm.endpoint in (None, "chat", "completions"), '"chat" or "completions"'),
        ("temperatures", bool(lm.temperatures) and min(lm.temperatures) >= 0, "one or more numbers from 0 up"),
        (
            "operators",
            sum(lm.operators.values()) > 0 and min(lm.operators.values()) >= 0,
            "weights from 0 up, one above 0",
        ),
        ("max_tokens", lm.max_tokens is None or lm.max_tokens > 0, "above 0"),
        ("rejections", lm.rejections >= 0, "0 or more"),
        ("longest_wait_seconds", lm.longest_wait_seconds >= 0, "0 or more"),
        ("price_in", lm.price_in is None or lm.price_in >= 0, "0 or more"),
        ("price_out", lm.price_out is None or lm.price_out >= 0, "0 or more"),
        ("price_out", (lm.price_in is None) == (lm.price_out is None), "given together with price_in"),
    ]
    positive = ("concurrency", "batch", "tries", "timeout_seconds", "max_reply_bytes")
    rules += [(option, getattr(lm, option) > 0, "above 0") for option in positive if hasattr(lm, option)]
    return [f"{option} of {lm.name} must be {rule}; got {getattr(lm, option)!r}." for option, holds, rule in rules if not holds]
