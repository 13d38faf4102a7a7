"""Looks at a user's data, to find what a task folder must be told: columns, kinds, classes, sizes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

from nasmith.errors import NasmithError, UsageError
from nasmith.problems import Classification, Problem, Regression, Segmentation, Sequence, Splits
from nasmith.problems.loading import from_loaders

__all__ = ["IMAGES", "Images", "Table", "look_at_images", "look_at_loader", "look_at_table", "look_at_texts"]

IMAGES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
_FEW_CLASSES = 20
_MOST_DISTINCT = 10_000  # different values of a column that are counted
_DELIMITERS = ",\t;"
_SIZES = (16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True, slots=True)
class Images:
    """A folder of images.

    Attributes:
        classes: Names of its folders, in order.
        count: Images.
        size: A usual size near the images' own, at most 64 pixels.
        grey: Whether all are grey.
    """

    classes: tuple[str, ...]
    count: int
    size: int
    grey: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header.

    Attributes:
        columns: Names, in order.
        rows: How many.
        words: Columns that hold something else than numbers.
        distinct: Number of different values of each column, by name, at most 10,000.
        gaps: The first line without a value, by name of the columns that have one.
        characters: Characters of the values of each column in all, by name.
        delimiter: What parts the columns.
    """

    columns: tuple[str, ...]
    rows: int
    words: tuple[str, ...]
    distinct: dict[str, int]
    gaps: dict[str, int] = field(default_factory=dict)
    characters: dict[str, int] = field(default_factory=dict)
    delimiter: str = ","

    def demand(self, column: str, what: str) -> str:
        """Return a column's name; UsageError where there is none."""
        if column in self.columns:
            return column
        near = get_close_matches(column, self.columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{what}: the table has no column {column!r}.{hint} Columns: {', '.join(self.columns)}.")

    def demand_classes(self, column: str) -> None:
        """Raise UsageError where a column cannot hold the classes of its rows."""
        if self.distinct[column] < 2:
            raise UsageError(f"--target: the column {column!r} holds one value alone; two classes are needed at least.")
        if self.distinct[column] > self.rows // 2:
            raise UsageError(
                f"--target: the column {column!r} holds {self.distinct[column]:,} different values in {self.rows:,} rows; "
                "these are no classes. Name another column."
            )

    def is_class(self, column: str) -> bool:
        """Whether a column looks like classes rather than quantities."""
        return column in self.words or self.distinct[column] <= min(_FEW_CLASSES, self.rows // 5)


def look_at_images(folder: Path) -> Images:
    """Look at a folder with a folder of images for each class.

    Raises:
        UsageError: It is none; the message says what is needed.
    """
    found = _classes(folder, IMAGES, "images")
    from PIL import Image, UnidentifiedImageError

    sizes, grey = [], True
    for path in [path for paths in found.values() for path in paths]:
        try:
            with Image.open(path) as image:
                sizes.append(max(image.size))
                grey = grey and image.mode in {"1", "L", "I", "I;16"}
        except (OSError, UnidentifiedImageError) as error:
            raise UsageError(f"--data: {path} cannot be read as an image: {error}.") from error
    typical = sorted(sizes)[len(sizes) // 2]
    size = typical if typical <= _SIZES[0] else max(each for each in _SIZES if each <= min(typical, 64))
    return Images(tuple(found), sum(map(len, found.values())), size, grey)


def look_at_texts(folder: Path) -> tuple[str, ...]:
    """Look at a folder with a folder of .txt files for each class; return the classes.

    Raises:
        UsageError: It is none; the message says what is needed.
    """
    found = _classes(folder, {".txt"}, ".txt files")
    for path in [path for paths in found.values() for path in paths]:
        try:
            path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--data: {path} cannot be read as text: {error}. Save it as UTF-8.") from error
    return tuple(found)


def look_at_table(file: Path) -> Table:
    """Look at a CSV file with a header; columns are parted by commas, semicolons or tabs.

    Raises:
        UsageError: It is none; the message says what is needed.
    """
    if not file.is_file():
        raise UsageError(f"--data: there is no file {file}. It should be a table: CSV, with a line of column names.")
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return _look(file, stream)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--data: {file} cannot be read as CSV: {error}.") from error


def look_at_loader(load: Callable[[], Any], name: str, kind: str = "") -> Problem:
    """Call a project's function for its data; return the kind of problem that was named, or that its targets suggest.

    Raises:
        UsageError: It raises, or what it returns cannot be used.
    """
    try:
        splits = from_loaders(load())
    except NasmithError as error:
        raise UsageError(f"--data: {name}() returned something else: {error}") from error
    except Exception as error:
        raise UsageError(f"--data: {name}(), called without arguments, raised {type(error).__name__}: {error}.") from error
    named: dict[str, Problem] = {"classification": Classification(), "regression": Regression()}
    problem = named[kind] if kind else _suggested(splits)
    try:
        splits.check(problem)
    except UsageError as error:
        raise UsageError(f"--data: what {name}() returned cannot be used: {error}.") from error
    return problem


def _suggested(splits: Splits) -> Problem:
    """Return the kind of problem that targets suggest: quantities, or one class for each row, position or pixel."""
    y = splits.train[1]
    if y.dtype.kind == "f":
        return Regression()
    if y.ndim == 1 or y.shape[1:] == (1,):
        return Classification()
    return Sequence() if y.ndim == 2 else Segmentation()


def _classes(folder: Path, suffixes: frozenset[str] | set[str], what: str) -> dict[str, list[Path]]:
    """Return the files of each class by the name of its folder; what is hidden does not count."""
    if not folder.is_dir():
        raise UsageError(f"--data: there is no folder {folder}. It should hold a folder of {what} for each class.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("[!.]*/[!.]*")):
        if path.suffix.lower() in suffixes:
            found.setdefault(path.parent.name, []).append(path)
    if len(found) < 2:
        lack = f"no folder with {what}" if not found else f"{what} of one class alone ({next(iter(found))})"
        raise UsageError(f"--data: {folder} holds {lack}. It should hold a folder of {what} for each of two classes or more.")
    return found


class _Column:
    """What is known of a column after some rows."""

    def __init__(self) -> None:
        self.values, self.numbers, self.gap, self.characters = set[str](), True, 0, 0

    def take(self, value: str, line: int) -> None:
        """Look at the value of one more row."""
        self.characters += len(value)
        if len(self.values) < _MOST_DISTINCT:
            self.values.add(value)
        if value.strip().lower() in {"", "nan"}:
            self.gap = self.gap or line
        elif self.numbers:
            self.numbers = _is_number(value)


def _look(file: Path, stream: TextIO) -> Table:
    header = stream.readline()
    stream.seek(0)
    delimiter = max(_DELIMITERS, key=header.count)
    lines = csv.reader(stream, delimiter=delimiter)
    columns = tuple(next(lines, ()))
    if len(columns) < 2:
        raise UsageError(
            f"--data: {file} has {len(columns)} column(s); two are needed at least, parted by commas, semicolons or tabs."
        )
    twice = next((name for place, name in enumerate(columns) if name in columns[:place]), None)
    if twice is not None:
        raise UsageError(f"{file}:1: two columns are called {twice!r}. Give each a name of its own.")
    found, rows = [_Column() for _ in columns], 0
    for row in _filled(lines):
        if len(row) != len(columns):
            raise UsageError(f"{file}:{lines.line_num}: the line has {len(row)} values, and there are {len(columns)} columns.")
        rows += 1
        for column, value in zip(found, row, strict=True):
            column.take(value, lines.line_num)
    if rows < 10:
        raise UsageError(f"--data: {file} has {rows} rows; that is too few to learn from.")
    named = dict(zip(columns, found, strict=True))
    return Table(
        columns,
        rows,
        tuple(name for name, column in named.items() if not column.numbers),
        {name: len(column.values) for name, column in named.items()},
        {name: column.gap for name, column in named.items() if column.gap},
        {name: column.characters for name, column in named.items()},
        delimiter,
    )


def _filled(lines: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the lines that are not empty."""
    return (row for row in lines if row)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
