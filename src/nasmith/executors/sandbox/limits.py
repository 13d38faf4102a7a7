"""What a candidate may use: time, memory, output, threads."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

if sys.platform != "win32":  # where `Processes` refuses to begin, and says what to do
    import resource

__all__ = ["Limits", "limit_threads", "most_processes", "set_limits"]

_FILES = 256
_BACKSTOP = 2
_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What one candidate may use.

    Attributes:
        timeout_seconds: Wall time of screening and training together.
        cpu_seconds: Processor time of all its threads together; None for as much as the wall time allows.
        memory_bytes: Resident memory of all its processes together, the libraries that it shares with others included.
        output_bytes: All arrays of its result together, as much again that it prints, and as much again in files, where it may
            write any.
        threads: Threads that PyTorch uses for one operation.
        gpu_memory_bytes: Memory that PyTorch takes on a GPU; None for all.
    """

    timeout_seconds: float
    memory_bytes: int
    output_bytes: int
    threads: int
    cpu_seconds: float | None = None
    gpu_memory_bytes: int | None = None

    def plain(self) -> dict[str, Any]:
        """Return the limits as JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Read what `plain` returned."""
        return cls(**values)


def most_processes(limits: Limits) -> int:
    """Return how many processes and threads together a job may have that may start any."""
    return _PROCESSES + 4 * limits.threads


def set_limits(limits: Limits, *, strict: bool, devices: bool = False, workshop: bool = False) -> None:
    """Lower this process's limits, for good. The supervisor holds wall time, resident memory and output besides.

    Args:
        limits: What is allowed.
        strict: Also forbid files and what only an attack uses; False where the user has switched the sandbox off.
        devices: A GPU is used: its driver reserves more addresses than the machine has memory, so that this has no limit.
        workshop: It may write files, and start threads, each of which reserves many addresses that it does not use.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # when the machine runs out of memory, this process goes first
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0 if strict and not workshop else limits.output_bytes)
    if limits.cpu_seconds is not None:
        _lower(resource.RLIMIT_CPU, max(1, round(limits.cpu_seconds)))  # both limits at once: the kernel sends SIGKILL
    if strict:
        _lower(resource.RLIMIT_NOFILE, _FILES)
        _lower(resource.RLIMIT_MEMLOCK, 0)
        if sys.platform == "linux":
            _lower(resource.RLIMIT_MSGQUEUE, 0)
    if not devices:
        _limit_memory(limits.memory_bytes, strict and not workshop)


def _limit_memory(allowed: int, addresses: bool) -> None:
    """Set a backstop behind the supervisor's look at resident memory, for what grows faster than that looks.

    Address space in the strict sandbox, where shared mappings must count; the data segment elsewhere, where programs may
    reserve more than they use.
    """
    with contextlib.suppress(OSError):
        fields = Path("/proc/self/statm").read_text().split()
        used = int(fields[0 if addresses else 5]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS if addresses else resource.RLIMIT_DATA, used + (1 if addresses else _BACKSTOP) * allowed)


def limit_threads(threads: int, present: int | None = None) -> None:
    """Bound the threads of this process's user by what it has now and `threads` more; the kernel counts per user.

    Root is not bound by it, so that a process that was root must have become another user before.

    Args:
        threads: How many more.
        present: How many it has, where that is known; otherwise they are counted.
    """
    _lower(resource.RLIMIT_NPROC, max(_present() if present is None else present, 1) + threads)


def _present() -> int:
    """Count the threads of this process's user."""
    present = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdecimal() and entry.stat().st_uid == os.getuid():
                present += len(list((entry / "task").iterdir()))
    return present


def _lower(which: int, value: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(which, (value, value))
