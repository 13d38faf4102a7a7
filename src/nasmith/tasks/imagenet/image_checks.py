"""Divides a data set of images, and finds out whether a network can be trained on it and judged by it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from nasmith.errors import UsageError
from nasmith.seeding import derive
from nasmith.tasks.imagenet.image_sources import FolderImages, ImageSets, ImageSource

__all__ = ["check_classes", "check_overlap", "split", "subset"]

_NAMED = 3


def split(labels: np.ndarray, share: float, seed: int, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Divide images into those to train on and those that are held out, the same share of each class but at least one image.

    Args:
        labels: Class of each image, int64 (n,).
        share: Of the images that are held out, in (0, 1).
        seed: Which ones depends on it, and on nothing else.
        classes: Names, for an error.

    Returns:
        Places of both, int64, ascending.

    Raises:
        UsageError: A class has a single image.
    """
    held_out = []
    for label, places in _by_class(labels):
        if len(places) < 2:
            raise UsageError(f"the class {classes[label]!r} has one image: one to train on and one to judge by are needed.")
        count = min(len(places) - 1, max(1, round(share * len(places))))
        held_out.append(_shuffled(places, seed, "held out", label)[:count])
    held = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(len(labels)), held), held


def subset(index: np.ndarray, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return a share of some images, of each class at least one; a smaller share is part of a larger one.

    Args:
        index: Places of the images, int64 (m,).
        labels: Class of each image of the data set, int64 (n,).
        share: In (0, 1].
        seed: Which ones depends on it.
    """
    chosen = []
    for label, places in _by_class(labels[index]):
        count = max(1, round(share * len(places)))
        chosen.append(index[_shuffled(places, seed, "part", label)[:count]])
    return np.sort(np.concatenate(chosen))


def check_classes(sets: ImageSets) -> None:
    """Refuse a data set that no classifier can be trained on.

    Raises:
        UsageError: It has one class, or a class without images.
    """
    train = sets.train
    if len(train.classes) < 2:
        raise UsageError(f"the images have one class, {train.classes[0]!r}: a classifier needs two at least.")
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if (counts == 0).any():
        names = [train.classes[label] for label in np.flatnonzero(counts == 0)]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise UsageError(f"there are no images of {', '.join(names[:_NAMED])}{more} to train on.")


def check_overlap(sets: ImageSets, most: int = 2000) -> None:
    """Refuse a data set whose training and test images overlap: equal files.

    Up to `most` test images all are looked for; of more, as many are drawn, the same ones each time. In folders the sizes of
    the files are compared first, one look at each; of other sources all images are read where there are at most 100,000.

    Raises:
        UsageError: They do.
    """
    if sets.test is None:
        return
    places = np.arange(len(sets.test.labels))
    if len(places) > most:
        places = np.sort(np.random.default_rng(0).choice(places, most, replace=False))
    if isinstance(sets.train, FolderImages) and isinstance(sets.test, FolderImages):
        pairs = _equal_files(sets.train, sets.test, places)
    else:
        pairs = _equal_images(sets.train, sets.test, places)
    found = list(pairs)
    if found:
        named = "; ".join(f"{one} is {other}" for one, other in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise UsageError(f"training and test images overlap, so that a score would mean nothing: {named}{more}.")


def _equal_files(train: FolderImages, test: FolderImages, places: np.ndarray) -> Iterator[tuple[str, str]]:
    sizes: dict[int, list[int]] = defaultdict(list)
    for place in places.tolist():
        sizes[_size(test, place)].append(place)
    known: dict[str, int] = {}
    hashed: set[int] = set()
    for place in range(len(train.labels)):
        size = _size(train, place)
        if size < 0 or size not in sizes:
            continue
        if size not in hashed:
            hashed.add(size)
            known |= {_digest(test.read(other)): other for other in sizes[size]}
        other = known.get(_digest(train.read(place)))
        if other is not None:
            yield train.name(place), test.name(other)


def _equal_images(train: ImageSource, test: ImageSource, places: np.ndarray) -> Iterator[tuple[str, str]]:
    if len(train.labels) > 100_000:
        return
    known = {_digest(test.read(place)): place for place in places.tolist()}
    for place in range(len(train.labels)):
        other = known.get(_digest(train.read(place)))
        if other is not None:
            yield f"training {train.name(place)}", f"test {test.name(other)}"


def _size(images: FolderImages, place: int) -> int:
    """Return the bytes of a file; -1 where it cannot be looked at."""
    try:
        return images.path(place).stat().st_size
    except OSError:
        return -1


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _by_class(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each class that there is, with the places of its images."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    yield from zip(values.tolist(), np.split(order, starts[1:]), strict=True)


def _shuffled(places: np.ndarray, seed: int, *path: int | str) -> np.ndarray:
    shuffled: np.ndarray = np.random.default_rng(derive(seed, *path)).permutation(places)
    return shuffled
