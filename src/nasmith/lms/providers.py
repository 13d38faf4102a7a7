"""Who serves language models: one table of addresses, keys and habits, and how a name such as "openai/gpt-5-mini" is read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from nasmith.errors import ConfigError, UnknownNameError, UsageError

__all__ = ["PROVIDERS", "Key", "Provider", "Target", "find_key", "locate"]

Endpoint = Literal["chat", "completions"]


@dataclass(frozen=True, slots=True)
class Provider:
    """One who serves models.

    Attributes:
        name: The part of a model's name before the first slash.
        url: Of the interface; empty where each user has another.
        variables: Of the environment that may hold the key; the first that is set counts.
        endpoint: How its models are asked where the user does not say.
        prices: Its id in `genai-prices`; empty where it is not listed.
        free: Whether it takes no money. Then it needs no key either.
        refused: Parameters that it is known not to take; what else it refuses is found out.
    """

    name: str
    url: str
    variables: tuple[str, ...]
    endpoint: Endpoint = "chat"
    prices: str = ""
    free: bool = False
    refused: frozenset[str] = frozenset()


_OWN_SERVER = ("NASMITH_API_KEY",)

PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",), prices="openai"),
        Provider(
            "anthropic",
            "https://api.anthropic.com/v1",
            ("ANTHROPIC_API_KEY",),
            prices="anthropic",
            refused=frozenset({"n", "seed"}),
        ),
        Provider(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            prices="google",
        ),
        Provider("openrouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), prices="openrouter"),
        Provider("deepseek", "https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",), prices="deepseek"),
        Provider("ollama", "http://127.0.0.1:11434/v1", _OWN_SERVER, free=True, refused=frozenset({"n"})),
        Provider("vllm", "http://127.0.0.1:8000/v1", _OWN_SERVER, free=True),
        # Small models continue code and cannot be asked for it: measured with one of 135 million parameters.
        Provider("local", "", _OWN_SERVER, endpoint="completions", free=True),
    )
}


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider: what is sent as its name, and where to."""

    provider: Provider
    model: str
    url: str

    @property
    def label(self) -> str:
        """What the records call it: the name without the address."""
        return f"{self.provider.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and the variable that holds it (empty for the one that stands for none)."""

    variable: str
    value: str

    def __repr__(self) -> str:
        return f"Key({self.variable!r})"


def locate(name: str, base_url: str | None = None) -> Target:
    """Return what "PROVIDER/MODEL" or "PROVIDER/MODEL@URL" means; `base_url` says the same as "@URL".

    Raises:
        UnknownNameError: No such provider.
        ConfigError: A part is missing, or the address cannot be used or holds a secret.
    """
    where = re.search(r"@(?=https?://)", name)
    told = name[where.end() :] if where else ""
    provider, _, model = (name[: where.start()] if where else name).partition("/")
    if provider not in PROVIDERS:
        raise UnknownNameError("provider of language models", provider, PROVIDERS)
    if not model:
        raise ConfigError(f"model must be PROVIDER/MODEL; got {name!r}. Put the model's name behind the slash.")
    if told and base_url and told != base_url:
        raise ConfigError(f"model names the server {told!r} and base_url {base_url!r}: give one of them.")
    known = PROVIDERS[provider]
    url = told or base_url or known.url
    if not url:
        raise ConfigError(
            f"model {name!r}: say where the server is, as in {provider}/{model}@http://127.0.0.1:8080/v1, or by base_url."
        )
    _check_address(url)
    return Target(known, model, url.rstrip("/"))


def find_key(provider: Provider) -> Key:
    """Return the provider's key, from the environment or the file `.env` in the working directory.

    A key from the file is put into the environment, so that it is kept out of all that is stored and printed.

    Raises:
        UsageError: There is none, or it can be none; the message names the variables.
    """
    from dotenv import dotenv_values

    told = {name: os.environ.get(name, "").strip() for name in provider.variables}
    if not any(told.values()):
        file = dotenv_values(".env")
        told = {name: (file.get(name) or "").strip() for name in provider.variables}
        os.environ.update({name: value for name, value in told.items() if value})
    variable = next((name for name, value in told.items() if value), "")
    names = " or ".join(provider.variables)
    if not variable and provider.free:
        return Key("", "none")
    if not variable:
        raise UsageError(
            f"no key for {provider.name}: set the environment variable {names}, or put a line {provider.variables[0]}=… into a "
            "file .env in the working directory."
        )
    if not re.fullmatch(r"[!-~]+", told[variable]):
        raise UsageError(f"{variable} holds blanks or letters that no key has: copy the key again.")
    return Key(variable, told[variable])


def _check_address(url: str) -> None:
    """Raise ConfigError for an address that cannot be used, or is not to be stored with a run."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        extra = "@" in parts.netloc or bool(parts.query or parts.fragment)
    except ValueError:
        usable = extra = False
    if extra:  # the address itself is not shown: it may hold a secret
        raise ConfigError(
            "base_url must be scheme, host, port and path alone, and the one given holds a user, a password or a query. It is "
            "stored with the run: put the key into an environment variable."
        )
    if not usable or re.search(r"[^!-~]", url):
        raise ConfigError(f"base_url must be an address such as http://127.0.0.1:8000/v1; got {url!r}.")
