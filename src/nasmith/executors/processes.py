"""Runs every candidate in a process of its own, forked from one that is warm, on this machine."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from nasmith.errors import ConfigError, NasmithError
from nasmith.executors.launch import Setup, Zygote, end_tree
from nasmith.executors.wire import WireError, printable, receive, send, unpack_outcome
from nasmith.protocols import Workload
from nasmith.types import Job, Outcome, Status

__all__ = ["Processes"]

_RESTARTS = 3
_GRACE_SECONDS = 30.0
_HEADER_SPACE = 1 << 21
_CLOSED = Outcome(Status.ERROR, message="the executor was closed before this ended")


class Processes:
    """Trains candidates in processes of their own, several at once.

    One *zygote* imports what the workload needs, once. For each job it forks a *supervisor*, and that one forks the process
    that runs the candidate's code. The supervisor holds wall time and memory, and ends the candidate with all that it started;
    the zygote and the supervisors end when this process does, however it does. Nothing that a candidate returns is unpickled.

    This contains accidents: loops, leaks, crashes, hard exits. It is not yet a wall against malice: a candidate runs with the
    user's rights, can read the user's files and use the network, and can signal the user's other processes.

    Held on Linux. On macOS a process that leaves its candidate's group and outlives its parent is not found, and reserved
    memory has no limit, only resident memory.

    Args:
        workers: Candidates that run at once; None for the number of processors that this process may use.
        timeout_seconds: Wall time for one candidate's screening and training together.
        memory_mb: Resident memory (1e6 bytes) of one candidate's processes together, including the libraries that it shares
            with the others (about 300 MB for PyTorch).
        output_mb: All arrays of one result together (1e6 bytes).
        threads: Threads that PyTorch uses within one operation of a candidate.
    """

    def __init__(
        self,
        workers: int | None = None,
        timeout_seconds: float = 600,
        memory_mb: float = 2048,
        output_mb: float = 256,
        threads: int = 1,
    ) -> None:
        if sys.platform == "win32":
            raise ConfigError("the executor 'processes' needs Linux or macOS (it forks); on Windows run nasmith under WSL 2")
        for name, count in (("workers", workers), ("threads", threads)):
            if count is not None and (type(count) is not int or count < 1):
                raise ConfigError(f"{name} must be a whole number above 0, not {count!r}")
        for name, amount in (("timeout_seconds", timeout_seconds), ("memory_mb", memory_mb), ("output_mb", output_mb)):
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < float("inf"):
                raise ConfigError(f"{name} must be a number above 0, not {amount!r}")
        self.workers, self.timeout_seconds, self.memory_mb = workers, timeout_seconds, memory_mb
        self.output_mb, self.threads = output_mb, threads
        self.slots: int = workers or _processors()
        self._limits: dict[str, Any] = {
            "timeout_seconds": float(timeout_seconds),
            "memory_bytes": int(memory_mb * 1e6),
            "output_bytes": int(output_mb * 1e6),
            "threads": threads,
        }
        self._queue: queue.SimpleQueue[tuple[Future[Outcome], Job] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._state = threading.Lock()  # guards what follows
        self._closed = False  # no new jobs
        self._hung_up = False  # nobody waits for the jobs that run
        self._talks: set[socket.socket] = set()
        self._zygote: Zygote | None = None
        self._warming = threading.Lock()  # held while a zygote is started, waited for or replaced
        self._deaths = 0
        self._broken = ""

    def start(self, workload: Workload) -> None:
        """Begin to warm the workload up in another process, and return at once; jobs wait until it is warm.

        Raises:
            RuntimeError: It was started before.
            NasmithError: The workload cannot travel to another process.
        """
        if self._threads or self._closed:
            raise RuntimeError("an executor is started once")
        if "NASMITH_ZYGOTE" in os.environ:
            raise NasmithError(
                "a search was started while a worker process imported the script that it is in; put the call under "
                "`if __name__ == '__main__':`"
            )
        self._setup = Setup.of(workload)
        self._zygote = Zygote(self._setup)
        self._threads = [threading.Thread(target=self._serve, name=f"job-{i}", daemon=True) for i in range(self.slots)]
        self._threads.append(threading.Thread(target=self._warm_up, name="warm-up", daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> Future[Outcome]:
        """Queue a job; they start in the order in which they came.

        The future holds an outcome whatever the candidate did. It raises NasmithError where the worker processes cannot work
        at all, such as when the workload cannot be loaded there.

        Raises:
            RuntimeError: The executor is not started, or closed.
        """
        with self._state:
            if not self._threads or self._closed:
                raise RuntimeError("this executor is not started, or closed")
            future: Future[Outcome] = Future()
            self._queue.put((future, job))
            return future

    def close(self, *, wait: bool = False) -> None:
        """End every process that this started; when it returns, they are gone.

        Jobs that have not begun are cancelled. Those that run end as ERROR; with `wait`, they end by themselves first.
        """
        with self._state:
            self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._queue.get_nowait()
                if item is not None and item[0].cancel():
                    item[0].set_running_or_notify_cancel()  # wakes whoever waits for it
        for _ in self._threads:
            self._queue.put(None)
        if wait:
            for thread in self._threads[: self.slots]:
                thread.join()
        self._hang_up()
        for thread in self._threads:
            thread.join(_GRACE_SECONDS)
        if self._zygote is not None:
            self._zygote.close()

    def _hang_up(self) -> None:
        """Tell the supervisors that nobody waits for them; each ends its candidate and then itself."""
        with self._state:
            self._hung_up = True
            if self._zygote is not None and not self._zygote.warm:
                self._zygote.kill()
            for talk in self._talks:
                with contextlib.suppress(OSError):
                    talk.shutdown(socket.SHUT_WR)

    def _serve(self) -> None:
        """Do jobs until told to stop: the life of one of `slots` threads, each of which waits for one candidate at a time."""
        while (item := self._queue.get()) is not None:
            future, job = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                outcome = self._run(job)
            except Exception as error:  # noqa: BLE001 - the thread's boundary: whoever holds the future must hear of our bugs
                future.set_exception(error)
            else:
                future.set_result(outcome)

    def _run(self, job: Job) -> Outcome:
        for _ in range(2):
            zygote = self._warm()
            if zygote is None:
                return _CLOSED
            outcome = self._try(job, zygote)
            if outcome is not None:
                return outcome
        return Outcome(Status.ERROR, message="the process that watches this candidate was ended from outside, twice")

    def _try(self, job: Job, zygote: Zygote) -> Outcome | None:
        """Run the job once; None where its supervisor died."""
        header = {"candidate": job.candidate, "seed": job.seed, "splits": job.splits, "train": job.train}
        supervisor = None
        here, there = socket.socketpair()
        here.settimeout(_GRACE_SECONDS)
        with self._state:
            if not self._hung_up:
                self._talks.add(here)
        try:
            with there:
                zygote.hand_over(there)
            send(here, header | {"limits": self._limits}, job.text.encode(errors="replace"))
            if here not in self._talks:
                return _CLOSED
            supervisor = receive(here, 0)[0]["pid"]
            here.settimeout(self._limits["timeout_seconds"] + _GRACE_SECONDS)
            verdict, result = receive(here, self._limits["output_bytes"] + _HEADER_SPACE)
        except TimeoutError:  # one of them was stopped, so that it cannot end what is below it
            zygote.kill() if supervisor is None else end_tree(supervisor)
            return None
        except (EOFError, OSError, WireError):
            return _CLOSED if self._hung_up else None
        finally:
            with self._state:
                self._talks.discard(here)
            here.close()
        self._deaths = 0
        return _judge(verdict, result, self._limits)

    def _warm_up(self) -> None:
        with contextlib.suppress(NasmithError):  # the jobs' futures will say it
            self._warm()

    def _warm(self) -> Zygote | None:
        """Return a zygote that is warm, a new one where the last one died; None once nobody waits for jobs.

        Raises:
            NasmithError: There will be none.
        """
        with self._warming:
            while not self._broken:
                zygote = self._zygote
                if self._hung_up or zygote is None:
                    return None
                try:
                    if not zygote.warm:
                        zygote.wait_until_warm()
                        self._check(zygote)
                    if zygote.alive():
                        return zygote
                except NasmithError as error:
                    self._broken = str(error)
                except (EOFError, OSError):
                    zygote.kill()
                self._replace(zygote)
            raise NasmithError(self._broken)

    def _check(self, zygote: Zygote) -> None:
        if zygote.resident_bytes >= self._limits["memory_bytes"]:
            raise NasmithError(
                f"memory_mb is {self._limits['memory_bytes'] / 1e6:g}, but the task's libraries and data alone take "
                f"{zygote.resident_bytes / 1e6:.0f} MB; allow more"
            )

    def _replace(self, dead: Zygote) -> None:
        if self._broken or self._hung_up:
            return
        self._deaths += 1
        if self._deaths > _RESTARTS:
            self._broken = f"the worker process died {self._deaths} times in a row; the last time: {dead.last_words()}"
            return
        dead.close()
        with self._state:
            if not self._hung_up:
                self._zygote = Zygote(self._setup)


def _judge(verdict: Mapping[str, Any], result: bytearray, limits: Mapping[str, Any]) -> Outcome:
    """Turn what a supervisor saw, and what the candidate wrote, into an outcome."""
    cause = verdict["cause"]
    if cause == "error":
        return Outcome(Status.ERROR, message=printable(verdict["message"]))
    seconds = float(verdict["seconds"])
    if cause == "timeout":
        return Outcome(Status.TIMEOUT, seconds=seconds, message=f"took longer than {limits['timeout_seconds']:g} s")
    if cause == "memory":
        return Outcome(Status.OOM, seconds=seconds, message=f"used more than {limits['memory_bytes'] / 1e6:g} MB of memory")
    if cause == "output":
        message = f"wrote more than the {limits['output_bytes'] / 1e6:g} MB that a result may take"
        return Outcome(Status.INVALID, seconds=seconds, message=message)
    return replace(_judge_exit(verdict["code"], verdict, result, limits["output_bytes"]), seconds=seconds)


def _judge_exit(code: int | None, verdict: Mapping[str, Any], result: bytearray, output_bytes: int) -> Outcome:
    tail = printable(verdict["tail"])
    last = "".join(f"\n  {line[:200]}" for line in tail.strip().splitlines()[-5:])
    if code is None:
        return Outcome(Status.KILLED, message="could not be ended by the system")
    if code < 0:
        starved = (code == -signal.SIGKILL and verdict["oom"]) or (code == -signal.SIGABRT and "std::bad_alloc" in tail)
        if starved:
            return Outcome(Status.OOM, message="was ended when memory ran out")
        return Outcome(Status.KILLED, message=f"ended by signal {_signal_name(-code)}{last}")
    if not result:
        return Outcome(Status.KILLED, message=f"exited with code {code} without a result{last}")
    try:
        outcome = unpack_outcome(result, output_bytes)
    except WireError as error:
        return Outcome(Status.INVALID, message=str(error))
    return outcome if code == 0 else Outcome(Status.KILLED, message=f"exited with code {code} after its result{last}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
