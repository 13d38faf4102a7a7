"""Which other processes and networks exist for a candidate: none, where the kernel gives namespaces.

They are an addition: every rule that they enforce is enforced by `seccomp` or `landlock` as well, so that the sandbox holds in
a container that refuses them, as Docker's default profile does.
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

from nasmith.executors.sandbox import kernel

__all__ = ["available", "enter", "start_init"]

_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000


def enter() -> None:
    """Move this process into namespaces of its own: network, IPC, and process ids for its children.

    Needs a single-threaded process. Root uses its own right to do so; another user gets it from a user namespace, in which it
    keeps its own id and can do nothing outside.

    Raises:
        OSError: The system refuses. The process may then be half-way, and should end.
    """
    wanted = _NEW_NETWORK | _NEW_IPC | _NEW_PROCESSES
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        wanted |= _NEW_USER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(ctypes.c_int(wanted)):
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")  # without it, the kernel takes no map of groups
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def start_init() -> int:
    """Fork the first process of the namespace, with whose end everything in it ends; return its process id.

    It does nothing, and ends when this process does.
    """
    alive, there = os.pipe()
    ready, set_up = os.pipe()
    pid = os.fork()
    if pid:
        os.close(alive)
        os.close(set_up)
        os.read(ready, 1)  # until then, it would outlive this process
        os.close(ready)
        return pid
    try:
        os.close(there)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.close(ready)
        os.write(set_up, b"x")
        os.close(set_up)
        os.read(alive, 1)  # ends when the last holder of the other end is gone
    finally:
        os._exit(0)


def available() -> bool:
    """Try in a process made for it whether `enter` works and a process can be started in what it made."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            enter()
            inner = os.fork()
            if inner == 0:
                os._exit(0 if os.getpid() == 1 else 1)
            code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
