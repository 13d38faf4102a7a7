"""Writes the card of an exported model: what it is, how it was found, what was measured, and what nobody promises."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions, version
from pathlib import Path

from nasmith import analysis
from nasmith.analysis import Records, Verified
from nasmith.protocols import Task, space_of
from nasmith.types import Candidate, Evaluation, Status

__all__ = ["BEGINNING", "FILES", "author", "front_matter", "model_card", "own_imports"]

FILES: Mapping[str, str] = {
    "model.py": "`Model()` makes the model, untrained",
    "graph_network.py": "the network around the function, of dm-clrs alone",
    "weights.safetensors": "its trained weights",
    "predict.py": "loads both and names the classes of images: run `python predict.py IMAGE` in this folder",
    "verify.py": "loads both and scores them on the test data: run `python verify.py` in this folder",
    "test.safetensors": "the test data that it does that on, inputs `x` and targets `y`",
    "scores.json": "what was measured for these weights",
    "model.onnx": "the trained model as ONNX, input `x`, output `y`, any batch size",
}
"""What each file of an export is, by name."""

BEGINNING = "---\ntags:\n- nasmith\n- neural-architecture-search\n"
"""What a card begins with; an export is known by it."""

_GIVEN = {"torch", "numpy"}
_JAX = {"haiku", "jax"}
_BESIDE = {"safetensors", "model"}  # what verify.py imports in any case
_UNITS = {"latency_ms": ("latency", "ms"), "peak_memory_mb": ("peak memory", "MB"), "train_seconds": ("training time", "s")}
_LABELS = {"params": "parameters", "flops": "FLOPs for one input"}
_LICENCE = (
    "The source was written by a language model from the seed programs of the task; the weights follow from your data. nasmith "
    "claims no rights in either and grants none: what applies is what applies to the seeds, the data and the language model."
)
_LICENCE_OF_SEED = (
    "The source is a seed program of the task, and the weights follow from your data. nasmith claims no rights in either and "
    "grants none."
)
_LICENCE_OF_DESIGN = (
    "The source is part of nasmith (Apache-2.0); the weights follow from your data. nasmith claims no rights in the weights "
    "and grants none."
)
_LIMITS = "What was measured holds for data like the test data. Nothing was measured of fairness, robustness or safety."
_UNSAID = {"fitness", "best_point", "latency_noise_ms"}


def model_card(
    records: Records,
    task: Task,
    item: Verified,
    chosen: Evaluation,
    files: Mapping[str, bytes],
    why_no_onnx: str = "",
) -> str:
    """Return the card as Markdown, with front matter.

    Args:
        records: The run.
        task: The run's task.
        item: The model, verified.
        chosen: The training that its weights are of.
        files: The files beside the card, by name.
        why_no_onnx: Why there is no ONNX; empty where there is, or where nobody asked.
    """
    count, designed = len(item.evaluations), space_of(task) is not None
    entry = task.describe().entry
    known = {**FILES, **({} if designed or entry in {"", "Model"} else {"model.py": f"the function `{entry}` that was found"})}
    listed = "\n".join(f"| `{name}` | {known.get(name, 'see the task')} |" for name in files)
    sections = [
        f"{front_matter(files)}\n# Candidate {item.candidate.id} of the nasmith run {records.run.name}",
        f"{task.describe().title.rstrip('.')}. `model.py`: {author(item.candidate, designed=designed)}",
        f"| file | what it is |\n|---|---|\n{listed}",
        *([f"There is no ONNX file: {why_no_onnx.rstrip('.')}."] if why_no_onnx else []),
        *_needs(files),
        f"## Data\n\n{_data(records, task, files)}",
        f"## Measured on {count} training{'s' if count > 1 else ''} with new seeds\n\n{_table(item, chosen)}",
        *_notes(item, chosen),
        f"## How it was found\n\n{_origin(records, item)}",
        f"## Licence\n\n{_licence(item.candidate, designed)}",
        f"## Limits\n\n{_LIMITS}",
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(files: Mapping[str, bytes]) -> str:
    """Return what the Hugging Face Hub reads of a card: tags, and the library that `model.py` is written for."""
    library = "pytorch" if _JAX.isdisjoint(_imports_of(files, "model.py")) else "jax"
    return f"{BEGINNING}library_name: {library}\n---\n"


def author(candidate: Candidate, *, designed: bool = False) -> str:
    """Return a sentence on who wrote a program, or of which design it is."""
    if designed:
        return f"The design {candidate.text}; the code is nasmith's own."
    if candidate.operator == "seed":
        return f"The seed program {candidate.label!r} of the task."
    return "Written by a language model: read it before you run it."


def _licence(candidate: Candidate, designed: bool) -> str:
    if designed:
        return _LICENCE_OF_DESIGN
    return _LICENCE if candidate.operator != "seed" else _LICENCE_OF_SEED


def own_imports(source: str) -> list[str]:
    """Return the top-level modules that a source imports and that are not Python's, PyTorch or NumPy.

    Raises:
        SyntaxError: It is no Python.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return sorted(found - _GIVEN - set(sys.stdlib_module_names))


def _imports_of(files: Mapping[str, bytes], name: str) -> list[str]:
    """Return what a file imports, as `own_imports` does; nothing where there is no such file or it is no Python."""
    try:
        return own_imports(files.get(name, b"").decode())
    except SyntaxError:
        return []


def _needs(files: Mapping[str, bytes]) -> list[str]:
    """Say what the scripts import beside PyTorch and NumPy, and where that comes from."""
    said = []
    beside = {name.removesuffix(".py") for name in files}
    for name, given in (("model.py", set()), ("verify.py", _BESIDE)):
        modules = [module for module in _imports_of(files, name) if module not in given | beside]
        if modules:
            known = packages_distributions()
            installed = [
                f"`{module}` ({known[module][0]} {version(known[module][0])})" for module in modules if module in known
            ]
            others = [f"`{module}`" for module in modules if module not in known]
            if installed:
                said.append(f"`{name}` imports {', '.join(installed)}.")
            if others:
                said.append(
                    f"`{name}` imports {', '.join(others)}: from no package that was installed at the export: copy it beside."
                )
    return said


def _data(records: Records, task: Task, files: Mapping[str, bytes]) -> str:
    part = records.run.config.get("task", {"name": task.name, "options": {}})
    options = ", ".join(f"{key} `{_short(value)}`" for key, value in part["options"].items() if value is not None)
    fingerprint = records.run.environment.get("task")
    said = f"From the task `{part['name']}`" + (f", {options}" if options else "")
    said += f"; fingerprint of the task's files: `{fingerprint}`." if fingerprint else "."
    data = task.data()
    rows = [
        f"| {split} | {len(part['x']):,} | {' x '.join(map(str, part['x'].shape[1:])) or 'one number'} {part['x'].dtype} |"
        for split, part in data.items()
        if "x" in part
    ]
    if not rows:
        return f"{said} The task keeps its data to itself."
    said += "\n\n| part | inputs | one input |\n|---|---|---|\n" + "\n".join(rows)
    if hasattr(task, "companions") and "verify.py" in files and "test.safetensors" not in files:
        said += "\n\nThe test data is too large to lie beside this card; `verify.py` says how to put it there."
    return said


def _short(value: object) -> object:
    """Return the last part of a path: where a folder lies is nobody's business."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _table(item: Verified, chosen: Evaluation) -> str:
    rows = ["| metric | mean | 95% interval | standard deviation | these weights |", "|---|---|---|---|---|"]
    for name, mean in item.metrics.items():
        if name not in _UNSAID:
            half = item.intervals.get(name)
            interval = "-" if half is None else f"± {half:.3g}"
            spread = "-" if half is None else f"{item.spreads[name]:.3g}"
            rows.append(f"| {_label(name)} | {mean:,.6g} | {interval} | {spread} | {chosen.metrics[name]:,.6g} |")
    return "\n".join(rows)


def _label(name: str) -> str:
    if name in _UNITS:
        return "{} ({})".format(*_UNITS[name])
    kind, _, rest = name.partition("_")
    words = {"val": "validation", "test": "test"}.get(kind)
    return f"{words} {rest.replace('_', ' ')}" if words else _LABELS.get(name, name.replace("_", " "))


def _notes(item: Verified, chosen: Evaluation) -> list[str]:
    """Say what the numbers of the table mean, and what they do not."""
    count = len(item.evaluations)
    of = f"the best of the {count} on validation data" if count > 1 else "the only one"
    interval = (
        "The interval is the 95% confidence interval of the mean over trainings (Student's t); it says nothing of other data."
    )
    notes = [
        f"The weights are those of the training with seed {chosen.seed}: {of}. The test data had no say in the choice of the "
        f"model or of its weights. {interval if item.intervals else 'One training says nothing of how much trainings differ.'}"
    ]
    noise = item.metrics.get("latency_noise_ms")
    if noise is not None:
        notes.append(
            "The latency is the median of repeated forward passes on the machine of the search; half the distance between "
            f"their quartiles was {noise:.3g} ms."
        )
    if item.flagged:
        notes.append(f"Flagged: its test error is much above its search error. {analysis.FLAG_RULE}")
    return notes


def _origin(records: Records, item: Verified) -> str:
    run, config, candidate = records.run, records.run.config, item.candidate
    children = sum(each.step >= 0 for each in records.candidates.values())
    trained = len({e.candidate for e in records.evaluations if e.purpose == "search" and e.status is Status.OK})
    parents = [
        _named(records.candidates[number]) for number in dict.fromkeys(candidate.parents) if number in records.candidates
    ]
    ancestors = [_named(other) for _, other in analysis.lineage(records.candidates, candidate.id)[1:]]
    rows = {
        "run": f"`{run.name}`, begun {run.created[:10]}" + (f", finished {run.finished[:10]}" if run.finished else ""),
        "strategy": f"`{config['strategy']['name']}`",
        "language model": f"`{analysis.lm_title(config['lm'])}`",
        "seed of the run": config.get("seed", 0),
        "programs": f"{children:,} written, {trained:,} trained with success, seeds included",
        "made by": f"{candidate.operator}" + (f" in round {candidate.round + 1}" if candidate.step >= 0 else ""),
        "parents": ", ".join(parents) or "none",
        "nasmith": run.version,
        **({"PyTorch": run.environment["torch"]} if "torch" in run.environment else {}),
    }
    listed = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"| | |\n|---|---|\n{listed}\n\nAncestors: {', '.join(ancestors) or 'none'}."


def _named(candidate: Candidate) -> str:
    return f"{candidate.id} ({'seed ' + candidate.label if candidate.label else candidate.operator})"
