"""Writes one model of a run as files that stand without nasmith: model.py, weights.safetensors, evaluate.py, README.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nasmith import analysis
from nasmith.analysis import Records, Verified
from nasmith.errors import ConfigError, StorageError, UnknownNameError, UsageError
from nasmith.files import write_whole
from nasmith.protocols import Task, space_of
from nasmith.types import Evaluation

__all__ = ["Exported", "choose_weights", "export_model", "write_for_user"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the candidate's id, and the files."""

    candidate: int
    files: tuple[Path, ...]


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
        raise UsageError(f"candidate {item.candidate.id} was verified, but no weights of it were kept.")
    return max(kept, key=lambda evaluation: (task.fitness(evaluation.metrics), -evaluation.seed))


def _choose(records: Records, task: Task, candidate: int | None) -> Verified:
    winners = [item for item in analysis.verified(records, task) if item.evaluations]
    if candidate is None:
        children = [item for item in winners if item.candidate.operator != "seed"]
        if not children:
            raise UsageError(
                f"run {records.run.name!r} has no verified model yet. Finish it with: nasmith resume {records.run.name}"
            )
        return children[0]
    if candidate not in records.candidates:
        span = [f"{min(records.candidates)} to {max(records.candidates)}"] if records.candidates else []
        raise UnknownNameError(f"candidate of run {records.run.name!r}:", str(candidate), span)
    for item in winners:
        if item.candidate.id == candidate:
            return item
    names = ", ".join(str(item.candidate.id) for item in winners) or "none"
    raise UsageError(f"candidate {candidate} was not verified, so there are no trained weights of it. Verified: {names}.")


def export_model(records: Records, task: Task, folder: Path, output: Path, candidate: int | None = None) -> Exported:
    """Write a verified model into `output`.

    Args:
        records: The run.
        task: The run's task.
        folder: The run's folder, with the weights.
        output: Where the files go; made where it is missing.
        candidate: Its id; None for the best verified child (by validation data, with the new seeds).

    Raises:
        UsageError: The candidate does not exist or was not verified, or `output` cannot be written.
        StorageError: The weights are not in the run's folder any more.
    """
    item = _choose(records, task, candidate)
    if space_of(task) is not None:
        return _export_design(records, task, item, output)
    chosen = choose_weights(item, task)
    source = folder / chosen.weights
    try:
        weights = source.read_bytes()
    except OSError as error:
        raise StorageError(f"the weights {source} cannot be read: {error.strerror}. Was the run's folder moved?") from error
    description = task.describe()
    model = f'"""{_title(records, item)}\n\nWritten by a language model: read it before you run it.\n"""\n\n'
    model += f"{description.preamble.strip()}\n\n\n{item.candidate.text.strip()}\n"
    files = {
        "model.py": model.encode(),
        "weights.safetensors": weights,
        "evaluate.py": description.example_script.encode(),
        "README.md": _readme(records, task, item, chosen).encode(),
    }
    return _written(item, output, files)


def _export_design(records: Records, task: Task, item: Verified, output: Path) -> Exported:
    """Write the network of a design, untrained."""
    program: Callable[[str], str] | None = getattr(task, "program", None)
    if program is None:
        raise UsageError(f"task {task.name!r} cannot make a network of a design, so there is nothing to export.")
    rows = [f"| {name} | {value:.6g} |" for name, value in item.metrics.items() if name != "fitness"]
    readme = f"""# {_title(records, item)}

{task.describe().title}, design `{item.candidate.text}`. Found by `{records.run.config["strategy"]["name"]}`, nasmith
{records.run.version}, seed {records.run.config.get("seed", 0)}.

`model.py` needs PyTorch alone. `Model()` makes the network, untrained: its accuracy was looked up, so there are no weights.

| from the table | |
|---|---|
{chr(10).join(rows)}
"""
    return _written(item, output, {"model.py": program(item.candidate.text).encode(), "README.md": readme.encode()})


def _written(item: Verified, output: Path, files: Mapping[str, bytes]) -> Exported:
    for name, data in files.items():
        write_for_user(output / name, data)
    return Exported(item.candidate.id, tuple(output / name for name in files))


def _title(records: Records, item: Verified) -> str:
    return f"Candidate {item.candidate.id} of the nasmith run {records.run.name}."


def _readme(records: Records, task: Task, item: Verified, chosen: Evaluation) -> str:
    config, count = records.run.config, len(item.evaluations)
    ancestors = [other for _, other in analysis.lineage(records.candidates, item.candidate.id)[1:]]
    origin = ", ".join(f"{other.id} ({other.label or other.operator})" for other in ancestors) or "none"
    flag = f"\nFlagged: its test error is much above its search error. {analysis.FLAG_RULE}\n" if item.flagged else ""
    return f"""# {_title(records, item)}

{task.describe().title}. Found by `{config["strategy"]["name"]}` with the language model `{analysis.lm_title(config["lm"])}`,
nasmith {records.run.version}, seed {config.get("seed", 0)}.

A language model wrote `model.py`. Read it before you run it.

| file | what it is |
|---|---|
| `model.py` | `Model()` makes the model, untrained |
| `weights.safetensors` | its trained weights |
| `evaluate.py` | loads both and prints the test error: run `python evaluate.py` in this folder |

## Measured on {count} trainings with new seeds

{_table(item, chosen)}

The weights are those of the training with seed {chosen.seed}: the best of the {count} on validation data. The test data had no
say in the choice.
{flag}
Ancestors: {origin}.
"""


def _table(item: Verified, chosen: Evaluation) -> str:
    rows = ["| metric | mean | standard deviation | these weights |", "|---|---|---|---|"]
    for name, mean in item.metrics.items():
        rows.append(f"| {name} | {mean:.6g} | {item.spreads[name]:.3g} | {chosen.metrics[name]:.6g} |")
    return "\n".join(rows)
