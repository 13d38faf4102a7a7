"""The language model's work: requests and tunings, one after the other on a thread of their own, stored when received."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from nasmith.errors import NasmithError, RunStoppedError
from nasmith.events import Event, Replied, Tuned, TuningProgress
from nasmith.history import History
from nasmith.lane import Lane
from nasmith.propose import Planned, requests
from nasmith.protocols import LanguageModel, Storage, TunableLanguageModel
from nasmith.types import Brief, Candidate, Completion, Description, Example, Tune, Tuning

__all__ = ["Proposals", "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The replies to one request, with what is needed to make children of them."""

    step: int
    first: int  # index within the step of the first child
    round: int
    planned: Planned
    completions: list[Completion]
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Call:
    step: int
    first: int
    round: int
    planned: Planned | None  # None: tuning
    future: Future[Any]
    replayed: bool


class Proposals:
    """What the language model was asked and has not answered yet. Called from the loop's thread alone.

    Args:
        lm: The language model; only the thread in here calls it from now on.
        storage: Where replies and tunings are stored when they arrive.
        history: What arrived before the run was interrupted.
        description: The task's.
    """

    def __init__(self, lm: LanguageModel, storage: Storage, history: History, description: Description) -> None:
        self._lm, self._storage, self._history, self._description = lm, storage, history, description
        self._lane = Lane("language model")
        self._calls: deque[_Call] = deque()
        self._events: SimpleQueue[Event] = SimpleQueue()

    @property
    def futures(self) -> list[Future[Any]]:
        """What to wait for, in order of arrival."""
        return [call.future for call in self._calls]

    @property
    def children(self) -> int:
        """Children that are still to come of what was asked."""
        return sum(call.planned.request.n for call in self._calls if call.planned)

    def warm(self) -> Future[None]:
        """Have the model loaded."""
        return self._lane.submit(self._lm.warm)

    def propose(self, step: int, brief: Brief, parents: list[Candidate]) -> None:
        """Send a brief's requests, or take their stored replies.

        Raises:
            RunStoppedError: The stored replies answer another prompt.
        """
        first = 0
        for planned in requests(brief, parents, self._description):
            stored = self._history.completions(step, first, planned.request.n)
            if stored is not None and stored[0].prompt != planned.request.prompt:
                raise RunStoppedError(
                    f"run {self._history.run!r} cannot be resumed: this version of nasmith writes the prompt of step {step} "
                    "otherwise. Resume it with the version that began it, or start a new run."
                )
            if stored is None:
                future: Future[Any] = self._lane.submit(partial(self._lm.complete, planned.request))
            else:
                future = Future()
                future.set_result(stored)
            self._calls.append(_Call(step, first, brief.round, planned, future, stored is not None))
            first += planned.request.n

    def tune(self, step: int, tune: Tune, lessons: list[Example]) -> None:
        """Have the model learn, or load what it learned before."""
        stored = self._history.tuning(step)
        call: Callable[[], Tuning]
        if stored is not None:
            call = partial(self._relearn, stored)
        elif isinstance(self._lm, TunableLanguageModel):
            path = self._storage.folder(self._history.run) / f"adapter-{tune.round}.safetensors"
            call = partial(self._lm.tune, tune, lessons, path, partial(self._report, tune.round))
        else:
            call = partial(Tuning, tune.round, 0, message=f"{self._lm.name} cannot be tuned")
        self._calls.append(_Call(step, 0, tune.round, None, self._lane.submit(call), stored is not None))

    def arrived(self) -> Iterator[Reply]:
        """Take out what is done, in the order in which it was asked; replies and tunings are stored before they are seen."""
        while self._calls and self._calls[0].future.done():
            call = self._calls.popleft()
            result = call.future.result()
            if call.planned is None:
                if not call.replayed:
                    self._storage.add_tuning(self._history.run, call.step, result)
                self._events.put(Tuned(result, call.replayed))
                continue
            if not call.replayed:
                self._storage.add_completions(self._history.run, call.step, call.first, result)
                self._events.put(Replied(call.step, tuple(result)))
            yield Reply(call.step, call.first, call.round, call.planned, result, call.replayed)

    def events(self) -> Iterator[Event]:
        """Take out what observers should know."""
        while not self._events.empty():
            yield self._events.get()

    def drop_waiting(self) -> None:
        """Forget the calls that have not begun."""
        while self._calls and self._calls[-1].future.cancel():
            self._calls.pop()

    def save(self, *, wait: bool) -> None:
        """Store the replies that nobody will look at any more because the run breaks off; with `wait`, a running call's too.

        A reply may have cost money. What cannot be stored is let go: the run breaks off for a reason that was said.
        """
        self.drop_waiting()
        for call in self._calls:
            if call.planned is not None and not call.replayed and (wait or call.future.done()):
                with suppress(NasmithError):
                    if call.future.exception() is None:
                        self._storage.add_completions(self._history.run, call.step, call.first, call.future.result())
        self._calls.clear()

    def close(self) -> None:
        """Take no more calls; one that runs is not waited for."""
        self.drop_waiting()
        self._lane.close()

    def _relearn(self, stored: Tuning) -> Tuning:
        """Load a stored adapter; runs on the model's thread, in its turn."""
        if stored.accepted and isinstance(self._lm, TunableLanguageModel):
            self._lm.load(self._storage.folder(self._history.run) / stored.weights)
        return stored

    def _report(self, round_: int, done: int, total: int) -> None:
        """Pass progress from the model's thread to the loop's."""
        self._events.put(TuningProgress(round_, done, total))
