"""Tries whether a sandbox holds, by doing what it must forbid: asking the system what it has is not enough.

A process that is confined like a candidate's tries each forbidden thing. As a program (`python -m … LEVEL`), it prints what it
found as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from nasmith.executors.sandbox import namespaces
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.sandbox.policy import Level, Sandbox

__all__ = ["ATTEMPTS", "IN_A_WORKSHOP", "main", "try_out"]

_SECRET = "/etc/passwd"
_WRITABLE = ("/tmp", "/var/tmp", "/dev/shm")
_TRIES = 3
_LIMITS = Limits(timeout_seconds=10, memory_bytes=1 << 30, output_bytes=1 << 20, threads=1)


def _read_a_file() -> None:
    Path(_SECRET).read_bytes()


def _read_the_parents_environment() -> None:
    os.close(os.open(f"/proc/{os.getppid() or 1}/environ", os.O_RDONLY))


def _write_a_file() -> None:
    for folder in _WRITABLE:
        with contextlib.suppress(OSError):
            os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))  # a file without a name: nothing is left behind
            return
    raise PermissionError


def _change_a_files_mode() -> None:
    mine = Path(__file__)
    os.chmod(mine, mine.stat().st_mode)  # noqa: PTH101 - the call itself is what is tried


def _change_a_files_mode_indeed() -> None:
    """In a workshop the call may claim success and do nothing."""
    mine = Path(__file__)
    mode = mine.stat().st_mode
    mine.chmod(mode ^ stat.S_IXOTH)
    if mine.stat().st_mode == mode:
        raise PermissionError
    mine.chmod(mode)


def _open_a_local_connection() -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()


def _write_beside_the_workshop() -> None:
    for folder in map(Path, _WRITABLE):
        if folder not in Path.cwd().parents or folder != namespaces.MEMORY:  # there the whole place is the job's own
            with contextlib.suppress(OSError):
                os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
                return
    raise PermissionError


def _open_a_connection() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def _start_a_process() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _signal_another_process() -> None:
    os.kill(os.getppid() or 1, 0)


def _signal_a_process_outside() -> None:
    if os.getppid() == 0:
        raise ProcessLookupError  # its parent does not exist for it, nor does anything else outside
    os.kill(os.getppid(), 0)


def _use_the_workshop() -> None:
    """Do what a job with a workshop must be able to do."""
    Path("canary").write_text("tweet")
    Path("canary").unlink()
    _start_a_process()


ATTEMPTS: dict[str, Callable[[], None]] = {
    "read files outside the libraries": _read_a_file,
    "read the parent's environment": _read_the_parents_environment,
    "write files": _write_a_file,
    "change files' modes": _change_a_files_mode,
    "open network connections": _open_a_connection,
    "start processes": _start_a_process,
    "signal other processes": _signal_another_process,
}
"""What the canary tries, by what a person would call it."""

IN_A_WORKSHOP: dict[str, Callable[[], None]] = {
    "read files outside the libraries": _read_a_file,
    "read the parent's environment": _read_the_parents_environment,
    "write files outside its folder": _write_beside_the_workshop,
    "change files' modes": _change_a_files_mode_indeed,
    "open network connections": _open_a_connection,
    "open connections to other programs": _open_a_local_connection,
    "signal other processes": _signal_a_process_outside,
}
"""The same where a job has a folder of its own to write in and may start processes."""


def try_out(sandbox: Sandbox) -> list[str]:
    """Return what a confined process could do although it must not; empty where the sandbox holds.

    Costs two forks of this process, which must be single-threaded; where somebody ends them half-way, it tries again, twice at
    most.

    Raises:
        OSError: The sandbox could not be put on.
    """
    if sandbox.level is Level.OFF:
        return list(IN_A_WORKSHOP if sandbox.workshop else ATTEMPTS)
    for _ in range(_TRIES):
        done, _, rest = _reported(sandbox).partition("\n")
        results = rest.splitlines()
        if done not in {"", "confined"}:
            raise OSError(done)
        if results and results[-1] == "end":
            return results[:-1]
    raise OSError(
        "the process that tries the sandbox was ended before it had tried everything"
        if done
        else "the process that tries the sandbox died"
    )


def _reported(sandbox: Sandbox) -> str:
    """Let a confined process try everything, and return what it reports: a part where somebody ended it."""
    report, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(report)
            _supervise(sandbox, there)
        finally:
            os._exit(1)
    os.close(there)
    with os.fdopen(report, "rb") as lines:
        text = lines.read().decode(errors="replace")
    os.waitpid(pid, 0)
    return text


def _supervise(sandbox: Sandbox, there: int) -> None:
    """Do as a supervisor does, for one child that tries everything."""
    try:
        sandbox.enter()
        folder = sandbox.open_folder(_LIMITS)
    except OSError as error:
        os.write(there, f"{error}\n".encode())
        return
    pid = os.fork()
    if pid == 0:
        try:
            _confined(sandbox, there, folder)
        finally:
            os._exit(1)
    os.close(there)
    os.waitpid(pid, 0)
    sandbox.clear_folder()


def _confined(sandbox: Sandbox, there: int, folder: Path | None) -> None:
    signal.set_wakeup_fd(-1)
    try:
        sandbox.confine(_LIMITS, [there], folder)
        if folder is not None:
            _use_the_workshop()
    except OSError as error:
        os.write(there, f"{error}\n".encode())
        return
    os.write(there, b"confined\n")
    for name, attempt in (ATTEMPTS if folder is None else IN_A_WORKSHOP).items():
        with contextlib.suppress(OSError):
            attempt()
            os.write(there, f"{name}\n".encode())
    os.write(there, b"end\n")


def main(level: str) -> None:
    """Print `layers`, what `leaks`, and the reason where the level is `refused`, as JSON."""
    try:
        sandbox = Sandbox(Level(level))
        found = {"layers": sandbox.layers, "leaks": try_out(sandbox), "refused": ""}
    except OSError as error:
        found = {"layers": [], "leaks": [], "refused": str(error)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
