"""A user's data in three parts, and what can be wrong with it.

Nothing is refused when splits are made: `Splits.check` says what is wrong, with the problem in view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from nasmith.errors import UsageError

if TYPE_CHECKING:
    from nasmith.problems.problem import Problem

__all__ = ["DataError", "Splits"]

Pair = tuple[np.ndarray, np.ndarray]


class DataError(UsageError):
    """Data that cannot be used as it is; the message says which split, which array, which row, and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Training, validation and test data, each a pair (x, y) with one row for each example.

    Lists, torch tensors and data frames become NumPy arrays. Floating-point numbers, and inputs of type bool, int8 and uint8
    (pictures), are kept as float32; other whole numbers as int64. Inputs of type int64 are tokens: a model gets them as they
    are, for an `nn.Embedding`. Write `x.astype("float32")` where they are quantities.

    Attributes:
        train: Models learn from it.
        val: Models are chosen by it during a search.
        test: The last word: the few models that a search ends with are scored on it.

    Raises:
        DataError: A part is no pair of arrays.
    """

    train: Pair
    val: Pair
    test: Pair

    def __post_init__(self) -> None:
        for name, part in self.parts().items():
            if not isinstance(part, tuple | list) or len(part) != 2:
                raise DataError(f"{name} must be a pair (x, y), got {_kind(part)}: write {name}=(x, y)")
            pair = (_converted(part[0], f"{name}: x", inputs=True), _converted(part[1], f"{name}: y", inputs=False))
            object.__setattr__(self, name, pair)

    @classmethod
    def random(cls, x: Any, y: Any, val: float = 0.15, test: float = 0.15, seed: int = 0, *, stratify: bool = False) -> Splits:
        """Split at random.

        Args:
            x: Inputs, (n, ...).
            y: Targets, (n, ...).
            val: Share of the rows for validation, or their number where it is 1 or more.
            test: Likewise, for the test.
            seed: Of the order.
            stratify: Give each part its share of each label of y, (n,); a label too rare for that stays in training.

        Raises:
            DataError: The lengths differ, or a part would be empty.
        """
        x, y = _rows(x, y)
        order = np.random.default_rng(seed).permutation(len(x))
        if not stratify:
            return cls._cut(x, y, order, val, test)
        if y.ndim != 1 or y.dtype.kind == "f":
            raise DataError(f"stratify needs a whole number or a word for each row, got y of shape {y.shape}, type {y.dtype}")
        sizes = [_size(part, len(x)) / len(x) for part in (val, test)]
        picked: list[list[np.ndarray]] = [[], [], []]
        for label in np.unique(y):
            rows = order[y[order] == label]
            first, second = (round(size * len(rows)) for size in sizes)
            for place, part in enumerate((rows[first + second :], rows[:first], rows[first : first + second])):
                picked[place].append(part)
        train_rows, val_rows, test_rows = (np.sort(np.concatenate(parts)) for parts in picked)
        return cls._of(x, y, train_rows, val_rows, test_rows)

    @classmethod
    def ordered(cls, x: Any, y: Any, val: float = 0.15, test: float = 0.15) -> Splits:
        """Split in order, for series: the first rows are for training, the next for validation, the last for the test.

        Args and errors are those of `random`.
        """
        x, y = _rows(x, y)
        first, second = _size(val, len(x)), _size(test, len(x))
        rows = np.arange(len(x))
        start = len(x) - first - second
        return cls._of(x, y, rows[: max(0, start)], rows[max(0, start) : start + first], rows[start + first :])

    @classmethod
    def _cut(cls, x: np.ndarray, y: np.ndarray, order: np.ndarray, val: float, test: float) -> Splits:
        first, second = _size(val, len(x)), _size(test, len(x))
        return cls._of(x, y, order[first + second :], order[:first], order[first : first + second])

    @classmethod
    def _of(cls, x: np.ndarray, y: np.ndarray, *rows: np.ndarray) -> Splits:
        """Make splits of rows for training, validation and test."""
        for name, part in zip(("train", "val", "test"), rows, strict=True):
            if not len(part):
                sizes = ", ".join(str(len(part)) for part in rows)
                raise DataError(
                    f"{name} would be empty: {len(x)} rows were to be split into {sizes} for training, validation and test. "
                    "Choose other shares for val and test, or get more data"
                )
        train, val, test = ((x[part], y[part]) for part in rows)
        return cls(train, val, test)

    def parts(self) -> Mapping[str, Pair]:
        """Return the pairs by name: train, val, test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def standardized(self, axis: int = 1) -> Splits:
        """Return these with inputs less their mean, over their standard deviation, both of the training inputs.

        Args:
            axis: That of the features, each of which has its own mean: 1 for tables (n, features), pictures (n, channels, h, w)
                and series (n, channels, t); -1 for series (n, t, features).

        Raises:
            DataError: Inputs are no floating-point numbers.
        """
        x = self.train[0]
        if x.dtype != np.float32:
            raise DataError(f"train: x is of type {x.dtype}; floating-point numbers alone can be standardised")
        if not -x.ndim <= axis < x.ndim or axis % x.ndim == 0:
            raise DataError(f"train: x has shape {x.shape}, which has no axis {axis} of features")
        others = tuple(place for place in range(x.ndim) if place != axis % x.ndim)
        mean = x.mean(axis=others, keepdims=True, dtype=np.float64)
        sd = x.std(axis=others, keepdims=True, dtype=np.float64)
        sd[sd == 0] = 1.0  # a feature that never changes
        train, val, test = (((part[0] - mean) / sd, part[1]) for part in self.parts().values())
        return Splits(train, val, test)

    def overlaps(self) -> dict[str, int]:
        """Count the rows of "val" and "test" whose inputs are those of a training row, to the last bit."""
        known = {_digest(row) for row in self.train[0]}
        return {name: sum(_digest(row) in known for row in self.parts()[name][0]) for name in ("val", "test")}

    def check(self, problem: Problem) -> None:
        """Look for all that would make a search fail, or worthless.

        Raises:
            DataError: The first thing that is wrong.
        """
        for name, (x, y) in self.parts().items():
            _check_part(name, x, y)
        train = self.train[0]
        for name, (x, _) in self.parts().items():
            if x.shape[1:] != train.shape[1:]:
                raise DataError(
                    f"{name}: a row of x has shape {x.shape[1:]}, and one of train {train.shape[1:]}: make them alike"
                )
            if x.dtype != train.dtype:
                raise DataError(f"{name}: x is of type {x.dtype}, and that of train {train.dtype}: make them alike with astype")
        check = getattr(problem, "check", None)
        if check is not None:
            check(self)


def _converted(value: Any, what: str, *, inputs: bool) -> np.ndarray:
    """Return an array of one of the types that are kept, or as it is where there is none for it."""
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
        value = value.numpy() if "bfloat16" not in str(value.dtype) else value.float().numpy()
    elif hasattr(value, "toarray"):  # a sparse matrix of SciPy
        value = value.toarray()
    elif hasattr(value, "to_numpy"):  # a table or column of pandas or polars
        value = value.to_numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{what} cannot be made an array ({error}): give all rows one shape, e.g. by padding them") from error
    if array.dtype.kind == "f" or (inputs and array.dtype in (np.bool_, np.int8, np.uint8)):
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and `check` says so
            return array.astype(np.float32)
    return array.astype(np.int64) if array.dtype.kind in "biu" else array


def _rows(x: Any, y: Any) -> Pair:
    """Return two arrays of one length."""
    pair = _converted(x, "x", inputs=True), _converted(y, "y", inputs=False)
    if not pair[0].ndim or not pair[1].ndim or len(pair[0]) != len(pair[1]):
        raise DataError(f"x has shape {pair[0].shape} and y has shape {pair[1].shape}: both need one row for each example")
    return pair


def _size(share: float, rows: int) -> int:
    """Return the number of rows of a share, or of a number of rows."""
    if not 0 < share < math.inf or (share >= 1 and share != int(share)):
        raise DataError(f"val and test must be shares between 0 and 1, or numbers of rows; got {share!r}")
    return int(share) if share >= 1 else round(share * rows)


def _check_part(name: str, x: np.ndarray, y: np.ndarray) -> None:
    """Check all that does not hang on the problem."""
    if not x.ndim or not y.ndim:
        raise DataError(f"{name}: {'x' if not x.ndim else 'y'} is a single value; it needs one row for each example")
    if len(x) != len(y):
        raise DataError(f"{name}: x has {len(x)} rows and y has {len(y)}: each input needs its target")
    if not x.size:
        raise DataError(f"{name}: x has shape {x.shape}, so there is nothing in it: look at how data() makes it")
    if x.ndim < 2:
        raise DataError(f"{name}: x has shape {x.shape}; it needs one row for each example, and features in it: use x[:, None]")
    for what, array in (("x", x), ("y", y)):
        where = f"{name}: {what}"
        if what == "x" and array.dtype not in (np.float32, np.int64):
            first = array.flat[0]
            raise DataError(
                f"{where} is of type {array.dtype} (its first value is {str(first)[:40]!r}); inputs must be numbers: turn each "
                "column into numbers, words into tokens from 0, and then use astype('float32') or astype('int64')"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            _say_not_finite(where, array)
    if x.dtype == np.int64 and x.min() < 0:
        row = np.argwhere(x < 0)[0][0]
        raise DataError(
            f"{name}: x is of type int64, so it holds tokens, and one is {x.min()}; the first below 0 is in row {row}: number "
            "tokens from 0, or use x.astype('float32') where these are quantities"
        )


def _say_not_finite(where: str, array: np.ndarray) -> None:
    flat = array.reshape(len(array), -1)
    for what, bad, advice in (
        ("NaN", np.isnan(flat), "drop or fill them in data()"),
        ("infinite numbers (or numbers above 3.4e38)", np.isinf(flat), "drop, clip or scale them in data()"),
    ):
        rows = np.flatnonzero(bad.any(axis=1))
        if len(rows):
            raise DataError(f"{where} holds {what} in {len(rows)} of {len(array)} rows, the first is row {rows[0]}: {advice}")


def _digest(row: np.ndarray) -> bytes:
    return blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest()


def _kind(value: object) -> str:
    return f"{len(value)} values" if isinstance(value, tuple | list) else f"a value of type {type(value).__name__}"
