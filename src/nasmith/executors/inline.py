"""Runs jobs in this process, one after the other, while `submit` is called: for tests and for debugging with breakpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from nasmith.errors import ConfigError
from nasmith.executors.attempt import attempt, packed
from nasmith.executors.wire import unpack_outcome
from nasmith.protocols import Data, Workload
from nasmith.types import Job, Outcome

__all__ = ["Inline"]


class Inline:
    """Gives no protection: a program that loops, exits hard or crashes takes this process with it.

    `submit` returns when the job is done. Outcomes are packed and unpacked as between processes, so that a result that cannot
    travel is found out here too.

    Args:
        output_mb: Limit on all arrays of one result together, in MB (1e6 bytes).
    """

    slots = 1

    def __init__(self, output_mb: float = 256) -> None:
        if not output_mb > 0:
            raise ConfigError(f"output_mb must be above 0, not {output_mb!r}: it limits the size of a result")
        self.output_mb = output_mb
        self._limit = int(output_mb * 1e6)
        self._workload: Workload | None = None
        self._data: Data = {}

    def start(self, workload: Workload, data: Callable[[], Data] = dict) -> None:
        """Warm the workload in this process."""
        workload.warm()
        self._workload, self._data = workload, data()

    def submit(self, job: Job) -> Future[Outcome]:
        """Run the job and return its finished future.

        Raises:
            RuntimeError: `start` was not called, or `close` was.
        """
        if self._workload is None:
            raise RuntimeError("this executor is not started, or closed")
        future: Future[Outcome] = Future()
        future.set_running_or_notify_cancel()
        began = time.monotonic()
        data = {split: self._data[split] for split in job.splits if split in self._data}
        outcome = unpack_outcome(packed(attempt(self._workload, job, data), self._limit), self._limit)
        future.set_result(replace(outcome, seconds=time.monotonic() - began))
        return future

    def close(self, *, wait: bool = False) -> None:
        """Forget the workload; nothing runs between calls."""
        self._workload = None
