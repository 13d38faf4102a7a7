"""Watches one candidate: forks its process, holds the limits, and leaves nothing of it alive."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from nasmith.executors import child
from nasmith.executors.wire import receive, send
from nasmith.protocols import Workload
from nasmith.types import Job

__all__ = ["descendants", "drain", "end_all", "resident", "supervise", "wake_on_child"]

_SUBREAPER = 36
_TICK_SECONDS = 0.1
_TAIL = 2048
_CHUNK = 1 << 18
_JOB_LIMIT = 1 << 26
_PATIENCE_SECONDS = 10.0


def supervise(workload: Workload, connection: socket.socket) -> None:
    """Serve the one job that comes through `connection`, in a process that was forked for it.

    It says its own process id first, in case that it must be ended from outside. The reply's header says how the candidate's
    process ended: `cause` ("exit", "timeout", "memory", "output"), `code` (its exit code, or minus the signal's number),
    `seconds`, `tail` (the end of what it printed), `oom` (the kernel ended a process for want of memory meanwhile, or the
    process had gone past its limit). The body is what the process wrote as its result, unread. Where the other side goes away,
    the candidate is ended and nothing is replied.
    """
    if sys.platform == "linux":
        child.set_process_option(_SUBREAPER, 1)  # orphans of the candidate come to this process
    wake = wake_on_child()
    send(connection, {"pid": os.getpid()})
    header, text = receive(connection, _JOB_LIMIT)
    limits = child.Limits.read(header["limits"])
    job = Job(header["candidate"], text.decode(), header["seed"], tuple(header["splits"]), header["train"])
    watch = _Watch(workload, job, limits, connection, wake)
    verdict = watch.run()
    if verdict is not None:
        send(connection, verdict, watch.result)


class _Watch:
    """One candidate's process from fork to end."""

    def __init__(self, workload: Workload, job: Job, limits: child.Limits, connection: socket.socket, wake: int) -> None:
        self._workload, self._job, self._limits = workload, job, limits
        self._connection, self._wake = connection, wake
        self.result = bytearray()
        self._tail = bytearray()

    def run(self) -> dict[str, Any] | None:
        """Return the reply's header, or None where nobody waits for it any more."""
        kills = _kernel_kills()
        began = time.monotonic()
        self._fork()
        cause = self._until_it_ends(began + self._limits.timeout_seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child, signal.SIGKILL)
        end_all(self._wake, self._collect)
        seconds = time.monotonic() - began
        if cause == "gone":
            return None
        while cause == "exit" and self._take(self._result_pipe, self.result) > 0:
            cause = "output" if len(self.result) > self._most else cause
        while self._take(self._output_pipe, self._tail) > 0:
            del self._tail[:-_TAIL]
        if cause != "exit":
            self.result.clear()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1024 if sys.platform == "linux" else 1)
        return {
            "cause": cause,
            "code": self._code,
            "seconds": seconds,
            "tail": self._tail.decode(errors="replace"),
            "oom": _kernel_kills() > kills or peak > self._limits.memory_bytes,
        }

    @property
    def _most(self) -> int:
        """Bytes of the largest result that is whole: the arrays, the longest header and the prefix."""
        return self._limits.output_bytes + (1 << 20) + 64

    def _fork(self) -> None:
        self._result_pipe, result = os.pipe()
        self._output_pipe, output = os.pipe()
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                fcntl.fcntl(result, fcntl.F_SETPIPE_SZ, 1 << 20)  # a usual result fits: the candidate need not wait for us
        supervisor = os.getpid()
        self._code: int | None = None
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:
                code = child.run(self._workload, self._job, self._limits, result, output, supervisor)
            finally:
                os._exit(code)  # no clean-up and no exit handlers: they are the zygote's
        for pipe in (result, output):
            os.close(pipe)
        for pipe in (self._result_pipe, self._output_pipe):
            os.set_blocking(pipe, False)

    def _until_it_ends(self, deadline: float) -> str:
        """Wait for the candidate's end or for a reason to end it, and return which; its processes may still run."""
        poll = select.poll()
        for source in (self._result_pipe, self._output_pipe, self._wake, self._connection.fileno()):
            poll.register(source, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = {source for source, _ in poll.poll(1000 * min(left, _TICK_SECONDS))}
            if self._connection.fileno() in ready:
                return "gone"  # nothing but the end of the conversation comes here
            for pipe, kept in ((self._result_pipe, self.result), (self._output_pipe, self._tail)):
                if pipe in ready and self._take(pipe, kept) == 0:
                    poll.unregister(pipe)
            del self._tail[:-_TAIL]
            if len(self.result) > self._most:
                return "output"
            if self._wake in ready and self._ended():
                return "exit"
            if resident([self._child, *descendants(self._child)]) > self._limits.memory_bytes:
                return "memory"
        return "timeout"

    def _take(self, pipe: int, kept: bytearray) -> int:
        """Move what a pipe holds into `kept`; return how much, 0 at the end of the pipe, -1 where nothing is there yet."""
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return -1
        kept += chunk
        return len(chunk)

    def _ended(self) -> bool:
        """Collect every process that ended; True once the candidate's own has."""
        drain(self._wake, self._collect)
        return self._code is not None

    def _collect(self, pid: int, status: int) -> None:
        if pid == self._child:
            self._code = os.waitstatus_to_exitcode(status)


def wake_on_child() -> int:
    """Return a descriptor that can be read whenever a child of this process has ended."""
    wake, write = os.pipe()
    for pipe in (wake, write):
        os.set_blocking(pipe, False)
    former = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    if former >= 0:
        os.close(former)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return wake


def drain(wake: int, on_exit: Callable[[int, int], None]) -> bool:
    """Collect the children that have ended and quieten `wake`; False where no child is left at all."""
    with contextlib.suppress(BlockingIOError):
        os.read(wake, 4096)
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        on_exit(pid, status)


def end_all(wake: int, on_exit: Callable[[int, int], None], keep: Collection[int] = ()) -> None:
    """Kill every descendant of this process and collect it, orphans that came here included.

    What forks while it is being killed is found on the next look. Gives up after some seconds on what the kernel cannot end.

    Args:
        wake: From `wake_on_child`.
        on_exit: Told the process id and status of every child that ended.
        keep: Children that stay, with all that is below them.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while drain(wake, on_exit) and time.monotonic() < deadline:
        doomed = descendants(os.getpid(), keep)
        if keep and not doomed:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none forks while the others are killed
            for pid in doomed:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        select.select([wake], [], [], _TICK_SECONDS)


def descendants(pid: int, leave: Collection[int] = ()) -> list[int]:
    """Return the ids of all processes below `pid`, without those in `leave` and what is below them."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = [child for child in _children(waiting.pop()) if child not in leave]
        found += below
        waiting += below
    return found


def resident(pids: Collection[int]) -> int:
    """Return the bytes of memory that the processes hold, together; pages that several of them share count once."""
    if sys.platform != "linux":
        return sum(map(_resident_elsewhere, pids))
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError):
            if len(pids) == 1:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
            else:  # walks the page tables: dearer, and only needed where a candidate has processes of its own
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += 1024 * int(rollup.split("\nPss:")[1].split()[0])
    return total


def _resident_elsewhere(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    try:
        return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    except FileNotFoundError:  # the process or one of its threads has just ended, or nothing lists children here
        return _children_elsewhere(pid)
    except ProcessLookupError:
        return []


def _children_elsewhere(pid: int) -> list[int]:
    """Ask the process table: for other systems, and for kernels that do not list children."""
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def _kernel_kills() -> int:
    """Return how many processes the kernel has ended for want of memory since it started; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
