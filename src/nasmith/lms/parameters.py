"""What a server takes besides the prompt: parameters that it refused once are not sent to it again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from nasmith.lms.exchange import Fault

__all__ = ["Parameters", "named"]

_DROPPABLE = ("temperature", "n", "stop", "seed", "max_completion_tokens", "max_tokens", "prompt_cache_key")
_WORDS = frozenset({"n", "stop"})  # these stand in a message for other reasons, too
_TOO_MUCH = ("context", "too large", "too long")  # the value is at fault, not that it is there


class Parameters:
    """The parameters that a model does without; shared by threads.

    Args:
        refused: Those known before the first request.
    """

    def __init__(self, refused: Iterable[str] = ()) -> None:
        self._refused = frozenset(refused)
        self._lock = Lock()

    @property
    def refused(self) -> frozenset[str]:
        """Names that are not sent; "max_tokens" among them means that the limit is sent by its newer name."""
        return self._refused

    def refuse(self, name: str) -> None:
        """Send this parameter no more."""
        with self._lock:
            self._refused |= {name}

    def accepted(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of the wanted parameters is to be sent; empty ones are left out."""
        sent = {name: value for name, value in wanted.items() if value not in (None, []) and name not in self._refused}
        if "max_tokens" in self._refused & wanted.keys() and "max_completion_tokens" not in self._refused:
            sent["max_completion_tokens"] = wanted["max_tokens"]
        return sent


def named(fault: Fault, body: Mapping[str, Any]) -> str:
    """Return the parameter of `body` that a server's refusal is about; empty where it is about something else."""
    too_much = any(words in fault.message.lower() for words in _TOO_MUCH)
    if fault.status not in (400, 422) or fault.outcome != "denied" or too_much:
        return ""
    sent = [name for name in _DROPPABLE if name in body]
    if fault.parameter in sent:
        return fault.parameter
    for name in sent:
        meant = rf"""["'`]{name}["'`]|\b{name}(:| must| is not) """ if name in _WORDS else rf"\b{name}\b"
        if re.search(meant, fault.message):
            return name
    return ""
