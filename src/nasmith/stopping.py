"""Ends a search in good order from an observer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from nasmith.events import Event, Observer

__all__ = ["StopSearch", "heeding"]


class StopSearch(Exception):  # noqa: N818 - a wish, as StopIteration is; nothing went wrong
    """Raised by an observer to end its search: what runs is finished and stored, nothing new begins.

    The same as Ctrl-C: the search returns what was found, without a verification, and `nasmith.resume` takes it up.
    """


def heeding(observers: Iterable[Observer], stop: Callable[[], None]) -> tuple[Observer, ...]:
    """Return observers that call `stop` where the given ones raise `StopSearch`; the others hear of the event all the same."""
    return tuple(partial(_heed, observer, stop) for observer in observers)


def _heed(observer: Observer, stop: Callable[[], None], event: Event) -> None:
    try:
        observer(event)
    except StopSearch:
        stop()
