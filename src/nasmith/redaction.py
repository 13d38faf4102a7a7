"""Keeps secrets out of what is stored and printed: values of environment variables, and passwords in URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["redacted", "secret_in", "without_password"]

_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|_PASS$|_PWD$|CREDENTIAL|AUTH|COOKIE|PRIVATE", re.IGNORECASE)
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+=.:~-][A-Za-z0-9_+=.:/~-]{19,}")
_PUBLIC = re.compile(
    r"_|HOME|HOSTNAME|LANG|LANGUAGE|LC_(ALL|COLLATE|CTYPE|MESSAGES|MONETARY|NUMERIC|TIME)|LOGNAME|LS_COLORS|NASMITH_CACHE|OLDPWD|PATH|PWD|PYTHONPATH|SHELL|TERM|TMPDIR|"
    r"USER|VIRTUAL_ENV|XDG_CACHE_HOME"
)
_SHORTEST, _SHORTEST_ODD = 8, 12  # a shorter value may stand anywhere by chance
_PASSWORD = re.compile(r"(://[^:/?#@\s]*):[^\s]*@")
_IN_URL = re.compile(r"://[^:/?#@\s]*:([^\s]+)@")
_QUERY = re.compile(r"([?&][a-z_]*password=)[^&\s'\"]*", re.IGNORECASE)


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the text with every secret value replaced by its variable's name, as in "[OPENAI_API_KEY]".

    Secret is the value of a variable whose name says so (KEY, TOKEN, PASSWORD, …), and every other one of some length unless
    its name is known to be harmless (HOME, PATH, …). `environment` is this process's by default.
    """
    if not text:
        return text  # most messages of evaluations are empty, and there are many
    for name, value in _secrets(os.environ if environment is None else environment, odd=True):
        if value in text:
            text = text.replace(value, f"[{name}]")
    return without_password(text) if "://" in text else text


def secret_in(value: Any, environment: Mapping[str, str] | None = None) -> str:
    """Return the name of a variable whose value stands somewhere in plain JSON values, where name or value say it is a secret.

    Empty where none does.
    """
    known = _secrets(os.environ if environment is None else environment, odd=False)
    long = [(name, secret) for name, secret in known if len(secret) >= _SHORTEST_ODD]
    return next((name for text in _texts(value) for name, secret in long if secret in text), "")


def without_password(text: str) -> str:
    """Return the text with the passwords of its URLs replaced by "***"."""
    return _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def _secrets(environment: Mapping[str, str], *, odd: bool) -> list[tuple[str, str]]:
    """Names and secret values, the longest value first: one may be part of another."""
    found = []
    for name, value in environment.items():
        public = _PUBLIC.fullmatch(name) or (not odd and not _RANDOM.fullmatch(value))
        if _NAMES.search(name) or (not public and len(value) >= _SHORTEST_ODD):
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
