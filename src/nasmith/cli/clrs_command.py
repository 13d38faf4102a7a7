"""The commands below `nasmith clrs`: the final table of functions, and the sizes of their networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.cli.console import JsonFlag, console, print_json
from nasmith.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nasmith.function_table import Row

__all__ = ["add_to"]

_Files = Annotated[
    list[Path] | None, typer.Argument(help="Programs with the function. [dim]Default: the standard one[/]", show_default=False)
]
_Tasks = Annotated[str, typer.Option("--tasks", help="Algorithms, separated by commas, or all.")]
_Preset = Annotated[str, typer.Option("--preset", help="paper or small.")]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another option of the task, such as hidden=64.", show_default=False),
]
_Sandbox = Annotated[str, typer.Option("--sandbox", help="What holds the functions: strict, namespaces, bwrap or off.")]
_WIDTHS = (30, 9, 15, 15, 8)


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the commands as a group below the heading `panel`."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Compare functions of CLRS's graph network.")
    group.command()(evaluate)
    group.command()(count)
    app.add_typer(group, name="clrs", rich_help_panel=panel)


def evaluate(
    files: _Files = None,
    tasks: _Tasks = "all",
    steps: Annotated[int, typer.Option("--steps", help="Optimiser steps of each training.")] = 10_000,
    seeds: Annotated[int, typer.Option("--seeds", help="Trainings of each function on each task.")] = 3,
    preset: _Preset = "paper",
    settings: _Settings = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the table; one that is there goes on.")] = Path(
        "table"
    ),
    workers: Annotated[int | None, typer.Option("--workers", help="Trainings at a time.", show_default=False)] = None,
    sandbox: _Sandbox = "strict",
    json: JsonFlag = False,
) -> None:
    """Train functions on many algorithms, and compare them with the standard one and with published accuracies.

    Row by row: parameters, and the accuracy on the test set of graphs with 64 nodes. A function wins a row where its mean is
    above both that of the standard function, trained in the same way, and the published one. The same command goes on after a
    kill.
    """
    from nasmith.executors.processes import Processes
    from nasmith.function_table import Table
    from nasmith.function_table import evaluate as run

    options = {"steps": steps, **_options(preset, settings)}
    table = Table(output, _functions(files), _algorithms(tasks), seeds, options)
    say, every = console(stderr=json), list["Row"]()
    say.print(f"[bold]{_line('task', 'params', 'accuracy', 'standard', 'published')}[/]", soft_wrap=True)

    def executor() -> Processes:
        return Processes(workers, sandbox, timeout_seconds=7 * 86_400, memory_mb=16_000, output_mb=2048)

    def tell(rows: Sequence[Row]) -> None:
        every.extend(rows)
        _show(say, rows)

    def note(line: str) -> None:
        say.print(line, style="dim", markup=False, soft_wrap=True)

    run(table, executor, tell, note)
    written = table.write()
    if json:
        print_json([_plain(row) for row in every])
    for name in dict.fromkeys(row.function for row in every):
        mine = [row for row in every if row.function == name]
        say.print(
            f"{name}: above both others on {sum(row.wins for row in mine)} of {len(mine)} tasks", markup=False, soft_wrap=True
        )
    say.print("Written: " + ", ".join(map(str, written)), markup=False, soft_wrap=True)


def count(
    files: _Files = None,
    tasks: _Tasks = "all",
    preset: _Preset = "paper",
    settings: _Settings = None,
    sandbox: _Sandbox = "strict",
    json: JsonFlag = False,
) -> None:
    """Count the parameters of whole networks with functions, without training them."""
    from nasmith.executors.processes import Processes
    from nasmith.function_table import BASELINE, parameters
    from nasmith.tasks.clrs import Clrs
    from nasmith.tasks.clrs.packages import check_installed

    algorithms, options = _algorithms(tasks), _options(preset, settings)
    functions = _functions(files)
    check_installed()
    if not files:
        functions = {BASELINE: next(iter(Clrs(algorithms[0], **options).seeds().values()))}
    found = parameters(functions, algorithms, options, Processes(1, sandbox=sandbox, memory_mb=8000))
    if json:
        print_json(found)
        return
    say = console()
    for name, sizes in found.items():
        say.print(f"[bold]{name}[/]", soft_wrap=True)
        for algorithm, params in sizes.items():
            say.print(f"  {algorithm:30} {params:>11,}", soft_wrap=True)


def _show(say: Console, rows: Sequence[Row]) -> None:
    for row in rows:
        what = row.algorithm if row.function == "baseline" or len(rows) == 1 else f"{row.algorithm} {row.function}"
        published = f"{row.published[0]:.2f}" if row.published else ""
        accuracy = _spread(row.accuracies) or "failed"
        line = _line(what, f"{row.params:,}", accuracy, _spread(row.baseline), published)
        say.print(line + ("  wins" if row.wins else ""), markup=False, soft_wrap=True)


def _line(*cells: str) -> str:
    first, *rest = zip(cells, _WIDTHS, strict=True)
    return first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in rest)


def _spread(values: Sequence[float]) -> str:
    import statistics

    if not values:
        return ""
    return f"{statistics.fmean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


def _plain(row: Row) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(row), "wins": row.wins}


def _functions(files: list[Path] | None) -> dict[str, str]:
    """Read programs; their names are those of the files.

    Raises:
        UsageError: One cannot be read, or two have one name.
    """
    found: dict[str, str] = {}
    for path in files or ():
        if path.stem in found or path.stem == "baseline":
            raise UsageError(f"{path}: two functions would be called {path.stem!r}. Rename the file.")
        try:
            found[path.stem] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from error
    return found


def _algorithms(tasks: str) -> list[str]:
    """Return the algorithms that are named.

    Raises:
        UsageError: There is no such algorithm.
    """
    from nasmith.errors import UnknownNameError
    from nasmith.tasks.clrs.clrs_recipes import ALGORITHMS

    if tasks == "all":
        return list(ALGORITHMS)
    names = [name.strip().removeprefix("clrs-") for name in tasks.split(",") if name.strip()]
    if not names:
        raise UsageError("--tasks needs a name at least, or all.")
    for name in names:
        if name not in ALGORITHMS:
            raise UnknownNameError("algorithm of CLRS", name, ALGORITHMS)
    return list(dict.fromkeys(names))


def _options(preset: str, settings: list[str] | None) -> dict[str, Any]:
    """Return options of the task that were set.

    Raises:
        UsageError: A name or a value is wrong.
    """
    from nasmith.config import setting
    from nasmith.registry import validated
    from nasmith.tasks.clrs import Clrs

    given = validated("task 'clrs'", Clrs, {"algorithm": "bfs", "preset": preset, **dict(map(setting, settings or []))})
    named = {"preset", *(key for key, _ in map(setting, settings or []))}
    return {key: value for key, value in given.items() if key in named}
