"""Writes task folders from templates: all files or none, into a folder that is empty or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from nasmith.errors import ConfigError, UsageError
from nasmith.extraction import extract, load_object
from nasmith.files import write_whole
from nasmith.scaffold.looking import Table, look_at_images, look_at_loader, look_at_table, look_at_texts

__all__ = ["TEMPLATES", "Wanted", "write_folder"]

TEMPLATES = ("images", "table", "series", "text", "module")
"""What a folder can be made from."""

_ROOT = files("nasmith.scaffold") / "templates"
_MOST_WORDS = 32  # different words of a column that become inputs
_FLAGS = {"target": "--target", "text": "--text", "kind": "--kind", "source": "--from", "arguments": "--args"}
_TAKES = {
    "images": (),
    "table": ("target", "kind"),
    "series": ("target", "kind"),
    "text": ("target", "text"),
    "module": ("kind", "source", "arguments"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a folder is made from; what is empty is found by looking at the data.

    Attributes:
        template: One of `TEMPLATES`.
        data: Path of the data; for "module", "package.module:function".
        target: Column that is predicted.
        text: Column with the texts.
        kind: "classification" or "regression".
        source: For "module", "package.module:Net".
        arguments: What to call it with: "width=32".
        root: Folder of the project that `source` and `data` are imported from.
    """

    template: str
    data: str
    target: str = ""
    text: str = ""
    kind: str = ""
    source: str = ""
    arguments: str = ""
    root: Path = field(default_factory=Path.cwd)


def write_folder(folder: Path, wanted: Wanted) -> list[Path]:
    """Write a task folder; return its files.

    Raises:
        UsageError: The data or the model cannot be used, or the folder is not empty; nothing is written then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty. Name another folder: nothing is overwritten.")
    for name, flag in _FLAGS.items():
        if getattr(wanted, name) and name not in _TAKES[wanted.template]:
            raise UsageError(f"{flag} means nothing for the template {wanted.template!r}. Leave it out.")
    made = {"images": _images, "table": _table, "series": _series, "text": _text, "module": _module}[wanted.template]
    contents = made(folder, wanted)
    _write(folder, contents)
    return [folder / name for name in contents]


def _write(folder: Path, contents: Mapping[str, str]) -> None:
    """Write files, or none of them; `task.yaml`, which makes the folder a task, comes last."""
    made = [each for each in (folder / "seeds", folder, *folder.parents) if not each.exists()]
    written = list[Path]()
    try:
        for name in sorted(contents, key=lambda name: name == "task.yaml"):
            write_whole(folder / name, contents[name].encode())
            written.append(folder / name)
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}. Choose another folder.") from error
    finally:
        if len(written) < len(contents):
            _undo(written, made)


def _undo(written: Iterable[Path], made: Iterable[Path]) -> None:
    """Remove files, and the folders that were made for them, the innermost first."""
    for path in written:
        path.unlink(missing_ok=True)
    for folder in made:
        with suppress(OSError):  # it was never made, or somebody else has put something into it
            folder.rmdir()


def _rendered(folder: Path, wanted: Wanted, values: Mapping[str, Any]) -> dict[str, str]:
    """Render the files of a template, `task.yaml`, `preamble.py` and `README.md` first."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    environment.filters["yaml"] = _yaml
    template = wanted.template
    place = _ROOT / template
    sources = {name: _ROOT / name for name in ("task.yaml", "preamble.py", "README.md")} | {"task.py": place / "task.py"}
    seeds = place / "seeds"
    if seeds.is_dir():
        names = sorted(entry.name for entry in seeds.iterdir() if entry.name.endswith(".py"))
        sources |= {f"seeds/{name}": seeds / name for name in names}
    shared = {"template": template, "folder": str(folder), "import_from": "", "steps": 1000, "most_params": 200_000}
    shared |= {"problem": "Classification", "delimiter": "", **values}
    return {name: environment.from_string(path.read_text(encoding="utf-8")).render(shared) for name, path in sources.items()}


def _images(folder: Path, wanted: Wanted) -> dict[str, str]:
    path = _absolute(wanted.data)
    found = look_at_images(path)
    values = {
        "title": f"Images of {len(found.classes)} classes",
        "data": _literal(str(path)),
        "size": found.size,
        "mode": "L" if found.grey else "RGB",
        "outputs": len(found.classes),
        "most_params": 2_000_000,
    }
    return _rendered(folder, wanted, values)


def _table(folder: Path, wanted: Wanted) -> dict[str, str]:
    path = _absolute(wanted.data)
    found = look_at_table(path)
    target = found.demand(wanted.target or found.columns[-1], "--target")
    kind = wanted.kind or ("classification" if found.is_class(target) else "regression")
    if kind == "classification":
        found.demand_classes(target)
        what = f"one of {found.distinct[target]} classes,"
    else:
        _demand_numbers(path, found, target, "a regression predicts numbers")
        what = "a quantity,"
    _demand_filled(path, found, target)
    inputs = [name for name in found.columns if name != target]
    ignored = [n for n in inputs if found.distinct[n] < 2 or (n in found.words and found.distinct[n] > _MOST_WORDS)]
    if len(ignored) == len(inputs):
        raise UsageError(f"--data: {path} has no column to predict {target!r} from: each holds one value alone, or free text.")
    values = {
        "title": f"{target}, {what} from a table of {found.rows:,} rows",
        "data": _literal(str(path)),
        "target": _literal(target),
        "kind": kind,
        "problem": kind.capitalize(),
        "categories": _literal([name for name in inputs if name in found.words and name not in ignored]),
        "ignored": _literal(ignored) if ignored else "",
        "outputs": found.distinct[target] if kind == "classification" else 1,
        "delimiter": _delimiter(found),
    }
    return _rendered(folder, wanted, values)


def _series(folder: Path, wanted: Wanted) -> dict[str, str]:
    path = _absolute(wanted.data)
    found = look_at_table(path)
    if wanted.kind == "classification":
        return _series_with_classes(folder, wanted, path, found)
    numbers = [name for name in found.columns if name not in found.words]
    if not numbers:
        raise UsageError(f"--data: {path} has no column of numbers, and a series is one.")
    target = found.demand(wanted.target or numbers[-1], "--target")
    _demand_numbers(path, found, target, "a forecast is of numbers (--kind classification: a row for each series)")
    for name in numbers:
        _demand_filled(path, found, name)
    values = {
        "title": f"Forecast of {target} from {found.rows:,} points in time",
        "data": _literal(str(path)),
        "columns": _literal(numbers),
        "target": _literal(target),
        "window": max(4, min(48, found.rows // 10)),
        "horizon": 1,
        "kind": "regression",
        "problem": "Regression",
        "outputs": 1,
        "channels": len(numbers),
        "delimiter": _delimiter(found),
    }
    return _rendered(folder, wanted, values)


def _series_with_classes(folder: Path, wanted: Wanted, path: Path, found: Table) -> dict[str, str]:
    """Render the template for a table with a row for each series, all of one length, and a class for each."""
    target = found.demand(wanted.target or found.columns[-1], "--target")
    found.demand_classes(target)
    _demand_filled(path, found, target)
    points = [name for name in found.columns if name != target and name not in found.words]
    if len(points) < 4:
        raise UsageError(f"--data: {path} has {len(points)} columns of numbers beside {target!r}; a series has 4 at least.")
    for name in points:
        _demand_filled(path, found, name)
    values = {
        "title": f"{target}, one of {found.distinct[target]} classes, of {found.rows:,} series of {len(points)} points",
        "data": _literal(str(path)),
        "target": _literal(target),
        "ignored": _literal([name for name in found.words if name != target]),
        "kind": "classification",
        "outputs": found.distinct[target],
        "channels": 1,
        "delimiter": _delimiter(found),
    }
    return _rendered(folder, wanted, values)


def _text(folder: Path, wanted: Wanted) -> dict[str, str]:
    path = _absolute(wanted.data)
    found = _texts_in_folders(path, wanted) if path.is_dir() else _texts_in_table(path, wanted)
    shared = {"data": _literal(str(path)), "words": 2000, "length": 48, "most_params": 1_000_000}
    return _rendered(folder, wanted, shared | found)


def _texts_in_folders(path: Path, wanted: Wanted) -> dict[str, Any]:
    if wanted.target or wanted.text:
        raise UsageError(f"--target and --text name columns of a table, and {path} is a folder. Leave them out.")
    classes = look_at_texts(path)
    return {"title": f"Texts of {len(classes)} classes", "outputs": len(classes), "folder_of_texts": True}


def _texts_in_table(path: Path, wanted: Wanted) -> dict[str, Any]:
    """Look at a table of texts: the target is the column with the fewest values, the text the one with most to read."""
    found = look_at_table(path)
    target = found.demand(wanted.target or min(found.columns, key=lambda name: found.distinct[name]), "--target")
    others = [name for name in found.words if name != target]
    if not wanted.text and not others:
        raise UsageError(f"--text: {path} has no column of words beside {target!r}.")
    text = found.demand(wanted.text or max(others, key=lambda name: found.characters[name]), "--text")
    if text == target:
        raise UsageError(f"--text and --target are both {target!r}. Name two columns.")
    found.demand_classes(target)
    _demand_filled(path, found, target)
    return {
        "title": f"{target}, one of {found.distinct[target]} classes, of {found.rows:,} texts",
        "text": _literal(text),
        "target": _literal(target),
        "outputs": found.distinct[target],
        "folder_of_texts": False,
        "delimiter": _delimiter(found),
    }


def _module(folder: Path, wanted: Wanted) -> dict[str, str]:
    if not wanted.source:
        raise UsageError("name the model: --from my_package.models:Net")
    taken = extract(wanted.source, wanted.root, wanted.arguments)
    loader, _ = load_object(wanted.data, wanted.root, "--data")
    if not callable(loader):
        raise UsageError(f"--data: {wanted.data!r} is no function; one that returns the project's data is needed.")
    module, _, name = wanted.data.partition(":")
    problem = look_at_loader(loader, wanted.data, wanted.kind)
    values = {
        "title": wanted.source.partition(":")[2],
        "problem": type(problem).__name__,
        "source": wanted.source,
        "loader": wanted.data,
        "loader_module": module,
        "loader_name": name,
        "import_from": os.path.relpath(wanted.root, folder),
        "most_params": 100_000_000,
    }
    contents = _rendered(folder, wanted, values)
    contents["preamble.py"] = taken.preamble
    contents[f"seeds/{wanted.source.partition(':')[2].lower()}.py"] = taken.seed
    return contents


def _demand_numbers(path: Path, found: Table, column: str, why: str) -> None:
    if column in found.words:
        raise UsageError(f"{path}: the column {column!r} holds words; {why}.")


def _demand_filled(path: Path, found: Table, column: str) -> None:
    if column in found.gaps:
        raise UsageError(f"{path}:{found.gaps[column]}: the column {column!r} has no value. Fill it in, or leave out the row.")


def _delimiter(found: Table) -> str:
    """Return what `csv.DictReader` must be told."""
    return "" if found.delimiter == "," else f", delimiter={found.delimiter!r}"


def _literal(value: str | list[str]) -> str:
    """Return what stands for a value in Python, in double quotes, as formatters want it."""
    return json.dumps(value, ensure_ascii=False)


def _yaml(text: str) -> str:
    """Return a text as one scalar of YAML, in quotes where it needs them."""
    import yaml

    return yaml.safe_dump([text], default_flow_style=True, width=10**6, allow_unicode=True).strip()[1:-1]


def _absolute(data: str) -> Path:
    if not data:
        raise UsageError("name the data: --data PATH")
    return Path(data).expanduser().absolute()
