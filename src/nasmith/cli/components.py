"""The commands `tasks`, `lms`, `strategies`, `executors`: what there is to choose from, with every option and its default."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.cli.console import JsonFlag, console, print_json

if TYPE_CHECKING:
    from nasmith.registry import Kind

__all__ = ["add_to"]

_TITLES = {"tasks": "Tasks", "lms": "Language models", "strategies": "Strategies", "executors": "Executors"}
_FLAGS = {"tasks": "task.", "lms": "lm.", "strategies": "strategy.", "executors": "executor."}
_Name = Annotated[str | None, typer.Argument(help="Show the options of this one alone.", show_default=False)]


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the commands below the heading `panel`."""

    @app.command(rich_help_panel=panel)
    def tasks(name: _Name = None, json: JsonFlag = False) -> None:
        """List the tasks: what to search for."""
        _list("tasks", name, json)

    @app.command(rich_help_panel=panel)
    def lms(name: _Name = None, json: JsonFlag = False) -> None:
        """List the language models: who proposes."""
        _list("lms", name, json)

    @app.command(rich_help_panel=panel)
    def strategies(name: _Name = None, json: JsonFlag = False) -> None:
        """List the strategies: who decides what to try next."""
        _list("strategies", name, json)

    @app.command(rich_help_panel=panel)
    def executors(name: _Name = None, json: JsonFlag = False) -> None:
        """List the executors: where candidates are trained."""
        _list("executors", name, json)


def _list(kind: Kind, name: str | None, as_json: bool) -> None:
    from nasmith import registry

    entries = [_entry(kind, item) for item in ([name] if name else registry.names(kind))]
    if as_json:
        print_json(entries)
        return
    _print(kind, entries)


def _entry(kind: Kind, name: str) -> dict[str, Any]:
    from nasmith import registry

    name = registry.expand(kind, name)[0]
    explained = _explained(registry.load(kind, name))
    options = [
        {
            "name": option,
            "type": annotation,
            "required": default is inspect.Parameter.empty,
            "default": None if default is inspect.Parameter.empty else _plain(default),
            "help": explained.get(option, ""),
        }
        for option, (annotation, default) in registry.options(kind, name).items()
    ]
    return {"name": name, "summary": registry.summary(kind, name), "options": options}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _explained(component: type) -> dict[str, str]:
    """Return what is said of a component's arguments, by its docstring before those of the classes that it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(component.__mro__):
        found |= _arguments(inspect.cleandoc(each.__doc__ or ""))
    return found


def _arguments(docstring: str) -> dict[str, str]:
    """Return what the section "Args:" of a docstring says of each argument."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in docstring.splitlines():
        if line.strip() == "Args:":
            inside = True
        elif inside and line and not line.startswith(" "):
            break
        elif inside and line.startswith("    ") and not line.startswith("     ") and ":" in line:
            name, _, text = line.strip().partition(":")
            found[name] = text.strip()
        elif inside and name and line.strip():
            found[name] += " " + line.strip()
    return found


def _print(kind: Kind, entries: list[dict[str, Any]]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    screen = console()
    shown: list[dict[str, Any]] = []
    for entry in entries:
        screen.print(Text.assemble((entry["name"], "bold cyan"), f"  {entry['summary']}"))
        same = next((other["name"] for other in shown if other["options"] == entry["options"]), None)
        shown.append(entry)
        if not entry["options"]:
            continue
        if same is not None:
            screen.print(Padding(Text(f"options as those of {same}", "dim"), (0, 0, 1, 2)))
            continue
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, style="green", max_width=24)
        table.add_column(style="dim")
        for option in entry["options"]:
            default = "required" if option["required"] else str(option["default"])
            table.add_row(option["name"], Text(default), Text(option["help"]))
        screen.print(Padding(table, (0, 0, 1, 2)))
    screen.print(
        Text(f"Set an option with --set {_FLAGS[kind]}NAME=VALUE, or --set NAME=VALUE where one part alone has it.", "dim")
    )
