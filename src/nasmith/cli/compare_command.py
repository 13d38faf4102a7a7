"""The command `compare`: runs several strategies with many seeds under a display, and writes what came of it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.cli.console import FLAG, JsonFlag, StoragePath, console, print_json
from nasmith.errors import UsageError
from nasmith.storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from nasmith.comparison import Comparison

__all__ = ["add_to"]


def _option(panel: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, help=help, show_default=False, **more)


_what = partial(_option, "What")
_size = partial(_option, "How much")
_where = partial(_option, "Where and how")

_Task = Annotated[str, typer.Argument(help="What to search for: see [bold]nasmith tasks[/].", show_default=False)]
_Strategies = Annotated[
    str, _what("Who decides what to try, such as random,local-search: see [bold]nasmith strategies[/].", "--strategies")
]
_Lm = Annotated[
    list[str] | None,
    _what("Who proposes for strategies that ask a language model. [dim]Default: smollm2[/]", "--lm", metavar="NAME"),
]
_Settings = Annotated[
    list[str] | None,
    _what(
        "Any other option, for every run that has it; STRATEGY.OPTION=VALUE for one strategy alone. May be repeated.",
        "--set",
        metavar="KEY=VALUE",
    ),
]
_Against = Annotated[str | None, _what("The strategy that others are tested against. [dim]Default: the first[/]", "--against")]
_Disguise = Annotated[bool, _what("Run each strategy on the task under other names, too.", "--disguise", metavar=FLAG)]
_DisguiseSeed = Annotated[int | None, _what("Seed of those names; means --disguise. [dim]Default: 0[/]", "--disguise-seed")]
_Seeds = Annotated[int, _size("Runs of each strategy. [dim]Default: 20[/]", "--seeds")]
_Evaluations = Annotated[int, _size("Candidates of each run. [dim]Default: 100[/]", "--evaluations")]
_Checkpoints = Annotated[
    str | None, _size("Compare after so many evaluations, such as 10,50. [dim]Default: 10,30,100,…[/]", "--checkpoints")
]
_Yes = Annotated[bool, _size("Do not ask before runs that cost money.", "--yes", "-y", metavar=FLAG)]
_Data = Annotated[
    Path | None, _where("A folder with the task's data. [dim]Default: downloaded, or as $NASMITH_DATA says[/]", "--data")
]
_Workers = Annotated[int | None, _where("Processes. [dim]Default: one for each processor[/]", "--workers")]
_Executor = Annotated[str | None, _where("Where candidates run. [dim]Default: what the task prefers[/]", "--executor")]
_Out = Annotated[Path | None, _where("Folder for table, pictures and JSON. [dim]Default: beside the storage[/]", "--out", "-o")]
_Quiet = Annotated[bool, _where("Show no progress.", "--quiet", "-q", metavar=FLAG)]


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the command below the heading `panel`."""
    app.command(rich_help_panel=panel)(compare)


def compare(
    task: _Task,
    strategies: _Strategies,
    seeds: _Seeds = 20,
    evaluations: _Evaluations = 100,
    lm: _Lm = None,
    settings: _Settings = None,
    against: _Against = None,
    checkpoints: _Checkpoints = None,
    disguise: _Disguise = False,
    disguise_seed: _DisguiseSeed = None,
    executor: _Executor = None,
    data: _Data = None,
    workers: _Workers = None,
    storage: StoragePath = None,
    out: _Out = None,
    yes: _Yes = False,
    json: JsonFlag = False,
    quiet: _Quiet = False,
) -> None:
    """Run several strategies with many seeds, and say which is better, by how much, and whether by chance.

    Ctrl-C once finishes and stores what runs; the same command goes on later, and takes finished runs as they are.
    """
    from nasmith import comparing
    from nasmith.cli.compare_progress import watcher
    from nasmith.errors import NasmithError

    names = [name.strip() for name in strategies.split(",") if name.strip()]
    hidden = disguise_seed if disguise_seed is not None else 0 if disguise else None
    folder = [] if data is None else [f"task.folder={data.expanduser().absolute()}"]
    what = [*(settings or ()), *folder]
    shared: dict[str, Any] = {"lm": lm or None, "executor": executor, "settings": what, "workers": workers, "disguise": hidden}
    if lm and not yes:
        _ask_for_money(task, names, seeds, evaluations, shared)
    watch = watcher(console(stderr=json), quiet=quiet)
    try:
        with watch:
            made = comparing.compare(
                task,
                names,
                seeds,
                evaluations,
                **shared,
                storage=storage,
                against=against or "",
                checkpoints=_numbers(checkpoints),
                progress=watch,
            )
    except (KeyboardInterrupt, comparing.StoppedError):
        _say_how_to_go_on(watch.done, watch.total)
        raise typer.Exit(130) from None
    except NasmithError:
        if watch.done:
            _say_how_to_go_on(watch.done, watch.total)
        raise
    _deliver(made, out or _beside(storage) / made.name, as_json=json)


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(number) for number in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(f"--checkpoints takes numbers such as 10,30,100, got {text!r}.") from error


def _beside(storage: str | None) -> Path:
    """Return the folder of a storage, or that of the default one where it is no file."""
    return Path(storage if storage and "://" not in storage else DEFAULT_STORAGE).parent


def _deliver(made: Comparison, folder: Path, *, as_json: bool) -> None:
    from nasmith.cli.compare_table import print_comparison
    from nasmith.report.standings import write_comparison

    try:
        written = write_comparison(made, folder)
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}. Name another folder with --out.") from error
    if as_json:
        print_json(made.to_json())
        return
    screen = console()
    print_comparison(screen, made)
    screen.print()
    screen.print(f"Written: {', '.join([str(written[0]), *(path.suffix for path in written[1:])])}", soft_wrap=True)


def _ask_for_money(task: str, names: list[str], seeds: int, evaluations: int, shared: dict[str, Any]) -> None:
    """Say what runs will cost that ask a model for money, and go on only with a yes.

    Raises:
        UsageError: Nobody is there to be asked.
    """
    from nasmith import api
    from nasmith.arms import lineup, parts_of
    from nasmith.loop import Budget
    from nasmith.protocols import traits_of
    from nasmith.report.wording import dollars, plural

    paid, usd = 0, 0.0
    for arm in lineup(task, names, evaluations, **shared):
        parts = parts_of(arm.config)
        if not traits_of(parts["lm"]).free:
            paid += seeds
            cost = api.estimate(parts["task"], parts["lm"], parts["strategy"], Budget(evaluations=evaluations))
            usd += seeds * (cost.usd or 0.0) if cost is not None else 0.0
    if not paid:
        return
    price = f"about {dollars(usd)}, several times that with a model that thinks first" if usd else "a price that is not known"
    console(stderr=True).print(
        f"{plural(paid, 'run')} of up to {plural(evaluations, 'candidate')} ask a language model that costs money: {price}. "
        "Runs that are finished already cost nothing. --set budget.usd=... limits each run.",
        markup=False,
        soft_wrap=True,
    )
    if not sys.stdin.isatty():
        raise UsageError("this comparison costs money, and nobody is there to be asked. Say --yes to begin it.")
    if not typer.confirm("Begin?", err=True):
        raise typer.Exit(0)


def _say_how_to_go_on(done: int, total: int) -> None:
    text = f"{done:,} of {total:,} runs are finished and stored. The same command goes on with the rest."
    console(stderr=True).print(text, soft_wrap=True, markup=False)
