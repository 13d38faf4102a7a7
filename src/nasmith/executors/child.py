"""The process that a candidate's code runs in: what it keeps, what it may use, and how its result leaves it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from nasmith.executors.attempt import attempt, explain, packed
from nasmith.protocols import Workload
from nasmith.types import Job, Outcome, Status

__all__ = ["Limits", "confine", "run", "set_process_option"]

_RESULT = 3
_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one candidate may use.

    Attributes:
        timeout_seconds: Wall time of screening and training together.
        memory_bytes: Resident memory of all its processes together, the libraries that it shares with others included.
        output_bytes: All arrays of its result together.
        threads: Threads that PyTorch uses for one operation.
    """

    timeout_seconds: float
    memory_bytes: int
    output_bytes: int
    threads: int

    def plain(self) -> dict[str, Any]:
        """Return the limits as JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Read what `plain` returned."""
        return cls(**values)


def confine(limits: Limits) -> None:
    """Give up what a candidate must not have; called in its process before any of its code, and never undone.

    Today these are resource limits alone: they stop accidents, not attacks. The supervisor holds wall time and resident memory.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # when the machine runs out of memory, this process goes first
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, limits.output_bytes)
    with contextlib.suppress(OSError):
        # A backstop behind the supervisor's look at resident memory, for what grows faster than that looks: a multiple of the
        # limit, because reserved memory that is never touched counts here and does not cost anything.
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        _limit(resource.RLIMIT_DATA, pages * resource.getpagesize() + 2 * limits.memory_bytes)


def run(workload: Workload, job: Job, limits: Limits, result: int, output: int, supervisor: int) -> int:
    """Do the job in a process that was forked for it, and write the outcome to the descriptor `result`.

    Args:
        workload: Warm.
        job: What to do.
        limits: What it may use.
        result: Pipe to the supervisor.
        output: Pipe that takes standard output and standard error.
        supervisor: Process id of the supervisor, whose death ends this process.

    Returns:
        The exit code.
    """
    _detach(result, output, supervisor)
    if limits.threads > 1 and (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(limits.threads)
    confine(limits)
    try:
        outcome = attempt(workload, job)
    except BaseException as error:  # noqa: BLE001 - nobody presses Ctrl-C here: whatever comes is the candidate's
        outcome = Outcome(Status.FAILED, message=explain(error, job.text))
    data = memoryview(packed(outcome, limits.output_bytes))
    while data:
        data = data[os.write(_RESULT, data) :]
    return 0


def _detach(result: int, output: int, supervisor: int) -> None:
    """Leave the supervisor's session and keep no descriptor but the two pipes."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        set_process_option(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the option was set
        os._exit(1)
    result = os.dup(result) if result < _RESULT else result
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(result, _RESULT, inheritable=False)
    os.closerange(_RESULT + 1, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20))
    os.chdir("/")


def set_process_option(option: int, value: int) -> None:
    """Call Linux's prctl; a kernel that refuses leaves what it would have added undone."""
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _limit(which: int, value: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(which, (value, value))
