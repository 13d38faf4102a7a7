"""Checks targets: labels from 0 on, and numbers; every message says where, what was expected, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasmith.errors import UsageError
from nasmith.problems.splits import DataError

if TYPE_CHECKING:
    from nasmith.problems.splits import Splits

__all__ = ["check_labels", "check_numbers", "count_classes", "demand_classes"]

_SHOWN = 5
_FROM_ZERO = "turn them into whole numbers from 0, e.g. with np.unique(y, return_inverse=True)[1]"


def demand_classes(owner: str, classes: object) -> None:
    """Raise UsageError where `classes` is neither None nor a whole number from 2."""
    if classes is not None and (not isinstance(classes, int) or classes < 2):
        raise UsageError(f"{owner}: classes must be a whole number from 2, or None to count them, got {classes!r}.")


def count_classes(splits: Splits, ignore: int | None = None) -> int:
    """Return the number of classes of the training labels: the largest label plus one."""
    return int(_counting(splits.train[1], ignore).max()) + 1


def check_labels(splits: Splits, shape: tuple[str, ...], classes: int | None, ignore: int | None = None) -> None:
    """Check that targets are labels.

    Args:
        splits: What is checked.
        shape: Names of the axes that targets must have: ("n",), or ("n", "h", "w").
        classes: How many there are; None where they follow from the training labels, which then have no gap, and which the
            other splits hold no others than.
        ignore: A label that does not count.

    Raises:
        DataError: They are not.
    """
    for name, (_, y) in splits.parts().items():
        _check_kind(name, y)
        if y.ndim != len(shape):
            raise DataError(
                f"{name}: y has shape {y.shape}, and labels must have shape ({', '.join(shape)}{',' * (len(shape) == 1)}): "
                + ("one label for each row; from one-hot rows, make them with y.argmax(1)" if len(shape) == 1 else "reshape y")
            )
        labels = _counting(y, ignore)
        if not labels.size:
            raise DataError(f"{name}: all labels are {ignore}, which does not count: there is nothing to learn or to score")
        if labels.min() < 0:
            besides = f" (or {ignore}, which does not count)" if ignore is not None else ""
            raise DataError(
                f"{name}: y holds the label {labels.min()}, the first time in row {_row(y, labels.min())}; labels count "
                f"from 0{besides}: {_FROM_ZERO}"
            )
        if classes is not None and labels.max() >= classes:
            raise DataError(
                f"{name}: y holds the label {labels.max()}, the first time in row {_row(y, labels.max())}; with {classes} "
                f"classes they go from 0 to {classes - 1}: name more classes, or none, and they are counted"
            )
    known = np.unique(_counting(splits.train[1], ignore))
    if len(known) < 2:
        raise DataError(f"train: y holds the label {known[0]} alone, so there is nothing to tell apart: put others into it")
    if classes is None:
        _check_same_labels(splits, known, ignore)


def check_numbers(splits: Splits) -> None:
    """Check that targets are numbers, (n,) or (n, k), none of whose columns is constant.

    Raises:
        DataError: They are not.
    """
    width = splits.train[1].shape[1:]
    for name, (_, y) in splits.parts().items():
        if y.dtype.kind not in "if":
            raise DataError(f"{name}: y holds {_shown(y)} of type {y.dtype}; these targets must be numbers")
        if y.ndim not in (1, 2) or 0 in y.shape:
            raise DataError(f"{name}: y has shape {y.shape}; it must be (n,), or (n, k) for k numbers a row: reshape y")
        if y.shape[1:] != width:
            raise DataError(f"{name}: y has shape {y.shape}, and that of train {splits.train[1].shape}: make them alike")
        columns = y.reshape(len(y), -1)
        constant = np.flatnonzero((columns == columns[:1]).all(axis=0))
        if len(constant):
            which = f"column {constant[0]} of y" if y.ndim == 2 else "y"
            raise DataError(
                f"{name}: {which} holds {columns[0, constant[0]]:g} in all {len(y)} rows; R2 is not defined there: "
                + ("leave it out" if y.ndim == 2 and y.shape[1] > 1 else "take rows that differ, or more of them")
            )


def _check_kind(name: str, y: np.ndarray) -> None:
    """Say of what type labels are where they are no integers, and what to do."""
    if y.dtype.kind == "i":
        return
    if y.dtype.kind == "f":
        odd = np.argwhere(y != np.round(y))
        if len(odd):
            what = f"y holds {y[tuple(odd[0])]:g} in row {odd[0][0]}, which is no label"
            raise DataError(f"{name}: {what}; where y is to be numbers, the problem is a Regression()")
        raise DataError(f"{name}: labels are of type {y.dtype} ({_shown(y)}): turn them into integers with y.astype('int64')")
    raise DataError(f"{name}: labels are of type {y.dtype} ({_shown(y)}): {_FROM_ZERO}")


def _check_same_labels(splits: Splits, known: np.ndarray, ignore: int | None) -> None:
    """Demand that training labels have no gap, and that the other splits have no others."""
    if len(known) <= known[-1]:
        missing = np.setdiff1d(np.arange(min(known[-1], len(known) + _SHOWN)), known)
        raise DataError(
            f"train: the labels go up to {known[-1]}, but {_listed(missing)} {'are' if len(missing) > 1 else 'is'} missing: "
            f"{_FROM_ZERO}, or name the number of classes"
        )
    for name, (_, y) in splits.parts().items():
        others = np.setdiff1d(_counting(y, ignore), known)
        if len(others):
            raise DataError(
                f"{name}: y holds {len(others)} label{'s' * (len(others) > 1)} that train does not: {_listed(others)}, the "
                f"first in row {_row(y, others[0])}: put such rows into train too (Splits.random(..., stratify=True) does), "
                "or leave them out"
            )


def _counting(y: np.ndarray, ignore: int | None) -> np.ndarray:
    return y if ignore is None else y[y != ignore]


def _row(y: np.ndarray, label: int) -> int:
    return int(np.argwhere(y == label)[0][0])


def _listed(labels: np.ndarray) -> str:
    more = ", …" if len(labels) > _SHOWN else ""
    return ", ".join(map(str, labels[:_SHOWN])) + more


def _shown(y: np.ndarray) -> str:
    """Show the first value."""
    return f"{y.flat[0]!s}, …" if y.dtype.kind in "if" else f"{str(y.flat[0])!r}, …"
