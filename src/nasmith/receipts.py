"""Keeps what a language model gave: stored when it arrives, counted, and told to observers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue

from nasmith.events import Called, Event, Replied, Tuned
from nasmith.protocols import Storage
from nasmith.spending import Purse
from nasmith.types import Call, Completion, Tuning

__all__ = ["Receipts"]


class Receipts:
    """What came from the language model of one run.

    Args:
        storage: Where it is kept.
        run: The run's name.
        purse: Where it is counted.
    """

    def __init__(self, storage: Storage, run: str, purse: Purse) -> None:
        self.purse = purse
        self._storage, self._run = storage, run
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._early: list[Call] | None = []  # exchanges before the run is stored; None once it is

    def opened(self) -> None:
        """The run is stored: store the exchanges that came before, and from now on what comes."""
        early, self._early = self._early or [], None
        for call in early:
            self._storage.add_call(self._run, call)

    def call(self, call: Call) -> None:
        """Keep an exchange that gave no completion. May be called from any thread."""
        if self._early is not None:
            self._early.append(call)
        else:
            self._storage.add_call(self._run, call)
        self.purse.note([call])
        self._events.put(Called(call))

    def replies(self, step: int, first: int, completions: Sequence[Completion]) -> None:
        """Keep replies that have just arrived."""
        self._storage.add_completions(self._run, step, first, completions)
        self.purse.note(completions)
        self._events.put(Replied(step, tuple(completions)))

    def tuning(self, step: int, tuning: Tuning, *, replayed: bool) -> None:
        """Keep what a tuning did, unless it comes from the storage."""
        if not replayed:
            self._storage.add_tuning(self._run, step, tuning)
        self._events.put(Tuned(tuning, replayed))

    def note(self, event: Event) -> None:
        """Have observers know something. May be called from any thread."""
        self._events.put(event)

    def events(self) -> Iterator[Event]:
        """Take out what observers should know."""
        while not self._events.empty():
            yield self._events.get()
