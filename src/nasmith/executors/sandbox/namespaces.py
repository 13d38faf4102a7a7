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

__all__ = ["MEMORY", "available", "enter", "mount_memory", "start_init"]

MEMORY = Path("/dev/shm")  # semaphores and shared memory lie there, too
"""Where `mount_memory` puts a file system: the place exists everywhere, and its former content is of no use to a job."""

_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
_NEW_MOUNTS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 2, 4, 16384, 1 << 18


def enter(*, mounts: bool = False) -> None:
    """Move this process into namespaces of its own: network, IPC, and process ids for its children.

    Needs a single-threaded process. Root uses its own right to do so; another user gets it from a user namespace, in which it
    keeps its own id and can do nothing outside.

    Args:
        mounts: File systems that are mounted from now on are seen by this process and its children alone, too.

    Raises:
        OSError: The system refuses. The process may then be half-way, and should end.
    """
    wanted = _NEW_NETWORK | _NEW_IPC | _NEW_PROCESSES | (_NEW_MOUNTS if mounts else 0)
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        wanted |= _NEW_USER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(ctypes.c_int(wanted)):
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")
    if uid != 0:
        closed = not kernel.call("prctl", kernel.PR_GET_DUMPABLE, 0, 0, 0, 0)
        if closed:  # then its own files in /proc are root's
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
        Path("/proc/self/setgroups").write_text("deny")  # without it, the kernel takes no map of groups
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        if closed:
            kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    if mounts:
        _mount("none", Path("/"), "", _MS_REC | _MS_PRIVATE)  # nothing goes out


def mount_memory(size_bytes: int, entries: int) -> None:
    """Mount a file system in memory on `MEMORY`, in which everybody may write; it ends with this process and its children.

    Args:
        size_bytes: All files together; files without a name count.
        entries: Files and folders.

    Raises:
        OSError: The system refuses.
    """
    _mount("tmpfs", MEMORY, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size_bytes},nr_inodes={entries},mode=1777")


def _mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [text.encode() for text in (source, str(target), kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode()):
        code = ctypes.get_errno()
        raise OSError(code, f"mount {target}: {os.strerror(code)}")


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


def available(*, mounts: bool = False) -> bool:
    """Try in a process made for it whether `enter` works and a process can be started in what it made.

    Args:
        mounts: Whether `mount_memory` must work as well.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            enter(mounts=mounts)
            if mounts:
                mount_memory(1 << 20, 16)
            inner = os.fork()
            if inner == 0:
                os._exit(0 if os.getpid() == 1 else 1)
            code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
