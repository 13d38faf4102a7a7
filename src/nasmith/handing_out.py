"""An executor that runs nothing: it hands its jobs out to whoever asks, and waits to be told what came of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition

from nasmith.errors import ConfigError, UsageError
from nasmith.protocols import Data, Workload
from nasmith.types import Job, Outcome, Status

__all__ = ["HandOut"]


@dataclass(frozen=True, slots=True)
class _Errand:
    """A job that somebody took, and when."""

    job: Job
    future: Future[Outcome]
    began: float


class HandOut:
    """The `Executor` of a search whose trainings are run by the user.

    The search calls `start`, `connect`, `submit` and `close` on its thread; `take`, `tell` and `leave` are for any other.

    Args:
        slots: Jobs that may be out at a time.
    """

    def __init__(self, slots: int = 1) -> None:
        if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
            raise ConfigError(f"slots must be a whole number of at least 1, got {slots!r}: so many candidates may be out.")
        self.slots = slots
        self._changed = Condition()
        self._ready: deque[tuple[Job, Future[Outcome]]] = deque()
        self._out: dict[int, _Errand] = {}
        self._seeds: dict[int, int] = {}  # of all that were handed out, by candidate
        self._attended = self._left = self._closed = False
        self._stop: Callable[[], None] | None = None

    def attend(self) -> None:
        """Promise that somebody will take the jobs; a search that nobody attends to is refused."""
        self._attended = True

    def start(self, workload: Workload, data: Callable[[], Data] = dict) -> None:
        """Need nothing.

        Raises:
            UsageError: Nobody would ever take a job.
        """
        if not self._attended:
            raise UsageError(
                "this run belongs to a training loop of your own, and nothing else can train its candidates. Take it up from "
                "Python: nasmith.OwnLoop(..., name=..., storage=..., resume=True)"
            )

    def connect(self, stop: Callable[[], None]) -> None:
        """Take what ends the search in good order; `leave` calls it."""
        with self._changed:
            self._stop, left = stop, self._left
        if left:
            stop()

    def submit(self, job: Job) -> Future[Outcome]:
        """Keep a job until it is taken; until then its future can be cancelled. Nothing is built, so a screening is passed."""
        future: Future[Outcome] = Future()
        if job.action == "screen":
            future.set_result(Outcome(Status.OK))
            return future
        with self._changed:
            self._ready.append((job, future))
            self._changed.notify_all()
        return future

    def close(self, *, wait: bool = False) -> None:
        """Say that no more jobs come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, *, wait: bool = True) -> Job | None:
        """Take the next job out, once there is one; None where no more come, or where none is there and `wait` is False.

        Raises:
            UsageError: So many are out as may be.
        """
        with self._changed:
            while True:
                if len(self._out) >= self.slots:
                    raise UsageError(self._too_many())
                while self._ready:
                    job, future = self._ready.popleft()
                    if future.set_running_or_notify_cancel():
                        self._out[job.candidate] = _Errand(job, future, time.monotonic())
                        self._seeds[job.candidate] = job.seed
                        return job
                if self._closed or self._left or not wait:
                    return None
                self._changed.wait()

    def seed(self, candidate: int) -> int:
        """Return the seed of a candidate's training.

        Raises:
            UsageError: The candidate was never handed out.
        """
        if candidate not in self._seeds:
            raise UsageError(_unknown(candidate))
        return self._seeds[candidate]

    def tell(self, candidate: int, status: Status, facts: Mapping[str, float], message: str = "") -> None:
        """Pass on what came of a job that is out.

        Raises:
            UsageError: The job is not out, or not any more.
        """
        with self._changed:
            errand = self._out.pop(candidate, None)
            if errand is None:
                if candidate not in self._seeds:
                    raise UsageError(_unknown(candidate))
                if self._left:
                    raise UsageError(f"candidate {candidate} comes too late: the search was left, and is over.")
                raise UsageError(f"candidate {candidate} was told already; a candidate is told once.")
        seconds = time.monotonic() - errand.began
        errand.future.set_result(Outcome(status, facts=facts, seconds=seconds, message=message))

    def leave(self) -> None:
        """End the search in good order; what is out is given up, so that a resumed search hands it out again."""
        with self._changed:
            self._left = True
            stop, given_up = self._stop, list(self._out.values())
            self._out.clear()
            self._changed.notify_all()
        if stop is not None:
            stop()
        for errand in given_up:  # after the stop: what failed by our fault is tried again, and that waits, and is dropped
            errand.future.set_result(Outcome(Status.ERROR, message="the search was left"))

    def _too_many(self) -> str:
        numbers = ", ".join(map(str, self._out))
        if self.slots == 1:
            return (
                f"candidate {numbers} is still out: say what came of it with tell(candidate, metrics) or "
                "fail(candidate, reason) before you ask for another. For several at a time: OwnLoop(slots=...)."
            )
        return (
            f"candidates {numbers} are still out, and slots={self.slots}: say what came of one with "
            "tell(candidate, metrics) or fail(candidate, reason) before you ask for another."
        )


def _unknown(candidate: int) -> str:
    return f"candidate {candidate} was not handed out here; tell of those that ask() returned."
