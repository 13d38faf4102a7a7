"""The exceptions that nasmith raises.

    NasmithError                 everything below; a message that says what to do
    ├── UsageError               the user's mistake: a name, an option, a file
    │   ├── UnknownNameError     a task, LM, strategy, option … that does not exist
    │   ├── ConfigError          a configuration that breaks a rule
    │   ├── SeedError            a seed program that does not build or does not train
    │   └── RunBusyError         another process works on the run
    ├── MissingDependencyError   something that one command installs
    ├── SandboxError             candidates cannot be held as asked on this machine
    ├── StorageError             a database that cannot be used as it is
    ├── ExhaustedError           a language model has nothing more to say: the search ends
    └── RunStoppedError          the run ended early, with all it had stored

A bad candidate raises none of these: it is a row with a `Status`. `StorageWarning` is a warning: it works, but may not be
safe.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ConfigError",
    "ExhaustedError",
    "MissingDependencyError",
    "NasmithError",
    "RunBusyError",
    "RunStoppedError",
    "SandboxError",
    "SeedError",
    "StorageError",
    "StorageWarning",
    "UnknownNameError",
    "UsageError",
]


class NasmithError(Exception):
    """Base of all errors that nasmith raises on purpose; the message is written for the user."""


class UsageError(NasmithError):
    """Something that the user said cannot be done as said."""


class UnknownNameError(UsageError):
    """A name that does not exist; the message lists the valid ones and names the nearest.

    Args:
        kind: What the name should have been, such as "task" or "option of evoprompting".
        name: What came.
        valid: The names that exist.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        self.kind, self.name, self.valid = kind, name, sorted(valid)
        near = get_close_matches(name, self.valid, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        listing = ", ".join(self.valid) or "none"
        super().__init__(f"unknown {kind} {name!r}.{hint} Valid: {listing}.")


class ConfigError(UsageError):
    """A configuration value that breaks a rule; the message names file, line, key and rule."""


class SeedError(UsageError):
    """A seed program that does not build or does not train."""


class RunBusyError(UsageError):
    """Another process works on this run; the message names it."""


class MissingDependencyError(NasmithError):
    """Something optional is not installed; the message holds the command that installs it."""


class SandboxError(NasmithError):
    """Candidates cannot be held on this machine as was asked; nothing of them was run."""


class StorageError(NasmithError):
    """A database that is locked, read-only, full or of another version."""


class StorageWarning(UserWarning):
    """The storage works, but lies where records may be lost."""


class ExhaustedError(NasmithError):
    """A language model has nothing more to say, as a recording at its end; the search ends with what it has."""


class RunStoppedError(NasmithError):
    """A run ended before its last round; everything that it finished is stored."""
