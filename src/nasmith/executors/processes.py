"""Runs every candidate in a process of its own, forked from one that is warm, on this machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from nasmith.errors import ConfigError, NasmithError, UnknownNameError, UsageError
from nasmith.executors.bundle import Bundle
from nasmith.executors.launch import Setup, StartsThreadsError, Zygote, end_tree
from nasmith.executors.order import Order
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.sandbox.policy import Level
from nasmith.executors.verdicts import judge
from nasmith.executors.wire import WireError, receive
from nasmith.protocols import Data, Workload
from nasmith.types import Job, Outcome, Status

__all__ = ["Processes"]

_RESTARTS = 3
_GRACE_SECONDS = 30.0
_HEADER_SPACE = 1 << 21
_NOTHING = Job(0, "", 0, ())
_CLOSED = Outcome(Status.ERROR, message="the executor was closed before this ended")


@dataclass(slots=True)
class _Seat:
    """One worker: a supervisor, the connection to it, the zygote that it came from, and why it could not begin."""

    talk: socket.socket | None = None
    zygote: Zygote | None = None
    supervisor: int | None = None
    trouble: str = ""


class Processes:
    """Trains candidates in processes of their own, several at once, each in a sandbox.

    One *zygote* imports what the workload needs, once. For each worker it forks a *supervisor*, and that one forks a process
    for every candidate. The supervisor holds wall time and memory, and ends the candidate with all that it started; the zygote
    and the supervisors end when this process does, however it does. Nothing that a candidate returns is unpickled, and what it
    is given lies in sealed memory.

    On Linux a candidate can read the libraries and write its result; it has no other files, no network, no other processes and
    no keys (`nasmith.executors.sandbox`). It is tried at the start whether that holds, and nothing is run where it does not.
    Elsewhere there is only `sandbox="off"`: time and resident memory are held, and a candidate has the user's rights.

    Args:
        workers: Candidates that run at once; None for the number of processors that this process may use.
        sandbox: "strict", "namespaces", "bwrap" or "off"; see `nasmith.executors.sandbox.policy.Level`.
        timeout_seconds: Wall time for one candidate's screening and training together.
        cpu_seconds: Processor time of one candidate, all threads together; None for no limit but the wall time.
        memory_mb: Resident memory (1e6 bytes) of one candidate's processes together, including the libraries that it shares
            with the others (about 300 MB for PyTorch).
        output_mb: All arrays of one result together (1e6 bytes); as much again may be printed.
        threads: Threads that PyTorch uses within one operation of a candidate. With one, a candidate can start no thread,
            unless the task's libraries need some of their own.
        gpu_memory_mb: Memory (1e6 bytes) that PyTorch may take on a GPU; None for all.
    """

    def __init__(
        self,
        workers: int | None = None,
        sandbox: str = Level.STRICT,
        timeout_seconds: float = 600,
        cpu_seconds: float | None = None,
        memory_mb: float = 2048,
        output_mb: float = 256,
        threads: int = 1,
        gpu_memory_mb: float | None = None,
    ) -> None:
        if sys.platform == "win32":
            raise ConfigError("the executor 'processes' needs Linux or macOS (it forks); on Windows run nasmith under WSL 2")
        for name, count in (("workers", workers), ("threads", threads)):
            if count is not None and (type(count) is not int or count < 1):
                raise ConfigError(f"{name} must be a whole number above 0, not {count!r}")
        amounts = {"timeout_seconds": timeout_seconds, "memory_mb": memory_mb, "output_mb": output_mb}
        optional = {"cpu_seconds": cpu_seconds, "gpu_memory_mb": gpu_memory_mb}
        for name, amount in (amounts | {name: amount for name, amount in optional.items() if amount is not None}).items():
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < float("inf"):
                raise ConfigError(f"{name} must be a number above 0, not {amount!r}")
        if sandbox not in set(Level):
            raise UnknownNameError("sandbox", sandbox, map(str, Level))
        if sandbox != Level.OFF and sys.platform != "linux":
            raise ConfigError(
                f"the sandbox {sandbox!r} needs Linux. On this system only time and resident memory of a candidate are held, "
                "and it runs with your rights: pass --sandbox off if you accept that, or run nasmith in a Linux container"
            )
        self.workers, self.sandbox, self.timeout_seconds, self.cpu_seconds = workers, str(sandbox), timeout_seconds, cpu_seconds
        self.memory_mb, self.output_mb, self.threads, self.gpu_memory_mb = memory_mb, output_mb, threads, gpu_memory_mb
        self.slots: int = workers or _processors()
        self._limits = Limits(
            timeout_seconds=float(timeout_seconds),
            cpu_seconds=cpu_seconds,
            memory_bytes=int(memory_mb * 1e6),
            output_bytes=int(output_mb * 1e6),
            threads=threads,
            gpu_memory_bytes=None if gpu_memory_mb is None else int(gpu_memory_mb * 1e6),
        )
        self._data: dict[str, Bundle] = {}
        self._queue: queue.PriorityQueue[tuple[int, int, Future[Outcome] | None, Job]] = queue.PriorityQueue()
        self._submitted = itertools.count()
        self._threads: list[threading.Thread] = []
        self._state = threading.Lock()  # guards what follows
        self._closed = False  # no new jobs
        self._hung_up = False  # nobody waits for the jobs that run
        self._talks: set[socket.socket] = set()
        self._zygote: Zygote | None = None
        self._warming = threading.Lock()  # held while a zygote is started, waited for or replaced
        self._deaths = 0
        self._broken = ""

    def start(self, workload: Workload, data: Callable[[], Data] = dict) -> None:
        """Begin to warm the workload up in another process, and return at once; jobs wait until it is warm.

        Raises:
            RuntimeError: It was started before.
            NasmithError: The workload cannot travel to another process.
            UsageError: Its trainings go on after a crash: they start processes and keep files, which a sandbox forbids.
            SandboxError: The sandbox cannot be started. Where it starts and does not hold, the jobs' futures raise this.
        """
        if self._threads or self._closed:
            raise RuntimeError("an executor is started once")
        if "NASMITH_ZYGOTE" in os.environ:
            raise NasmithError(
                "a search was started while a worker process imported the script that it is in; put the call under "
                "`if __name__ == '__main__':`"
            )
        if hasattr(workload, "fit_in"):
            raise UsageError("this task trains in processes of its own, without a sandbox: use --executor inline.")
        self._setup = Setup.of(workload, Level(self.sandbox))
        self._zygote = Zygote(self._setup)
        self._data = {split: Bundle.of(arrays) for split, arrays in data().items()}  # while it warms up
        self._threads = [threading.Thread(target=self._serve, name=f"job-{i}", daemon=True) for i in range(self.slots)]
        self._threads.append(threading.Thread(target=self._warm_up, name="warm-up", daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> Future[Outcome]:
        """Queue a job; they start in the order in which they came, but an examination, which is short, goes first.

        The future holds an outcome whatever the candidate did. It raises NasmithError where the worker processes cannot work
        at all, such as when the workload cannot be loaded there.

        Raises:
            RuntimeError: The executor is not started, or closed.
        """
        with self._state:
            if not self._threads or self._closed:
                raise RuntimeError("this executor is not started, or closed")
            future: Future[Outcome] = Future()
            self._queue.put((job.action != "examine", next(self._submitted), future, job))
            return future

    def close(self, *, wait: bool = False) -> None:
        """End every process that this started; when it returns, they are gone.

        Jobs that have not begun are cancelled. Those that run end as ERROR; with `wait`, they end by themselves first.
        """
        with self._state:
            self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                future = self._queue.get_nowait()[2]
                if future is not None and future.cancel():
                    future.set_running_or_notify_cancel()  # wakes whoever waits for it
        for _ in self._threads:
            self._queue.put((2, next(self._submitted), None, _NOTHING))
        if wait:
            for thread in self._threads[: self.slots]:
                thread.join()
        self._hang_up()
        for thread in self._threads:
            thread.join(_GRACE_SECONDS)
        if self._zygote is not None:
            self._zygote.close()
        for bundle in self._data.values():
            bundle.close()
        self._data = {}

    @property
    def layers(self) -> list[str]:
        """What holds candidates, for people ("Landlock", "seccomp", …); empty before the first worker is warm, and when off."""
        return [] if self._zygote is None else self._zygote.layers

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
        seat = _Seat()
        while True:
            _, _, future, job = self._queue.get()
            if future is None:
                break
            if not future.set_running_or_notify_cancel():
                continue
            try:
                outcome = self._run(job, seat)
            except Exception as error:  # noqa: BLE001 - the thread's boundary: whoever holds the future must hear of our bugs
                future.set_exception(error)
            else:
                future.set_result(outcome)
        self._leave(seat)

    def _run(self, job: Job, seat: _Seat) -> Outcome:
        for _ in range(2):
            zygote = self._warm()
            if zygote is None:
                return _CLOSED
            outcome = self._try(job, seat, zygote)
            if outcome is not None:
                return outcome
            self._leave(seat)
        reason = f": {seat.trouble}" if seat.trouble else ""
        return Outcome(Status.ERROR, message=f"the process that watches this candidate was ended from outside, twice{reason}")

    def _try(self, job: Job, seat: _Seat, zygote: Zygote) -> Outcome | None:
        """Run the job once; None where its supervisor died."""
        limits = self._limits
        try:
            talk = seat.talk if seat.zygote is zygote else None
            if talk is None:
                self._leave(seat)
                talk = self._take(seat, zygote)
            if talk not in self._talks:
                return _CLOSED
            talk.settimeout(limits.timeout_seconds + _GRACE_SECONDS)
            Order.send(talk, job, limits, self._data)
            verdict, result = receive(talk, limits.output_bytes + _HEADER_SPACE)
        except TimeoutError:  # one of them was stopped, so that it cannot end what is below it
            zygote.kill() if seat.supervisor is None else end_tree(seat.supervisor)
            return None
        except (EOFError, OSError, WireError):
            return _CLOSED if self._hung_up else None
        self._deaths = 0
        return judge(verdict, result, limits)

    def _take(self, seat: _Seat, zygote: Zygote) -> socket.socket:
        """Have a supervisor forked for this seat; return the connection to it."""
        here, there = socket.socketpair()
        here.settimeout(_GRACE_SECONDS)
        seat.talk, seat.zygote = here, zygote
        with self._state:
            if not self._hung_up:
                self._talks.add(here)
        with there:
            zygote.hand_over(there)
        said, _ = receive(here, 0)
        seat.supervisor, seat.trouble = said.get("pid"), said.get("message", "")
        return here

    def _leave(self, seat: _Seat) -> None:
        """End the seat's supervisor."""
        if seat.talk is not None:
            with self._state:
                self._talks.discard(seat.talk)
            seat.talk.close()
        seat.talk = seat.zygote = seat.supervisor = None

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
                        _check(zygote, self._limits)
                    if zygote.alive():
                        return zygote
                except StartsThreadsError as error:
                    self._start_afresh(zygote, error)
                    continue
                except NasmithError as error:
                    self._broken = str(error)
                except (EOFError, OSError):
                    zygote.kill()
                self._replace(zygote)
            raise NasmithError(self._broken)

    def _start_afresh(self, zygote: Zygote, error: StartsThreadsError) -> None:
        """Warm the workload in every candidate's own process from now on, because it cannot be forked once it is warm."""
        warnings.warn(
            f"the task's workload runs {error} threads once it is warm, and such a process cannot be forked: every candidate "
            f"imports its libraries itself, which takes seconds each. It may start {self.threads} threads (executor.threads)",
            RuntimeWarning,
            stacklevel=2,
        )
        zygote.close()
        self._setup = replace(self._setup, header=self._setup.header | {"fresh": True})
        with self._state:
            if not self._hung_up:
                self._zygote = Zygote(self._setup)

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


def _check(zygote: Zygote, limits: Limits) -> None:
    if zygote.resident_bytes >= limits.memory_bytes:
        raise NasmithError(
            f"memory_mb is {limits.memory_bytes / 1e6:g}, but the task's libraries and data alone take "
            f"{zygote.resident_bytes / 1e6:.0f} MB; allow more"
        )


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
