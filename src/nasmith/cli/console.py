"""What every command shares: the consoles, the storage that it opens, the run that it means, and JSON on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.errors import NasmithError, StorageError, UnknownNameError, UsageError
from nasmith.redaction import redacted
from nasmith.storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from rich.console import Console

    from nasmith.analysis import Records
    from nasmith.protocols import Storage, Task

__all__ = [
    "FLAG",
    "JsonFlag",
    "RunName",
    "StoragePath",
    "console",
    "fail",
    "opened",
    "print_json",
    "records_of",
    "run_name",
    "warn",
]

FLAG = " "
"""The metavar of options that take no value; typer would print "<bool>", which reads as if they took one."""

StoragePath = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="PATH",
        help=f"SQLite file or database URL with the runs. [dim]Default: {DEFAULT_STORAGE}[/]",
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", metavar=FLAG, help="Print JSON, for scripts.")]
RunName = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="Name of the run. [dim]Default: the newest[/]", show_default=False)
]


def console(*, stderr: bool = False) -> Console:
    """Return a console for people."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def fail(error: NasmithError) -> None:
    """Say an error on standard error: the message alone, no traceback."""
    from rich.text import Text

    console(stderr=True).print(Text.assemble(("error: ", "bold red"), redacted(str(error))), soft_wrap=True)


def warn(message: str) -> None:
    """Say a warning on standard error."""
    from rich.text import Text

    console(stderr=True).print(Text.assemble(("warning: ", "bold yellow"), redacted(message)), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON; numbers that JSON lacks (infinite, NaN) become null."""
    sys.stdout.write(json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


@contextmanager
def opened(where: str | None) -> Iterator[Storage]:
    """Open a storage for reading.

    Raises:
        StorageError: There is none.
    """
    from nasmith.api import open_storage

    path = where or DEFAULT_STORAGE
    if "://" not in path and not Path(path).exists():
        raise StorageError(
            f"there are no runs at {path}. Begin one with: nasmith search mnist1d, or name another with --storage."
        )
    storage = open_storage(path, read_only=True)
    try:
        yield storage
    finally:
        storage.close()


def run_name(storage: Storage, name: str | None) -> str:
    """Return the name of an existing run: `name`, or the newest.

    Raises:
        UnknownNameError: There is no such run.
        UsageError: There is no run at all.
    """
    runs = storage.runs()
    if not runs:
        raise UsageError("there are no runs in this storage. Begin one with: nasmith search mnist1d")
    if (
        name is None
    ):  # as the storage numbered them: a clock may have been set back; a comparison's runs are not looked at alone
        return next((run.name for run in reversed(runs) if not run.config.get("comparison")), runs[-1].name)
    if name not in {run.name for run in runs}:
        raise UnknownNameError("run", name, [run.name for run in runs])
    return name


def records_of(storage: Storage, name: str | None) -> tuple[Records, Task]:
    """Return the records of a run with its task."""
    from nasmith import analysis, registry

    records = analysis.read(storage, run_name(storage, name))
    part = records.run.config["task"]
    return records, registry.create("tasks", part["name"], part["options"])
