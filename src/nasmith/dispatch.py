"""Calls of the language model: begun in order, as many at a time as it takes and the purse allows, ended in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from nasmith.lane import Lane
from nasmith.spending import Purse
from nasmith.types import Request

__all__ = ["Dispatch", "Errand"]


@dataclass(eq=False, slots=True)
class Errand:
    """Something that the language model is to do; `data` is the caller's.

    Attributes:
        run: Does it, on one of the model's threads.
        request: What it asks for; None for what asks for no reply (a tuning), which is done alone.
        future: What came of it.
        begun: Whether it was handed to the model's threads, or was done from the start.
        landed: Whether `Dispatch.landed` has told of its end.
    """

    run: Callable[[], Any]
    request: Request | None = None
    data: Any = None
    future: Future[Any] = field(default_factory=Future)
    begun: bool = False
    landed: bool = False


class Dispatch:
    """The errands that are out, or wait. Called from the loop's thread alone.

    Args:
        width: Errands under way at a time.
        purse: Holds back requests that it has no room for.
    """

    def __init__(self, width: int, purse: Purse) -> None:
        self.purse = purse
        self._width = width
        self._lane = Lane("language model", width)
        self._errands: deque[Errand] = deque()
        self._preparing: list[Future[Any]] = []

    @property
    def futures(self) -> list[Future[Any]]:
        """What to wait for, in the order in which it was asked; empty where nothing is under way."""
        under_way: list[Future[Any]] = [errand.future for errand in self._errands if errand.begun and not errand.landed]
        # What the model is made ready by counts even when it is done: something may wait to begin after it.
        return under_way or (list(self._preparing) if self._errands else [])

    @property
    def children(self) -> int:
        """Replies that are still to be taken out."""
        return sum(errand.request.n for errand in self._errands if errand.request)

    @property
    def hungry(self) -> bool:
        """Whether the model could soon do with more: it should have one errand at hand beside those that it does."""
        pending = sum(not errand.future.done() for errand in self._errands)
        return pending <= self._width and self.purse.has_room

    @property
    def broke(self) -> bool:
        """Whether what was spent reaches a limit, with nothing under way."""
        return bool(self.purse.spent) and not any(errand.begun and not errand.future.done() for errand in self._errands)

    def prepare(self, call: Callable[[], Any]) -> Future[Any]:
        """Have the model made ready; what is added later begins after it."""
        self._preparing.append(self._lane.submit(call))
        return self._preparing[-1]

    def add(self, errand: Errand) -> None:
        """Queue an errand behind all others, or one that is done in its place."""
        self._errands.append(errand)

    def begin(self) -> None:
        """Hand over what may begin."""
        if self._width > 1 and self._unprepared:
            return  # one thread takes things up in order by itself; several do not
        busy = [errand for errand in self._errands if errand.begun and not errand.future.done()]
        for errand in [errand for errand in self._errands if not errand.begun]:
            alone = self._width > 1 and (errand.request is None or any(other.request is None for other in busy))
            if len(busy) > self._width or (busy and alone) or (errand.request and not self.purse.has_room):
                return
            if errand.request is not None:
                self.purse.reserve(id(errand), errand.request)
            errand.begun = True
            self._lane.submit(errand.run, errand.future)
            busy.append(errand)

    def landed(self) -> Iterator[Errand]:
        """Tell of those that have ended since the last time, in whatever order they ended."""
        for errand in list(self._errands):
            if errand.begun and not errand.landed and errand.future.done():
                self.purse.release(id(errand))
                yield errand  # what the caller does with it may fail: then it has not landed
                errand.landed = True

    def in_order(self) -> Iterator[Errand]:
        """Take out those that have landed, up to the first that has not."""
        while self._errands and self._errands[0].landed:
            yield self._errands.popleft()

    def drop_waiting(self) -> None:
        """Forget the errands that have not begun."""
        for errand in self._errands:
            if errand.future.cancel():
                self.purse.release(id(errand))
        self._errands = deque(errand for errand in self._errands if not errand.future.cancelled())

    def clear(self) -> list[Errand]:
        """Forget all errands; return those that had not landed."""
        left = [errand for errand in self._errands if not errand.landed]
        self._errands.clear()
        return left

    def close(self) -> None:
        """Take no more errands; those that run are not waited for."""
        self.drop_waiting()
        self._lane.close()

    @property
    def _unprepared(self) -> list[Future[Any]]:
        """What is still to be done before the model can take requests."""
        return [future for future in self._preparing if not future.done()]
