"""Writes one model of a run as files that stand without nasmith: source, weights, a card, a script that verifies, ONNX."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasmith import analysis
from nasmith.analysis import Records, Verified
from nasmith.errors import ConfigError, StorageError, UnknownNameError, UsageError
from nasmith.files import write_whole
from nasmith.modelcard import BEGINNING, FILES, author, front_matter, model_card
from nasmith.protocols import Executor, Task, space_of
from nasmith.types import Description, Evaluation, Job, Status

__all__ = ["Exported", "choose_weights", "export_model", "write_for_user"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the candidate's id, the files, and why there is no ONNX where it was asked for."""

    candidate: int
    files: tuple[Path, ...]
    why_no_onnx: str = ""


def write_for_user(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there, where the user wants it.

    Raises:
        ConfigError: The file cannot be written there.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}. Choose another folder.") from error


def choose_weights(item: Verified, task: Task) -> Evaluation:
    """Return the verification with the best validation metrics that kept its weights; the test data has no say.

    Raises:
        UsageError: None kept weights.
    """
    kept = [evaluation for evaluation in item.evaluations if evaluation.weights]
    if not kept:
        what = "was verified, but no weights of it were kept. `nasmith show` has its source"
        raise UsageError(f"candidate {item.candidate.id} {what}.")
    return max(kept, key=lambda evaluation: (task.fitness(evaluation.metrics), -evaluation.seed))


def _choose(records: Records, task: Task, candidate: int | None) -> Verified:
    winners = [item for item in analysis.verified(records, task) if item.evaluations]
    if candidate is None:
        children = [item for item in winners if item.candidate.operator != "seed"]
        if not children:
            raise UsageError(_no_child(records, winners))
        return children[0]
    if candidate not in records.candidates:
        span = [f"{min(records.candidates)} to {max(records.candidates)}"] if records.candidates else []
        raise UnknownNameError(f"candidate of run {records.run.name!r}:", str(candidate), span)
    for item in winners:
        if item.candidate.id == candidate:
            return item
    names = ", ".join(str(item.candidate.id) for item in winners) or "none"
    raise UsageError(f"candidate {candidate} was not verified, so there are no trained weights of it. Verified: {names}.")


def _no_child(records: Records, winners: Sequence[Verified]) -> str:
    """Say why there is no child to export, and what to do."""
    name = records.run.name
    if not records.run.finished:
        return f"run {name!r} has no verified model yet. Finish it with: nasmith resume {name}"
    if winners:
        numbers = ", ".join(str(item.candidate.id) for item in winners)
        return f"no child of run {name!r} was verified. Its seeds were: name one of {numbers} to export it."
    return f"run {name!r} verified no model, so there are no trained weights of it. Search again with verify.best above 0."


def export_model(
    records: Records,
    task: Task,
    folder: Path,
    output: Path,
    candidate: int | None = None,
    executor: Executor | None = None,
) -> Exported:
    """Write a verified model into `output`: its source, weights, a model card, and a script that reproduces its score.

    All files are made before the first is written, and those of an earlier export that are not made again are removed: the
    folder never holds files of two models.

    Args:
        records: The run.
        task: The run's task.
        folder: The run's folder, with the weights.
        output: Where the files go; made where it is missing.
        candidate: Its id; None for the best verified child (by validation data, with the new seeds).
        executor: Fresh; makes ONNX of the model, where the task can, in a process that can do no harm. It is closed. None for
            no ONNX.

    Raises:
        UsageError: The candidate does not exist or was not verified, or `output` cannot be written.
        StorageError: The weights are not in the run's folder any more.
    """
    item = _choose(records, task, candidate)
    designed = space_of(task) is not None
    if designed and not any(evaluation.weights for evaluation in item.evaluations):
        return _export_design(records, task, item, output)
    chosen = choose_weights(item, task)
    source = folder / chosen.weights
    try:
        weights = source.read_bytes()
    except OSError as error:
        raise StorageError(f"the weights {source} cannot be read: {error.strerror}. Was the run's folder moved?") from error
    description = task.describe()
    companions: Mapping[str, bytes] = getattr(task, "companions", dict)()
    if description.example_script:
        companions = {**companions, "verify.py": description.example_script.encode()}
    onnx, why_not = _onnx(task, item, weights, executor)
    files = {
        "model.py": (_design_source(task, item) if designed else _source(records, description, item)).encode(),
        "weights.safetensors": weights,
        **companions,
        "scores.json": (json.dumps(dict(chosen.metrics), indent=2) + "\n").encode(),
        **({"model.onnx": onnx} if onnx else {}),
    }
    files["README.md"] = model_card(records, task, item, chosen, files, why_not).encode()
    return _written(item, output, files, why_not)


def _source(records: Records, description: Description, item: Verified) -> str:
    """Return a program as a module."""
    heading = f'"""{_title(records, item)}\n\n{author(item.candidate)}\n"""'
    return f"{heading}\n\n{description.preamble.strip()}\n\n\n{item.candidate.text.strip()}\n"


def _design_source(task: Task, item: Verified) -> str:
    """Return the network of a design as a module.

    Raises:
        UsageError: The task makes none.
    """
    program: Callable[[str], str] | None = getattr(task, "program", None)
    if program is None:
        raise UsageError(f"task {task.name!r} cannot make a network of a design, so there is nothing to export.")
    return program(item.candidate.text)


def _onnx(task: Task, item: Verified, weights: bytes, executor: Executor | None) -> tuple[bytes, str]:
    """Return the model as ONNX, or why there is none; candidates' code runs, so that it is made where candidates are."""
    workload = task.workload()
    if executor is None or not hasattr(workload, "export"):
        return b"", ""
    from safetensors.numpy import load

    try:
        executor.start(workload)
        outcome = executor.submit(Job(item.candidate.id, item.candidate.text, 0, (), "export", load(weights))).result()
    except UsageError as error:  # no sandbox here, say: the rest of the export needs none
        return b"", " ".join(str(error).split())
    finally:
        executor.close()
    found: Any = outcome.arrays.get("onnx")
    if outcome.status is not Status.OK or getattr(found, "dtype", None) != "uint8":
        return b"", " ".join((outcome.message or "the program returned none").split())
    return bytes(found.tobytes()), ""


def _export_design(records: Records, task: Task, item: Verified, output: Path) -> Exported:
    """Write the network of a design, untrained."""
    files = {"model.py": _design_source(task, item).encode()}
    rows = [f"| {name} | {value:.6g} |" for name, value in item.metrics.items() if name != "fitness"]
    readme = f"""{front_matter(files)}
# {_title(records, item)}

{task.describe().title}, design `{item.candidate.text}`. Found by `{records.run.config["strategy"]["name"]}`, nasmith
{records.run.version}, seed {records.run.config.get("seed", 0)}.

`model.py` needs PyTorch alone. `Model()` makes the network, untrained: its accuracy was looked up, so there are no weights.

| from the table | |
|---|---|
{chr(10).join(rows)}
"""
    return _written(item, output, {**files, "README.md": readme.encode()})


def _written(item: Verified, output: Path, files: Mapping[str, bytes], why_no_onnx: str = "") -> Exported:
    """Write files into a folder: a new one whole or not at all, over one that exists only after all of them are on the disk.

    Raises:
        ConfigError: They cannot be written there.
    """
    target = output.resolve()
    exists = target.is_dir()
    staged = (target if exists else target.parent) / f".{target.name}.{os.getpid()}.part"
    try:
        for name, data in files.items():
            write_whole(staged / name, data)
        if exists:
            stale = _of_export(target) - files.keys()
            for name in files:
                (staged / name).replace(target / name)
            for name in stale:
                (target / name).unlink(missing_ok=True)
        else:
            staged.rename(target)
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror}. Choose another folder.") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Exported(item.candidate.id, tuple(output / name for name in files), why_no_onnx)


def _of_export(folder: Path) -> set[str]:
    """Return the names of an earlier export's files, known by its card; none where the folder holds something else."""
    try:
        return set(FILES) if (folder / "README.md").read_text(encoding="utf-8").startswith(BEGINNING) else set()
    except (OSError, UnicodeDecodeError):
        return set()


def _title(records: Records, item: Verified) -> str:
    return f"Candidate {item.candidate.id} of the nasmith run {records.run.name}."
