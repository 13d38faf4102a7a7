"""The commands `report` and `export`: write a run's page and pictures, or one of its models, into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasmith.cli.console import JsonFlag, RunName, StoragePath, console, opened, print_json, records_of

__all__ = ["add_to"]


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the commands below the heading `panel`."""
    app.command(rich_help_panel=panel)(report)
    app.command(rich_help_panel=panel)(export)


def report(
    run: RunName = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into; made where it is missing.")] = Path(
        "report"
    ),
    storage: StoragePath = None,
    json: JsonFlag = False,
) -> None:
    """Write a page (HTML, one file, no network needed) and pictures (PNG) of a run."""
    from nasmith.report.page import write_report

    with opened(storage) as opened_storage:
        records, task = records_of(opened_storage, run)
        written = write_report(records, task, output)
    if json:
        print_json([str(path) for path in written])
        return
    console().print(f"Report of {records.run.name}: {written[0]}", soft_wrap=True)
    console().print(f"[dim]and {len(written) - 1} pictures beside it[/]")


def export(
    run: RunName = None,
    candidate: Annotated[
        int | None, typer.Argument(help="Number of a verified candidate. [dim]Default: the best one[/]", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into; made where it is missing.")] = Path(
        "model"
    ),
    storage: StoragePath = None,
    json: JsonFlag = False,
) -> None:
    """Write a model as an importable Python file with trained weights, a README and a script that scores it."""
    from nasmith.export import export_model

    with opened(storage) as opened_storage:
        records, task = records_of(opened_storage, run)
        exported = export_model(records, task, opened_storage.folder(records.run.name), output, candidate)
    if json:
        print_json({"candidate": exported.candidate, "files": [str(path) for path in exported.files]})
        return
    trained = any(path.name == "evaluate.py" for path in exported.files)
    origin = ", written by a language model: read model.py before you run it" if trained else ": its network, untrained"
    console().print(f"Candidate {exported.candidate} of {records.run.name}{origin}.")
    for path in exported.files:
        console().print(f"  {path}", soft_wrap=True)
    if trained:
        console().print(f"Score it on the test set with: (cd {output} && python evaluate.py)", soft_wrap=True)
