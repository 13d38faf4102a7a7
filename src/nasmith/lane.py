"""Daemon threads that take up calls in order and hand back futures.

`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends, so that a second Ctrl-C would wait for a
language model that is still sampling. This one does not hold up the exit.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

__all__ = ["Lane"]

T = TypeVar("T")


class Lane:
    """First-in, first-out worker threads; `name` is theirs, `width` how many calls they run at a time."""

    def __init__(self, name: str, width: int = 1) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=name, daemon=True) for _ in range(width)]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[[], T], future: Future[T] | None = None) -> Future[T]:
        """Queue a call; its result or exception is the future's: a new one, or a pending one that the caller has made."""
        future = Future() if future is None else future
        self._queue.put((future, call))
        return future

    def close(self) -> None:
        """Take no more calls; those that run are not waited for."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - handed to whoever reads the future, as concurrent.futures does
                future.set_exception(error)
            else:
                future.set_result(result)
