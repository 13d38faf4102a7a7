"""Batches of decoded images: which images a step gets, reading and decoding them, and keeping them where they fit in memory.

The order is a function of the seed and the step, so that a training goes on at any step as if it had never stopped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from nasmith.seeding import derive
from nasmith.tasks.imagenet.image_sources import ImageSource, decode

__all__ = ["Batch", "Images", "Order", "loader"]

_ROOM = 0.8  # of the shared memory, at most
_TRIES = 100  # images in a row that cannot be read before a data set is taken for broken


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step gets.

    Attributes:
        images: uint8 (batch, 3, canvas, canvas).
        labels: int64 (batch,).
        unreadable: Places in the source of images that could not be read.
    """

    images: torch.Tensor
    labels: torch.Tensor
    unreadable: tuple[int, ...]

    def pin_memory(self) -> Batch:
        """Return it in memory that a GPU can fetch from."""
        return Batch(self.images.pin_memory(), self.labels.pin_memory(), self.unreadable)


class Images(Dataset[Batch]):
    """Some images of a source, decoded to squares of `canvas` pixels a side.

    Args:
        source: Where they are.
        places: Which: places in the source, int64 (n,).
        canvas: Pixels a side.
        cache_mb: They are kept once decoded where all of them take at most so much (1e6 bytes).
        shared: Whether other processes decode them: what is kept lies in shared memory then, as far as there is enough.
        substitute: Whether the next one that can be read stands in for an image that cannot; otherwise it is black, and its
            label is -1.
    """

    def __init__(
        self,
        source: ImageSource,
        places: np.ndarray,
        canvas: int,
        cache_mb: float,
        *,
        shared: bool = False,
        substitute: bool = True,
    ) -> None:
        self._source, self._places, self._canvas, self._substitute = source, places, canvas, substitute
        needed = len(places) * 3 * canvas * canvas
        keeps = needed <= cache_mb * 1e6 and (not shared or needed < _ROOM * _shared_memory())
        self._kept = torch.empty((len(places), 3, canvas, canvas), dtype=torch.uint8) if keeps else None
        self._state = torch.zeros(len(places), dtype=torch.uint8)  # 0: not there yet; 1: kept; 2: cannot be read
        if shared:  # the processes that load fill one cache
            self._state.share_memory_()
            if self._kept is not None:
                self._kept.share_memory_()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Batch:
        return self.__getitems__([number])

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """Return a batch; PyTorch's loader asks for all of its images at once."""
        images = torch.empty((len(numbers), 3, self._canvas, self._canvas), dtype=torch.uint8)
        labels = np.empty(len(numbers), dtype=np.int64)
        unreadable: list[int] = []
        for row, number in enumerate(numbers):
            found = self._read(number, unreadable)
            if found is None:
                images[row], labels[row] = 0, -1
            else:
                images[row], labels[row] = found[0], self._source.labels[self._places[found[1]]]
        return Batch(images, torch.from_numpy(labels), tuple(unreadable))

    def _read(self, number: int, unreadable: list[int]) -> tuple[torch.Tensor, int] | None:
        """Return an image and its number, those of the next one where it cannot be read; None where none may stand in."""
        for trial in range(_TRIES):
            other = (number + trial) % len(self)
            if (image := self._one(other)) is not None:
                return image, other
            unreadable.append(int(self._places[other]))
            if not self._substitute:
                return None
        names = ", ".join(self._source.name(place) for place in unreadable[:3])
        raise ValueError(f"{_TRIES} images in a row cannot be read, {names} among them: is the data set whole?")

    def _one(self, number: int) -> torch.Tensor | None:
        state = int(self._state[number])
        if self._kept is not None and state == 1:
            return self._kept[number]
        if state == 2:
            return None
        decoded = decode(self._source.read(int(self._places[number])), self._canvas)
        if decoded is None:
            self._state[number] = 2
            return None
        image = torch.from_numpy(decoded)
        if self._kept is not None:
            self._kept[number] = image
            self._state[number] = 1
        return image


class Order(Sampler[list[int]]):
    """Numbers of the images of each step, from a step on; an epoch is a permutation of all, without its incomplete last batch.

    Args:
        images: How many there are.
        size: Of a batch, of all processes together.
        steps: Of the whole training.
        seed: Of the permutations.
        first: The first step that is wanted.
        rank: Of this process.
        world: Processes that share a batch.
    """

    def __init__(self, images: int, size: int, steps: int, seed: int, first: int = 0, rank: int = 0, world: int = 1) -> None:
        self._images, self._size, self._steps, self._seed = images, size, steps, seed
        self._first, self._rank, self._world = first, rank, world

    def __len__(self) -> int:
        return self._steps - self._first

    def __iter__(self) -> Iterator[list[int]]:
        per_epoch, share = self._images // self._size, self._size // self._world
        order, drawn = np.empty(0, dtype=np.int64), -1
        for step in range(self._first, self._steps):
            epoch, place = divmod(step, per_epoch)
            if epoch != drawn:
                order, drawn = np.random.default_rng(derive(self._seed, "order", epoch)).permutation(self._images), epoch
            start = place * self._size + self._rank * share
            yield order[start : start + share].tolist()


def loader(images: Images, batches: Any, recipe_loaders: int, *, pinned: bool) -> DataLoader[Batch]:
    """Return an iterable of batches, read by so many processes.

    Args:
        images: The images.
        batches: Yields the numbers of each batch.
        recipe_loaders: Processes, at most one for each processor; 0 for none.
        pinned: Whether a GPU is to fetch them.
    """
    loaders = min(recipe_loaders, os.cpu_count() or 1)
    return DataLoader(
        images,
        batch_sampler=batches,
        num_workers=loaders,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        prefetch_factor=4 if loaders else None,
        multiprocessing_context="forkserver" if loaders else None,
    )


def _shared_memory() -> float:
    """Return the bytes of shared memory that are free: containers often have little, and end a process that takes more."""
    try:
        return float(shutil.disk_usage("/dev/shm").free)
    except OSError:  # another system, where it is no file system
        return float("inf")


def _as_it_is(batch: Any) -> Any:
    return batch
