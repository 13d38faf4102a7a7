"""Follows a run by its events, and passes on to an experiment tracker what there is to log."""

from __future__ import annotations

import re
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from statistics import fmean
from typing import Any, Protocol

from nasmith.errors import MissingDependencyError
from nasmith.events import Evaluated, Event, Finished, Started
from nasmith.lane import Lane
from nasmith.redaction import redacted
from nasmith.types import Run, Status

__all__ = ["Following", "IntegrationWarning", "Tracker", "clean", "flat", "identity", "needs"]


class IntegrationWarning(UserWarning):
    """An experiment tracker failed. The search goes on, and nothing more is logged there."""


class Tracker(Protocol):
    """What logs one run somewhere. Called from one thread alone; whatever it raises is warned of."""

    def begin(self, run: Run, resumed: bool) -> bool:
        """Open the run's place, and log its configuration where that is new; return whether earlier evaluations are there."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log finite numbers at a step; steps do not decrease."""

    def write(self, name: str, text: str) -> None:
        """Keep a text, such as "best_program.py"."""

    def end(self, complete: bool) -> None:
        """Close the run's place; with `complete` False the run may be resumed."""


@dataclass(slots=True)
class _Story:
    """What the events of one run have said so far."""

    told: int = 0  # evaluations of any purpose: the step
    statuses: Counter[Status] = field(default_factory=Counter)
    best: Evaluated | None = None
    verified: dict[int, list[Mapping[str, float]]] = field(default_factory=dict)

    def searched(self, event: Evaluated) -> dict[str, float]:
        """Take in an evaluation of the search; return what to log of it."""
        self.statuses[event.evaluation.status] += 1
        child = event.candidate.step >= 0
        best = None if self.best is None else self.best.fitness
        if child and event.fitness is not None and (best is None or event.fitness > best):
            self.best, best = event, event.fitness
        return {
            **event.evaluation.metrics,
            "candidate": event.candidate.id,
            "seconds": event.evaluation.seconds,
            **({} if best is None else {"best/fitness": best}),
            **{f"status/{status.value}": count for status, count in self.statuses.items()},
        }

    def checked(self, event: Evaluated) -> dict[str, float]:
        """Take in an evaluation of the verification; return what to log of it."""
        values = event.evaluation.metrics
        if event.evaluation.status is Status.OK:
            self.verified.setdefault(event.candidate.id, []).append(values)
        return {"verify/candidate": event.candidate.id, **{f"verify/{name}": value for name, value in values.items()}}

    def verdict(self) -> dict[str, float]:
        """Return the means of what the verification of the best child measured."""
        trainings = self.verified.get(self.best.candidate.id, []) if self.best is not None else []
        names = [name for name in (trainings[0] if trainings else ()) if all(name in each for each in trainings)]
        return {f"verified/{name}": fmean(each[name] for each in trainings) for name in names}


class Following:
    """An observer that calls a tracker on a thread of its own, so that a slow server does not hold up the search.

    The first failure is warned of, and ends the calls: clients try again by themselves, and what they give up is gone.

    Args:
        title: The tracker's name in warnings.
        tracker: What is called.
        patience_seconds: How long the end of a search waits for what was not taken yet.
    """

    def __init__(self, title: str, tracker: Tracker, patience_seconds: float = 30.0) -> None:
        self._title, self._tracker, self._patience = title, tracker, patience_seconds
        self._story = _Story()
        self._sent: deque[Future[None]] = deque()
        self._lane: Lane | None = None
        self._there = False  # whether the tracker has earlier evaluations; of its thread

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, Started):
            self._close()
            self._story, self._lane = _Story(), Lane(f"nasmith-{self._title.lower()}")
            self._send(partial(self._begin, event))
        elif isinstance(event, Evaluated):
            story = self._story
            story.told += 1
            values = story.searched(event) if event.evaluation.purpose == "search" else story.checked(event)
            self._send(partial(self._log, values, story.told, event.replayed))
        elif isinstance(event, Finished):
            self._finish(event.complete)
        self._look()

    def _begin(self, event: Started) -> None:
        self._there = self._tracker.begin(event.run, event.resumed)

    def _log(self, values: Mapping[str, float], step: int, replayed: bool) -> None:
        if not (replayed and self._there):
            self._tracker.log(values, step)

    def _finish(self, complete: bool) -> None:
        story = self._story
        if verdict := story.verdict():
            self._send(partial(self._tracker.log, verdict, story.told))
        if story.best is not None:
            self._send(partial(self._tracker.write, "best_program.py", redacted(story.best.candidate.text)))
        self._send(partial(self._tracker.end, complete))
        wait(self._sent, timeout=self._patience)
        self._look()
        if self._sent:
            self._give_up(f"it did not take everything within {self._patience:g} seconds after the end")
        self._close()

    def _send(self, call: Callable[[], None]) -> None:
        if self._lane is not None:
            self._sent.append(self._lane.submit(call))

    def _look(self) -> None:
        """Find out what became of the calls so far."""
        while self._sent and self._sent[0].done():
            error = self._sent.popleft().exception()
            if error is not None:
                self._give_up(f"{type(error).__name__}: {error}")

    def _give_up(self, reason: str) -> None:
        self._close()
        warnings.warn(
            f"{self._title} gets nothing more of this search, which goes on: {redacted(reason)}",
            IntegrationWarning,
            stacklevel=2,
        )

    def _close(self) -> None:
        """Call nothing more."""
        for future in self._sent:
            future.cancel()
        self._sent.clear()
        if self._lane is not None:
            self._lane.close()
        self._lane = None


def needs(title: str, module: str, extra: str) -> None:
    """Import a tracker's package, before the search begins and on the thread that begins it.

    Not later and elsewhere: packages parse source while they are imported, and in Python 3.11 two threads that do so at the
    same time may fail (gh-106905).

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f'{title} is not installed: pip install "nasmith[{extra}]" ({error})') from error


def identity(run: Run) -> str:
    """Return what tells a run from others of its name in other storages, in letters, digits, ".", "_" and "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{run.name}-{re.sub('[^0-9]', '', run.created)[:14]}")


def clean(value: Any) -> Any:
    """Return plain values without the values of secret environment variables."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list | tuple) else value


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's configuration as texts by dotted key: "task" is the component's name, "task.steps" an option of it."""
    return dict(_flattened("", clean(config)))


def _flattened(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value.keys() == {"name", "options"}:
        yield key, str(value["name"])
        value = value["options"]
    if not isinstance(value, Mapping):
        yield key, str(value)
        return
    for name, item in value.items():
        yield from _flattened(f"{key}.{name}" if key else str(name), item)
