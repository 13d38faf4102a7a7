"""The command `init`: write a task folder from data, or from a project that exists."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasmith.cli.console import console
from nasmith.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from nasmith.scaffold.looking import Table

__all__ = ["add_to"]

_ABOUT = {
    "images": "a folder of images for each class",
    "table": "a CSV file; a class or a quantity in one column",
    "series": "a CSV file, a row for each point in time; the next value of a column",
    "text": "a CSV file with texts, or a folder of .txt files for each class",
    "module": "a model and data of a project that you have (--from, --data)",
}
_KINDS = ("classification", "regression")


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the command below the heading `panel`."""
    app.command(rich_help_panel=panel)(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; empty, or made.", show_default=False)],
    template: Annotated[
        str | None, typer.Option("--template", "-t", help="images, table, series, text or module.", show_default=False)
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="A path, or package.module:function.", show_default=False)
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="Column that is predicted.", show_default=False)] = None,
    text: Annotated[str | None, typer.Option("--text", help="Column with the texts.", show_default=False)] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="classification or regression.", show_default=False)] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="MODULE:NAME", help="Your model: my_package.models:Net.", show_default=False)
    ] = None,
    arguments: Annotated[
        str | None, typer.Option("--args", help='What your model is called with: "width=32".', show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take what is found in the data.")] = False,
) -> None:
    """Write a task folder: your data, your model, what counts. What is not said is asked, or found in the data."""
    from nasmith.scaffold import TEMPLATES, Wanted, write_folder

    asks = _is_terminal() and not yes
    if template is None:
        template = "module" if source else _choose(asks, TEMPLATES)
    if template not in TEMPLATES:
        raise UnknownNameError("template", template, TEMPLATES)
    if kind is not None and kind not in _KINDS:
        raise UnknownNameError("kind", kind, _KINDS)
    if template == "module" and source is None:
        source = _answer(asks, "Your model (package.module:Net)", "--from my_package.models:Net")
    if data is None:
        own = template == "module"
        what = "Function that returns your data (package.module:function)" if own else f"Data ({_ABOUT[template]})"
        data = _answer(asks, what, "--data " + ("my_package.data:loaders" if own else "PATH"))
    if asks and template in {"table", "text", "series"} and not Path(data).expanduser().is_dir():
        target, kind = _ask_columns(data, template, target, kind)
    wanted = Wanted(template, data, target or "", text or "", kind or "", source or "", arguments or "", Path.cwd())
    written = write_folder(folder, wanted)
    out = console()
    out.print(f"Wrote {folder}: {_title(folder)}", markup=False, highlight=False, soft_wrap=True)
    for path in written:
        out.print(f"  {path.relative_to(folder)}", markup=False, highlight=False)
    out.print("Look at task.yaml and task.py. Then try it:", highlight=False)
    out.print(f"  nasmith check {folder}", markup=False, highlight=False, soft_wrap=True)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _title(folder: Path) -> str:
    """Return what the task was taken for, so that a wrong guess is seen at once."""
    import yaml

    return str(yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8"))["title"])


def _choose(asks: bool, templates: tuple[str, ...]) -> str:
    if not asks:
        raise UsageError(f"say what the task is made from: --template {'|'.join(templates)}, or --from my_package.models:Net")
    out = console()
    for name in templates:
        out.print(f"  [bold]{name:<8}[/] {_ABOUT[name]}")
    answer: str = typer.prompt("What is it", default=templates[0])
    return answer


def _answer(asks: bool, question: str, flag: str) -> str:
    if not asks:
        raise UsageError(f"something is missing, and nobody is there to be asked. Add: {flag}")
    answer: str = typer.prompt(question)
    return answer


def _ask_columns(data: str, template: str, target: str | None, kind: str | None) -> tuple[str, str | None]:
    """Ask for the column that is predicted, and what numbers in it mean where that is not clear; return both."""
    from nasmith.scaffold import look_at_table

    table = look_at_table(Path(data).expanduser())
    if target is None:
        console().print(f"Columns: {', '.join(table.columns)}", markup=False, highlight=False)
        target = str(typer.prompt("Column that is predicted", default=_offered(table, template)))
    table.demand(target, "--target")
    if template == "table" and kind is None and target not in table.words and table.is_class(target):
        numbers = f"{target} holds {table.distinct[target]} different numbers. Are these classes"
        kind = "classification" if typer.confirm(numbers, default=True) else "regression"
    return target, kind


def _offered(table: Table, template: str) -> str:
    """Return the last column, or of texts the one with the fewest values."""
    return min(table.columns, key=lambda name: table.distinct[name]) if template == "text" else table.columns[-1]
