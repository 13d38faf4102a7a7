"""Sends a request again while there is hope, and stops the run where a server does not answer any more."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock
from typing import Any, TypeVar

from nasmith.errors import RunStoppedError
from nasmith.lms.exchange import Fault
from nasmith.seeding import generator

__all__ = ["MOST_UNANSWERED", "Retries"]

T = TypeVar("T")

MOST_UNANSWERED = 3
"""Requests in a row, over all threads, that may end without an answer: a run is not spent on a dead server."""

_FIRST_WAIT_SECONDS = 2.0


class Retries:
    """Repeats exchanges that failed in a way that passes. Called from many threads at a time.

    Args:
        tries: Exchanges for one request.
        longest_wait_seconds: Between two of them, whatever the server asks for.
        sleep: Waits so many seconds and returns whether to give up; by default it wakes when `close` is called.
    """

    def __init__(self, tries: int, longest_wait_seconds: float, sleep: Callable[[float], bool] | None = None) -> None:
        import tenacity

        self.tries, self._longest_wait_seconds = tries, longest_wait_seconds
        self._closed, self._lock, self._unanswered = Event(), Lock(), 0
        self._sleep = sleep or self._closed.wait
        self._policy = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(tries),
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, Fault) and error.passing),
            wait=self._wait_seconds,
            sleep=self._pause,
            reraise=True,
        )
        there = tenacity.retry_if_exception(lambda error: isinstance(error, Fault) and error.passing and not error.unreachable)
        self._first_policy = self._policy.copy(retry=there)

    def run(self, exchange: Callable[[int], T], seed: int, *, first: bool = False) -> T:
        """Return what `exchange` returns, after as many tries as it takes.

        Args:
            exchange: Called with `seed`.
            seed: Of the waits' random part.
            first: Nobody has answered yet: where nobody listens, nobody is waited for.

        Raises:
            Fault: The last try's, or the first that does not pass.
            RunStoppedError: The client was closed meanwhile.
        """
        return (self._first_policy if first else self._policy)(exchange, seed)

    def answered(self) -> None:
        """The server is alive."""
        with self._lock:
            self._unanswered = 0

    def unanswered(self) -> bool:
        """A request ended without an answer; return whether that makes too many in a row."""
        with self._lock:
            self._unanswered += 1
            return self._unanswered >= MOST_UNANSWERED

    def close(self) -> None:
        """Wake those who wait; they give up."""
        self._closed.set()

    def _wait_seconds(self, state: Any) -> float:
        """Return how long to wait: as the server asks, or twice as long as the last time, and a part of it by chance."""
        fault: Fault = state.outcome.exception()
        if fault.wait_seconds is not None:
            return min(fault.wait_seconds, self._longest_wait_seconds)
        longest = min(_FIRST_WAIT_SECONDS * 2 ** (state.attempt_number - 1), self._longest_wait_seconds)
        # Threads that failed together should not come back together.
        return longest * generator(state.args[0], "wait", state.attempt_number).uniform(0.5, 1.0)

    def _pause(self, seconds: float) -> None:
        if self._sleep(seconds) or self._closed.is_set():
            raise RunStoppedError("the language model was closed while a request waited for its next try.")
