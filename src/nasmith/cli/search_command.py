"""The commands `search` and `resume`: put a configuration together, run it under a display, and sum up what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.cli.console import FLAG, JsonFlag, RunName, StoragePath, console, opened, print_json, run_name
from nasmith.errors import RunStoppedError, StorageError, UsageError

if TYPE_CHECKING:
    from nasmith.api import Result
    from nasmith.config import RunConfig
    from nasmith.events import Observer
    from nasmith.protocols import Task
    from nasmith.spending import Estimate

__all__ = ["add_to"]

_REPLAY = "replay:"


def _option(panel: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, help=help, show_default=False, **more)


_what = partial(_option, "What")
_size = partial(_option, "How much")
_where = partial(_option, "Where and how")

_Task = Annotated[
    str | None, typer.Argument(help="Your task's folder, or a name: see [bold]nasmith tasks[/].", show_default=False)
]
_Strategy = Annotated[str | None, _what("Who decides what to try. [dim]Default: evoprompting[/]", "--strategy")]
_Lm = Annotated[
    list[str] | None,
    _what(
        "Who proposes, such as openai/MODEL, local/MODEL@URL, replay:RUN; several make an ensemble. "
        "[dim]Default: smollm2, inside this process[/]",
        "--lm",
        metavar="NAME",
    ),
]
_Config = Annotated[Path | None, _what("A YAML file with the configuration.", "--config")]
_Settings = Annotated[list[str] | None, _what("Any other option; may be repeated.", "--set", metavar="KEY=VALUE")]
_Rounds = Annotated[int | None, _size("Rounds of the strategy.", "--rounds")]
_Prompts = Annotated[int | None, _size("Prompts in a round.", "--prompts")]
_Samples = Annotated[int | None, _size("Children from a prompt.", "--samples")]
_Steps = Annotated[int | None, _size("Training steps of a child.", "--steps")]
_Data = Annotated[
    Path | None, _where("A folder with the task's data. [dim]Default: downloaded, or as $NASMITH_DATA says[/]", "--data")
]
_Evaluations = Annotated[int | None, _size("End after so many children.", "--budget-evaluations")]
_Minutes = Annotated[float | None, _size("End the search after so many minutes; verification follows.", "--budget-minutes")]
_Tokens = Annotated[int | None, _size("End when the language model has used so many tokens.", "--budget-tokens")]
_Usd = Annotated[float | None, _size("End when the language model has cost so many US dollars.", "--budget-usd")]
_Yes = Annotated[bool, _size("Do not ask before a search that costs money.", "--yes", "-y", metavar=FLAG)]
_Seed = Annotated[int | None, _where("The same seed gives the same search. [dim]Default: 0[/]", "--seed")]
_Workers = Annotated[int | None, _where("Children trained at a time.", "--workers")]
_Executor = Annotated[str | None, _where("Where children are trained. [dim]Default: processes[/]", "--executor")]
_Sandbox = Annotated[
    str | None, _where("What holds children: strict, namespaces, bwrap, off. [dim]Default: strict[/]", "--sandbox")
]
_Name = Annotated[str | None, _where("The run's name. [dim]Default: the task's name and a number[/]", "--name")]
_Quiet = Annotated[bool, _where("Show no progress.", "--quiet", "-q", metavar=FLAG)]


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the commands below the heading `panel`."""
    app.command(rich_help_panel=panel)(search)
    app.command(rich_help_panel=panel)(resume)


def search(
    task: _Task = None,
    strategy: _Strategy = None,
    lm: _Lm = None,
    config: _Config = None,
    settings: _Settings = None,
    rounds: _Rounds = None,
    prompts: _Prompts = None,
    samples: _Samples = None,
    steps: _Steps = None,
    evaluations: _Evaluations = None,
    minutes: _Minutes = None,
    tokens: _Tokens = None,
    usd: _Usd = None,
    yes: _Yes = False,
    seed: _Seed = None,
    workers: _Workers = None,
    data: _Data = None,
    executor: _Executor = None,
    sandbox: _Sandbox = None,
    storage: StoragePath = None,
    name: _Name = None,
    json: JsonFlag = False,
    quiet: _Quiet = False,
) -> None:
    """Search for models, verify the best, and say how to see them.

    Ctrl-C once finishes and stores what runs; twice stops at once. Either way [bold]nasmith resume[/] goes on later.
    """
    from nasmith.config import resolve

    flags = {
        "strategy.rounds": rounds,
        "strategy.prompts": prompts,
        "strategy.samples": samples,
        "task.steps": steps,
        "task.folder": None if data is None else str(data.expanduser().absolute()),
        "executor.workers": workers,
        "executor.sandbox": sandbox,
        "budget.evaluations": evaluations,
        "budget.minutes": minutes,
        "budget.tokens": tokens,
        "budget.usd": usd,
    }
    chosen = resolve(
        task=task,
        lm=lm or None,
        strategy=strategy,
        executor=executor,
        seed=seed,
        settings=settings or (),
        file=config,
        flags=flags,
        base=_recorded(lm or (), storage),
    )
    _begin(chosen, storage, name, as_json=json, quiet=quiet, yes=yes)


def _recorded(lms: Sequence[str], storage: str | None) -> Mapping[str, Any]:
    """Return the configuration of the run that `--lm replay:RUN` plays again; it holds where nothing else is said."""
    if len(lms) != 1 or not lms[0].startswith(_REPLAY):
        return {}
    with opened(storage) as read:
        return read.run(run_name(read, lms[0].removeprefix(_REPLAY))).config


def _begin(chosen: RunConfig, storage: str | None, name: str | None, *, as_json: bool, quiet: bool, yes: bool) -> None:
    from nasmith import api, registry

    made = {
        part: registry.create(kind, chosen.component(part).name, chosen.component(part).options)
        for part, kind in registry.PARTS.items()
    }

    for note in getattr(made["task"], "notes", list)():
        console(stderr=True).print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
    cost = api.estimate(made["task"], made["lm"], made["strategy"], chosen.budget)
    if cost is not None:
        _say_cost(cost, made["lm"].name, chosen)
        if not yes:
            _ask()

    def run(observer: Observer) -> Result:
        return api.search(
            **made,
            storage=storage,
            name=name,
            seed=chosen.seed,
            budget=chosen.budget,
            verify=chosen.verify,
            choice=chosen.choice,
            templates=chosen.templates,
            observers=[observer],
        )

    _follow(run, made["task"], chosen, as_json=as_json, quiet=quiet, storage=storage)


def _say_cost(cost: Estimate, lm: str, chosen: RunConfig) -> None:
    """Say what a search will probably take of its language model, and where it ends."""
    from nasmith.report.wording import dollars

    price = "for a price that nasmith does not know" if cost.usd is None else f"for about {dollars(cost.usd)}"
    limits = [dollars(chosen.budget.usd)] if chosen.budget.usd is not None else []
    limits += [f"{chosen.budget.tokens:,} tokens"] if chosen.budget.tokens is not None else []
    console(stderr=True).print(
        f"This search asks {lm} for up to {cost.replies:,} programs: about {cost.tokens_in:,} tokens in and "
        f"{cost.tokens_out:,} out, {price}; several times that with a model that thinks first. "
        + (f"It ends at {' or '.join(limits)}." if limits else "It has no limit: --budget-usd and --budget-tokens set one."),
        markup=False,
        soft_wrap=True,
    )


def _ask() -> None:
    """Go on only with a yes.

    Raises:
        UsageError: Nobody is there to be asked.
    """
    if not sys.stdin.isatty():
        raise UsageError("this search costs money, and nobody is there to be asked. Say --yes to begin it.")
    if not typer.confirm("Begin?", err=True):
        raise typer.Exit(0)


def resume(run: RunName = None, storage: StoragePath = None, json: JsonFlag = False, quiet: _Quiet = False) -> None:
    """Go on with a run that was stopped: the same candidates as if it had not been."""
    from nasmith import api, registry
    from nasmith.config import RunConfig

    with opened(storage) as read:
        name = run_name(read, run)
        chosen = RunConfig.model_validate(dict(read.run(name).config))
    task = registry.create("tasks", chosen.task.name, chosen.task.options)

    def go_on(observer: Observer) -> Result:
        return api.resume(name, storage, observers=[observer])

    _follow(go_on, task, chosen, as_json=json, quiet=quiet, storage=storage)


def _follow(
    run: Callable[[Observer], Result], task: Task, chosen: RunConfig, *, as_json: bool, quiet: bool, storage: str | None
) -> None:
    """Run under a display and sum up; an interrupted run says how it is resumed and ends with exit code 130."""
    from nasmith.cli.progress import observer
    from nasmith.cli.summary import print_summary, summary
    from nasmith.cli.tracker import Tracker

    minutes = chosen.budget.minutes
    tracker = Tracker(limit_seconds=None if minutes is None else 60 * minutes)
    try:
        with observer(tracker, console(stderr=as_json), task.objectives, quiet=quiet) as display:
            result = run(display)
    except KeyboardInterrupt:
        _say_resume(tracker, storage)
        raise typer.Exit(130) from None
    except (RunStoppedError, StorageError, UsageError):  # a key may be withdrawn in the middle of a run
        _say_resume(tracker, storage)
        raise
    if as_json:
        print_json(summary(result.storage, result.run.name, task))
    else:
        print_summary(console(), result.storage, result.run.name, task, storage)
    if tracker.finished is not None and not tracker.finished.complete:
        _say_resume(tracker, storage)
        raise typer.Exit(130)


def _say_resume(tracker: Any, storage: str | None) -> None:
    if tracker.run is not None:
        from nasmith.cli.summary import storage_flag

        text = f"Everything that was finished is stored. Go on with: nasmith resume {tracker.run.name}{storage_flag(storage)}"
        console(stderr=True).print(text, soft_wrap=True, markup=False)
