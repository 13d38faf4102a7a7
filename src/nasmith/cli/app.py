"""The application: which commands there are, how they are grouped, and how errors reach the user."""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nasmith.cli import (
    check_command,
    clrs_command,
    compare_command,
    components,
    deliver,
    doctor,
    imagenet_command,
    init_command,
    search_command,
    show,
)
from nasmith.cli.console import FLAG, fail, warn
from nasmith.errors import NasmithError, RunStoppedError, StorageWarning
from nasmith.redaction import redacted

__all__ = ["app"]


class _Group(TyperGroup):
    """Turns nasmith's own errors into one line and an exit code: 2 for what the user can put right, 1 for a run that broke."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        sys.excepthook = _show_bug  # typer set its own a moment ago, which prints whatever a message holds
        threading.excepthook = lambda bug: _show_bug(bug.exc_type, bug.exc_value)
        with warnings.catch_warnings():
            warnings.simplefilter("always", StorageWarning)
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            try:
                return super().invoke(ctx)
            except NasmithError as error:
                fail(error)
                raise typer.Exit(1 if isinstance(error, RunStoppedError) else 2) from error


def _show_bug(kind: type[BaseException], error: BaseException | None, *_: Any) -> None:
    """Print the traceback that Python would print, without the values of secret variables."""
    if error is not None:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))


def _show_warning(message: Warning | str, category: type[Warning], filename: str, line: int, *_: Any) -> None:
    """Say nasmith's own warnings as it says errors; others as Python does, on standard error."""
    if issubclass(category, StorageWarning):
        warn(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, line))


app = typer.Typer(
    name="nasmith",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Search for neural architectures with a language model that learns during the search.",
    epilog="Begin with [bold]nasmith doctor[/], then [bold]nasmith search mnist1d[/]. Every command has --help.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"nasmith {version('nasmith')}")
        except PackageNotFoundError:
            typer.echo("nasmith, not installed")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", metavar=FLAG, callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


init_command.add_to(app, "Search")
check_command.add_to(app, "Search")
search_command.add_to(app, "Search")
compare_command.add_to(app, "Search")
show.add_to(app, "Look at what was found")
deliver.add_to(app, "Look at what was found")
clrs_command.add_to(app, "Networks for images")
imagenet_command.add_to(app, "Networks for images")
components.add_to(app, "What there is")
doctor.add_to(app, "What there is")
