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
    onnx: Annotated[bool, typer.Option("--onnx/--no-onnx", help="Write ONNX too, where the model can be exported.")] = True,
    storage: StoragePath = None,
    json: JsonFlag = False,
) -> None:
    """Write a model as an importable Python file with trained weights, a model card and a script that verifies its score."""
    from nasmith import registry
    from nasmith.export import export_model
    from nasmith.modelcard import author
    from nasmith.protocols import space_of

    with opened(storage) as opened_storage:
        records, task = records_of(opened_storage, run)
        part = records.run.config["executor"]
        executor = registry.create("executors", part["name"], part["options"]) if onnx else None
        folder = opened_storage.folder(records.run.name)
        exported = export_model(records, task, folder, output, candidate, executor)
    if json:
        files = [str(path) for path in exported.files]
        print_json({"candidate": exported.candidate, "files": files, "why_no_onnx": exported.why_no_onnx or None})
        return
    names = {path.name for path in exported.files}
    trained = "weights.safetensors" in names
    designed = space_of(task) is not None
    who = author(records.candidates[exported.candidate], designed=designed) if trained else "Its network, untrained."
    console().print(f"Candidate {exported.candidate} of {records.run.name}. {who}", markup=False)
    for path in exported.files:
        console().print(f"  {path}", soft_wrap=True)
    if exported.why_no_onnx:
        console().print(f"No ONNX: {exported.why_no_onnx}", markup=False, soft_wrap=True, style="yellow")
    if "verify.py" in names:
        console().print(f"Score it on the test set with: (cd {output} && python verify.py)", soft_wrap=True)
