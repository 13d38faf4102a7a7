"""Reads the data of a project that has its own loaders into arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nasmith.problems.splits import DataError, Splits

__all__ = ["from_loaders"]

Pair = tuple[np.ndarray, np.ndarray]

_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def from_loaders(result: Any, *, val: float = 0.15, test: float = 0.15, seed: int = 0) -> Splits:
    """Read what a project's function returns, once, into memory.

    A DataLoader that shuffles is read in the order of its data set, so that each call returns the same rows in the same places:
    what is split off here must be the same rows when a run is resumed.

    Args:
        result: One, two or three parts: a sequence (training, validation, test), or a mapping with those names. A part is a
            PyTorch DataLoader, a data set of (input, target) pairs, or a pair of arrays. Of two in a sequence the second is the
            test part. A validation or test part that is missing is split off the training part at random.
        val: Share of the validation part where it is split off.
        test: Share of the test part, likewise.
        seed: Of that split.

    Raises:
        DataError: It is nothing of that kind.
    """
    parts = _parts(result)
    read = {name: _read(name, part) for name, part in parts.items()}
    if len(read) == 1:
        return Splits.random(*read["train"], val=val, test=test, seed=seed)
    for name, share in (("val", val), ("test", test)):
        if name not in read:
            read["train"], read[name] = _cut(*read["train"], share, seed)
    return Splits(read["train"], read["val"], read["test"])


def _cut(x: np.ndarray, y: np.ndarray, share: float, seed: int) -> tuple[Pair, Pair]:
    """Return the larger and the smaller part of rows that are drawn at random."""
    order = np.random.default_rng(seed).permutation(len(x))
    cut = max(1, round(share * len(x)))
    return (x[order[cut:]], y[order[cut:]]), (x[order[:cut]], y[order[:cut]])


def _parts(result: Any) -> dict[str, Any]:
    if isinstance(result, Mapping):
        found = {name: result[key] for name, keys in _NAMES.items() for key in keys if key in result}
        if "train" not in found:
            raise DataError(f"a mapping with train, val and test is needed; its keys are {', '.join(map(str, result))}.")
        return found
    if isinstance(result, Sequence) and not isinstance(result, str) and 1 < len(result) <= 3 and not _is_pair(result):
        return dict(zip(("train", "val", "test") if len(result) == 3 else ("train", "test"), result, strict=True))
    return {"train": result}


def _is_pair(value: Any) -> bool:
    """Whether a value is inputs and targets: two arrays of one length."""
    return len(value) == 2 and all(hasattr(each, "shape") for each in value) and len(value[0]) == len(value[1])


def _read(name: str, part: Any) -> Pair:
    """Return the inputs and targets of a part."""
    if isinstance(part, Sequence) and not isinstance(part, str) and _is_pair(part):
        return _numpy(part[0]), _numpy(part[1])
    part = _in_order(part)
    batched = getattr(part, "batch_size", None) is not None or getattr(part, "batch_sampler", None) is not None
    if not isinstance(part, Iterable) and not hasattr(part, "__getitem__"):
        raise DataError(f"{name}: a DataLoader, a data set or a pair of arrays is needed, got {type(part).__name__}.")
    xs, ys = [], []
    try:
        for x, y in part if batched or isinstance(part, Iterable) else (part[place] for place in range(len(part))):
            xs.append(_numpy(x))
            ys.append(_numpy(y))
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: each item must be an input and a target: {error}.") from error
    if not xs:
        raise DataError(f"{name}: there is nothing in it.")
    join = np.concatenate if batched else np.stack
    try:
        return join(xs), join(ys)
    except ValueError as error:
        raise DataError(f"{name}: its items have different shapes; pad or cut them to one: {error}.") from error


def _in_order(part: Any) -> Any:
    """Return a DataLoader that reads the same rows in an order that does not change, on its own; all else as it is."""
    import torch
    from torch.utils.data import DataLoader, RandomSampler, Subset, SubsetRandomSampler

    if not isinstance(part, DataLoader) or part.batch_size is None:
        return part
    rows = part.dataset
    if isinstance(part.sampler, SubsetRandomSampler):
        rows = Subset(rows, sorted(part.sampler.indices))
    elif not isinstance(part.sampler, RandomSampler):
        return part
    return DataLoader(rows, part.batch_size, collate_fn=part.collate_fn, generator=torch.Generator())


def _numpy(value: Any) -> np.ndarray:
    if isinstance(value, Mapping):
        raise TypeError(f"one tensor is needed, got a mapping with the keys {', '.join(map(str, value))}")
    detach = getattr(value, "detach", None)
    return np.asarray(value if detach is None else detach().cpu().numpy())
