"""The command `check`: try a task before anything is spent, and say what must be mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasmith.cli.console import FLAG, JsonFlag, console, print_json

if TYPE_CHECKING:
    from nasmith.checkup import Checkup, SeedTrial

__all__ = ["add_to"]

_PROMPT_LINES = 14


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the command below the heading `panel`."""
    app.command(rich_help_panel=panel)(check)


def check(
    task: Annotated[str, typer.Argument(help="The task's folder, or a name.", show_default=False)] = ".",
    lm: Annotated[
        list[str] | None, typer.Option("--lm", metavar="NAME", help="Whose prompt is shown.", show_default=False)
    ] = None,
    sandbox: Annotated[
        str | None, typer.Option("--sandbox", help="What holds candidates. [dim]Default: strict[/]", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="A YAML file with the configuration.")] = None,
    prompt: Annotated[bool, typer.Option("--prompt", metavar=FLAG, help="Show the whole first prompt.")] = False,
    json: JsonFlag = False,
) -> None:
    """Try a task: train every seed for a few steps, and look at shapes, sizes, time, leaks and the first prompt.

    Nothing is stored, and no language model is asked.
    """
    from nasmith import registry
    from nasmith.checkup import check_task
    from nasmith.config import resolve

    flags = {"executor.sandbox": sandbox, "executor.workers": 1}
    chosen = resolve(task=task, lm=lm or None, file=config, flags=flags)
    made = {
        part: registry.create(kind, chosen.component(part).name, chosen.component(part).options)
        for part, kind in registry.PARTS.items()
        if part != "strategy"
    }
    with console(stderr=True).status("Training every seed for a few steps …"):
        checkup = check_task(made["task"], made["lm"], made["executor"])
    if json:
        print_json({**asdict(checkup), "sound": checkup.sound})
    else:
        _print(checkup, task, whole_prompt=prompt)
    if not checkup.sound:
        raise typer.Exit(2)


def _print(checkup: Checkup, task: str, *, whole_prompt: bool) -> None:
    out = console()
    if checkup.title:
        out.print(f"[bold]{checkup.title}[/]", soft_wrap=True)
    if checkup.shapes:
        out.print("\nWhat candidates get:")
        for name, shape in checkup.shapes.items():
            out.print(f"  {name:<10} {shape}", highlight=False)
    if checkup.seeds:
        _print_seeds(checkup.seeds)
    if checkup.prompt:
        lines = checkup.prompt.splitlines()
        shown = lines if whole_prompt else lines[:_PROMPT_LINES]
        rest = "" if len(shown) == len(lines) else f", {len(shown)} of {len(lines)} lines (--prompt shows all)"
        out.print(f"\nThe first prompt{rest}:")
        for line in shown:
            out.print(f"  {line}", style="dim", markup=False, highlight=False, soft_wrap=True)
    out.print()
    for finding in checkup.findings:
        colour = "red" if finding.level == "error" else "yellow"
        out.print(f"[{colour}]{finding.level}[/]: ", end="")
        out.print(finding.text, markup=False, highlight=False, soft_wrap=True)
    if checkup.sound:
        out.print(f"Ready. Begin with: nasmith search {task}", soft_wrap=True, markup=False, highlight=False)


def _print_seeds(seeds: Sequence[SeedTrial]) -> None:
    from rich.table import Table

    from nasmith.report.wording import duration, number

    metrics = [name for name in next((seed.metrics for seed in seeds if seed.metrics), {}) if _shown(name)]
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column("seed")
    for name in metrics:
        table.add_column(name.removeprefix("val_").replace("_", " "), justify="right")
    table.add_column("memory", justify="right")
    table.add_column("whole training", justify="right")
    for seed in seeds:
        cells = [number(seed.metrics[name]) if name in seed.metrics else "-" for name in metrics]
        memory = "-" if seed.memory_mb is None else f"{seed.memory_mb:,.0f} MB"
        whole = "-" if seed.expected_seconds is None else f"about {duration(seed.expected_seconds)}"
        table.add_row(seed.label, *cells, memory, whole)
    steps = next((seed.steps for seed in seeds if seed.steps), 0)
    console().print(f"\nSeeds after {steps} steps:" if steps else "\nSeeds:")
    console().print(table)


def _shown(name: str) -> bool:
    hidden = {"fitness", "train_seconds", "best_point", "diverged", "latency_noise_ms"}
    return name not in hidden and not name.startswith("test_")
