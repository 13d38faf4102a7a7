"""The commands `search` and `resume`: put a configuration together, run it under a display, and sum up what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.cli.console import FLAG, JsonFlag, RunName, StoragePath, console, opened, print_json, run_name
from nasmith.errors import RunStoppedError

if TYPE_CHECKING:
    from nasmith.api import Result
    from nasmith.config import RunConfig
    from nasmith.events import Observer
    from nasmith.protocols import Task

__all__ = ["add_to"]

_WHAT, _SIZE, _WHERE = "What", "How much", "Where and how"
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar=FLAG, help="Show no progress.", rich_help_panel=_WHERE)]


def _option(*names: str, panel: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, help=help, show_default=False, **more)


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the commands below the heading `panel`."""
    app.command(rich_help_panel=panel)(search)
    app.command(rich_help_panel=panel)(resume)


def search(
    task: Annotated[
        str | None, typer.Argument(help="What to search for: see [bold]nasmith tasks[/].", show_default=False)
    ] = None,
    strategy: Annotated[
        str | None, _option("--strategy", panel=_WHAT, help="Who decides what to try. [dim]Default: evoprompting[/]")
    ] = None,
    lm: Annotated[
        str | None, _option("--lm", panel=_WHAT, help="Who proposes. [dim]Default: smollm2, inside this process[/]")
    ] = None,
    config: Annotated[Path | None, _option("--config", panel=_WHAT, help="A YAML file with the configuration.")] = None,
    settings: Annotated[
        list[str] | None, _option("--set", metavar="KEY=VALUE", panel=_WHAT, help="Any other option; may be repeated.")
    ] = None,
    rounds: Annotated[int | None, _option("--rounds", panel=_SIZE, help="Rounds of the strategy.")] = None,
    prompts: Annotated[int | None, _option("--prompts", panel=_SIZE, help="Prompts in a round.")] = None,
    samples: Annotated[int | None, _option("--samples", panel=_SIZE, help="Children from a prompt.")] = None,
    steps: Annotated[int | None, _option("--steps", panel=_SIZE, help="Training steps of a child.")] = None,
    evaluations: Annotated[int | None, _option("--budget-evaluations", panel=_SIZE, help="End after so many children.")] = None,
    minutes: Annotated[
        float | None,
        _option("--budget-minutes", panel=_SIZE, help="End the search after so many minutes; verification follows."),
    ] = None,
    seed: Annotated[
        int | None, _option("--seed", panel=_SIZE, help="The same seed gives the same search. [dim]Default: 0[/]")
    ] = None,
    workers: Annotated[int | None, _option("--workers", panel=_WHERE, help="Children trained at a time.")] = None,
    executor: Annotated[
        str | None, _option("--executor", panel=_WHERE, help="Where children are trained. [dim]Default: processes[/]")
    ] = None,
    storage: StoragePath = None,
    name: Annotated[
        str | None, _option("--name", panel=_WHERE, help="The run's name. [dim]Default: the task's name and a number[/]")
    ] = None,
    json: JsonFlag = False,
    quiet: _Quiet = False,
) -> None:
    """Search for models, verify the best, and say how to see them.

    Ctrl-C once finishes and stores what runs; twice stops at once. Either way [bold]nasmith resume[/] goes on later.
    """
    from nasmith import api, registry
    from nasmith.config import resolve

    chosen = resolve(
        task=task,
        lm=lm,
        strategy=strategy,
        executor=executor,
        seed=seed,
        settings=settings or (),
        file=config,
        flags={
            "strategy.rounds": rounds,
            "strategy.prompts": prompts,
            "strategy.samples": samples,
            "task.steps": steps,
            "executor.workers": workers,
            "budget.evaluations": evaluations,
            "budget.minutes": minutes,
        },
    )
    made = {
        part: registry.create(kind, chosen.component(part).name, chosen.component(part).options)
        for part, kind in registry.PARTS.items()
    }

    def run(observer: Observer) -> Result:
        return api.search(
            **made,
            storage=storage,
            name=name,
            seed=chosen.seed,
            budget=chosen.budget,
            verify=chosen.verify,
            observers=[observer],
        )

    _follow(run, made["task"], chosen, as_json=json, quiet=quiet, storage=storage)


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
    except RunStoppedError:
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
        where = f" --storage {storage}" if storage else ""
        text = f"Everything that was finished is stored. Go on with: nasmith resume {tracker.run.name}{where}"
        console(stderr=True).print(text, soft_wrap=True, markup=False)
