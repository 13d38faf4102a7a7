"""One daemon thread that runs calls in order and hands back futures.

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
    """A first-in, first-out worker thread; `name` is the thread's."""

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Queue a call; its result or exception is the future's."""
        future: Future[T] = Future()
        self._queue.put((future, call))
        return future

    def close(self) -> None:
        """Take no more calls; the one that runs is not waited for."""
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
