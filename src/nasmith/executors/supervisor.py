"""Watches candidates, one after the other: forks each one's process, holds the limits, and leaves nothing of it alive."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from nasmith.executors import child
from nasmith.executors.order import Order
from nasmith.executors.sandbox.limits import most_processes
from nasmith.executors.sandbox.policy import Sandbox
from nasmith.executors.wire import send
from nasmith.protocols import Workload

__all__ = ["descendants", "drain", "end_all", "resident", "set_subreaper", "supervise", "wake_on_child"]

_TICK_SECONDS = 0.1
_TAIL = 2048
_CHUNK = 1 << 18
_PATIENCE_SECONDS = 10.0
_CPU_SLACK_SECONDS = 0.5
_MOST_THREADS = 16
_LOOK_SECONDS = 0.5

Ended = Callable[[int, int, Any], None]
"""Told the process id, the status and the resource usage of a child that ended."""


def supervise(workload: Workload | child.Unwarmed, sandbox: Sandbox, connection: socket.socket) -> None:
    """Serve the jobs that come through `connection`, one at a time, in a process that was forked for it.

    It says its own process id first, in case that it must be ended from outside. A reply's header says how the candidate's
    process ended: `cause` ("exit", "timeout", "cpu", "memory", "threads", "output", "printed", "disk", "error"), `code` (its
    exit code, or minus the signal's number), `seconds`, `tail` (the end of what it printed), `oom` (the kernel ended a process
    for want of memory meanwhile, or the process had gone past its limit). The body is what the process wrote as its result,
    unread. Where the other side goes away, the candidate is ended and nothing is replied.

    Raises:
        EOFError: The other side went away.
        OSError: The sandbox could not be entered.
    """
    set_subreaper()  # orphans of the candidate come to this process
    wake = wake_on_child()
    helpers = sandbox.enter()
    send(connection, {"pid": os.getpid()})
    while True:
        order = Order.receive(connection)
        watch = _Watch(workload, order, sandbox, connection, wake, helpers)
        verdict = watch.run()
        if verdict is None:
            return
        with watch.result() as result:
            send(connection, verdict, result)
        watch.forget()


class _Watch:
    """One candidate's process from fork to end."""

    def __init__(
        self,
        workload: Workload | child.Unwarmed,
        order: Order,
        sandbox: Sandbox,
        connection: socket.socket,
        wake: int,
        helpers: Collection[int] = (),
    ) -> None:
        self._workload, self._order, self._sandbox = workload, order, sandbox
        self._connection, self._wake, self._helpers = connection, wake, helpers
        self._limits = order.limits
        self._tail = bytearray()
        self._filled = 0  # bytes of the result so far
        self._printed = 0
        self._usage: Any = None

    def run(self) -> dict[str, Any] | None:
        """Return the reply's header, or None where nobody waits for it any more."""
        kills = _kernel_kills()
        began = time.monotonic()
        folder = self._sandbox.open_folder(self._limits)
        self._fork(folder)
        cause = self._until_it_ends(began + self._limits.timeout_seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child, signal.SIGKILL)
        end_all(self._wake, self._collect, hollow=self._helpers)
        seconds = time.monotonic() - began
        self._sandbox.clear_folder()
        if cause == "gone":
            return None
        while cause == "exit" and self._take_result() > 0:
            cause = "output" if self._filled > self._most else cause
        while self._take_output() > 0:
            pass
        for pipe in (self._result_pipe, self._output_pipe):
            os.close(pipe)
        return self._verdict(cause, seconds, kernel_killed=_kernel_kills() > kills)

    def _verdict(self, cause: str, seconds: float, *, kernel_killed: bool) -> dict[str, Any]:
        begun = self._filled > 0 and self._result[:1] == child.CONFINED
        usage, limit = self._usage, self._limits.cpu_seconds
        killed = self._code in (-signal.SIGKILL, -signal.SIGXCPU)
        if cause == "exit" and not begun:  # whatever ended it, the candidate did not
            cause = "error"
        elif cause == "exit" and killed and limit and usage.ru_utime + usage.ru_stime > limit - _CPU_SLACK_SECONDS:
            cause = "cpu"
        if cause != "exit":
            self._filled = 0
        peak = usage.ru_maxrss * (1024 if sys.platform == "linux" else 1) if usage else 0
        return {
            "cause": cause,
            "code": self._code,
            "seconds": seconds,
            "tail": self._tail.decode(errors="replace"),
            "oom": kernel_killed or peak > self._limits.memory_bytes,
        }

    def result(self) -> memoryview:
        """What the process wrote as its result, to be released before `forget`."""
        return memoryview(self._result)[len(child.CONFINED) : max(self._filled, len(child.CONFINED))]

    def forget(self) -> None:
        """Give the result's memory back to the system, so that the next candidate's process does not inherit it."""
        self._result.close()

    @property
    def _most(self) -> int:
        """Bytes of the largest result that is whole: the arrays, the longest header and the prefix."""
        return self._limits.output_bytes + (1 << 20) + 64

    def _fork(self, folder: Path | None) -> None:
        self._result_pipe, result = os.pipe()
        self._output_pipe, output = os.pipe()
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                fcntl.fcntl(result, fcntl.F_SETPIPE_SZ, 1 << 20)  # a usual result fits: the candidate need not wait for us
        self._code: int | None = None
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:
                code = child.run(self._workload, self._order, self._limits, self._sandbox, result, output, folder)
            except Exception:  # noqa: BLE001 - before the candidate's own code: the parent hears of it as an error of ours
                _tell(output, traceback.format_exc(limit=-1))
            finally:
                os._exit(code)  # no clean-up and no exit handlers: they are the zygote's
        self._order.close()
        self._result = mmap.mmap(-1, self._most + 1, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # costs what is written
        for pipe in (result, output):
            os.close(pipe)
        for pipe in (self._result_pipe, self._output_pipe):
            os.set_blocking(pipe, False)

    def _until_it_ends(self, deadline: float) -> str:
        """Wait for the candidate's end or for a reason to end it, and return which; its processes may still run."""
        poll = select.poll()
        for source in (self._result_pipe, self._output_pipe, self._wake, self._connection.fileno()):
            poll.register(source, select.POLLIN)
        look = time.monotonic() + _LOOK_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            ready = {source for source, _ in poll.poll(1000 * min(left, _TICK_SECONDS))}
            if self._connection.fileno() in ready:
                return "gone"  # nothing but the end of the conversation comes here
            for pipe, take in ((self._result_pipe, self._take_result), (self._output_pipe, self._take_output)):
                if pipe in ready and take() == 0:
                    poll.unregister(pipe)
            if self._filled > self._most:
                return "output"
            if self._printed > self._limits.output_bytes:
                return "printed"
            if self._wake in ready and self._ended():
                return "exit"
            if cause := self._too_much():
                return cause
            if time.monotonic() > look:
                if self._sandbox.overfull(self._limits):
                    return "disk"
                look = time.monotonic() + _LOOK_SECONDS
        return "timeout"

    def _too_much(self) -> str:
        """Look at what the candidate's processes hold; return the limit that is passed, if any."""
        pids = self._processes()
        most = self._limits.memory_bytes
        # Looked at twice: what is about to run another program has its parent's memory until then, which counts twice.
        if resident(pids) > most and (len(pids) == 1 or resident(self._processes()) > most):
            return "memory"
        if self._sandbox.workshop:
            return "threads" if sum(map(_threads, pids)) > most_processes(self._limits) else ""
        most = _MOST_THREADS * self._limits.threads + self._sandbox.spare_threads
        return "threads" if _threads(self._child) > most else ""

    def _processes(self) -> list[int]:
        """Return the candidate's processes."""
        if not self._sandbox.workshop:
            return [self._child, *descendants(self._child)]
        return [pid for pid in descendants(os.getpid()) if pid not in self._helpers]  # what is orphaned is below one of these

    def _take_result(self) -> int:
        """Read on; return how much came, 0 at the end of the pipe, -1 where nothing is there yet."""
        with memoryview(self._result) as whole, whole[self._filled : self._filled + _CHUNK] as room:
            try:
                count = os.readv(self._result_pipe, [room])
            except BlockingIOError:
                return -1
        self._filled += count
        return count

    def _take_output(self) -> int:
        """Read what was printed, and keep the end of it; return as `_take_result` does."""
        try:
            chunk = os.read(self._output_pipe, _CHUNK)
        except BlockingIOError:
            return -1
        self._printed += len(chunk)
        self._tail += chunk
        del self._tail[:-_TAIL]
        return len(chunk)

    def _ended(self) -> bool:
        """Collect every process that ended; True once the candidate's own has."""
        drain(self._wake, self._collect)
        return self._code is not None

    def _collect(self, pid: int, status: int, usage: Any) -> None:
        if pid == self._child:
            self._code, self._usage = os.waitstatus_to_exitcode(status), usage


def _tell(output: int, words: str) -> None:
    """Write to the pipe that takes what a candidate prints: `output`, or standard output once the process is confined."""
    for descriptor in (output, 1):
        with contextlib.suppress(OSError):
            os.write(descriptor, words.encode(errors="replace"))
            return


def set_subreaper() -> None:
    """Make this process the parent of every orphan below it, where the system can."""
    if sys.platform == "linux":
        from nasmith.executors.sandbox import kernel

        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


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


def drain(wake: int, on_exit: Ended) -> bool:
    """Collect the children that have ended and quieten `wake`; False where no child is left at all."""
    with contextlib.suppress(BlockingIOError):
        os.read(wake, 4096)
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        on_exit(pid, status, usage)


def end_all(wake: int, on_exit: Ended, keep: Collection[int] = (), hollow: Collection[int] = ()) -> None:
    """Kill every descendant of this process and collect it, orphans that came here included.

    What forks while it is being killed is found on the next look. Gives up after some seconds on what the kernel cannot end.

    Args:
        wake: From `wake_on_child`.
        on_exit: Told of every child that ended.
        keep: Children that stay, with all that is below them.
        hollow: Children that stay, with nothing below them.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while drain(wake, on_exit) and time.monotonic() < deadline:
        doomed = [pid for pid in descendants(os.getpid(), keep) if pid not in hollow]
        if (keep or hollow) and not doomed:
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
                total += _share(pid)
    return total


def _share(pid: int) -> int:
    """Return the bytes that a process holds, those that it shares with others in part; without these where that is not told."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:  # another user's process, and root in a container may not look into it
        _, held, shared = map(int, Path(f"/proc/{pid}/statm").read_text().split()[:3])
        return (held - shared) * resource.getpagesize()
    return 1024 * int(rollup.split("\nPss:")[1].split()[0])


def _resident_elsewhere(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _threads(pid: int) -> int:
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
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
