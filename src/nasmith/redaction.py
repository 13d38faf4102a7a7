"""Keeps secrets out of what is stored and printed: values of environment variables, and passwords in URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["redacted", "secret_in", "without_password"]

_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|_PASS$|_PWD$|CREDENTIAL|AUTH|COOKIE|PRIVATE", re.IGNORECASE)
_SHORTEST, _SHORTEST_REFUSED = 8, 12  # a shorter value may stand anywhere by chance
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+=.:~-][A-Za-z0-9_+=.:/~-]{19,}")
_PASSWORD = re.compile(r"(://[^:/?#@\s]*):[^\s]*@")
_IN_URL = re.compile(r"://[^:/?#@\s]*:([^\s]+)@")
_QUERY = re.compile(r"([?&][a-z_]*password=)[^&\s'\"]*", re.IGNORECASE)


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the text with every secret value replaced by its variable's name, as in "[OPENAI_API_KEY]".

    Secret is the value of a variable whose name says so (KEY, TOKEN, PASSWORD, …), and a long value that looks random, whatever
    its name. `environment` is this process's by default.
    """
    for name, value in _secrets(os.environ if environment is None else environment):
        if value in text:
            text = text.replace(value, f"[{name}]")
    return without_password(text) if "://" in text else text


def secret_in(value: Any, environment: Mapping[str, str] | None = None) -> str:
    """Return the name of a variable whose secret value stands somewhere in plain JSON values; empty where none does."""
    known = _secrets(os.environ if environment is None else environment)
    long = [(name, secret) for name, secret in known if len(secret) >= _SHORTEST_REFUSED]
    return next((name for text in _texts(value) for name, secret in long if secret in text), "")


def without_password(text: str) -> str:
    """Return the text with the passwords of its URLs replaced by "***"."""
    return _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def _secrets(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names and secret values, the longest value first: one may be part of another."""
    found = []
    for name, value in environment.items():
        if _NAMES.search(name) or _RANDOM.fullmatch(value):
            found.append((name, value))
        found += [(name, password) for password in _IN_URL.findall(value)]
    return sorted((item for item in found if len(item[1]) >= _SHORTEST), key=lambda item: -len(item[1]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
