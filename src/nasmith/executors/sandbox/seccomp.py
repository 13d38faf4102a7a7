"""What a candidate may ask the kernel for: a list of system calls, all others are refused.

The filter is an allow-list, so that a call which the kernel gains tomorrow is refused too. What is refused fails with EPERM,
which a program sees as `PermissionError`; another architecture's calls (32-bit ones, for which the numbers mean something
else) end the process. Landlock decides which files `openat` may open; this module leaves opening itself alone.

A job with a workshop (a folder of its own to write in) may ask for more: processes, programs, files, pairs of sockets. No layer
but this one holds some of that back (modes and times of files, signals), so that it depends on what the other layers give.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from nasmith.executors.sandbox import kernel

__all__ = ["Freedom", "Rule", "assemble", "filter_for", "install", "rules"]

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_X32_BIT = 0x40000000
_SET_MODE_FILTER = 1
# Offsets in struct seccomp_data.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# Classic BPF: load a word, compare, mask, return.
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06

_CLONE_VM, _CLONE_THREAD, _CLONE_SIGHAND = 0x100, 0x10000, 0x800
_CLONE_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag
_CLONE_PARENT, _CLONE_PTRACE, _CLONE_UNTRACED = 0x8000, 0x2000, 0x800000
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030
_F_SETFL, _F_LOCKS = 4, (5, 6, 7, 36, 37, 38)
_FIONBIO, _FIOCLEX, _FIONCLEX, _FIONREAD = 0x5421, 0x5451, 0x5450, 0x541B
_AF_UNIX, _SOCK_STREAM, _SOCK_KIND = 1, 1, 0xF
_PR_GET_NAME, _PR_SET_NAME, _PR_SET_VMA = 16, 15, 0x53564D41

# Without conditions. Memory and files that are open already:
_FREE = (
    "read", "write", "readv", "writev", "pread64", "close", "lseek", "fstat", "mmap", "munmap", "mprotect", "mremap", "brk",
    "madvise", "mincore", "msync",
    # opening for reading (Landlock says what) and looking:
    "open", "openat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getdents64", "getcwd", "dup", "dup2", "dup3", "pipe", "pipe2", "poll", "ppoll", "select", "pselect6",
    # time, threads' locks, its own signals:
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "nanosleep", "clock_nanosleep", "alarm", "setitimer",
    "getitimer", "futex", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "membarrier", "sched_yield",
    "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait",
    "sigaltstack", "wait4",
    # questions about itself and the machine:
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "uname", "sysinfo", "getrusage",
    "getrlimit", "getcpu", "getrandom", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "arch_prctl",
    # its end:
    "exit", "exit_group",
)  # fmt: skip
# In a workshop, too. Landlock says which files these reach:
_FREE_IN_A_WORKSHOP = (
    "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat",
    "symlink", "symlinkat", "creat", "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "pwrite64", "pwritev",
    "preadv", "sendfile", "copy_file_range", "fadvise64", "flock", "statfs", "fstatfs", "chdir", "fchdir", "umask",
    # its own processes and programs:
    "fork", "vfork", "execve", "waitid", "setsid", "setpgid", "getpgid", "getpgrp", "getsid", "getresuid", "getresgid",
    "getpriority", "pause",
    # pairs of sockets (there is no call that connects one to anything else) and waiting for many descriptors:
    "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2",
)  # fmt: skip
_MODES, _TIMES = ("chmod", "fchmod", "fchmodat"), ("utime", "utimes", "utimensat", "futimesat")
_MARKS = (
    "getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr", "fsetxattr", "listxattr", "llistxattr", "flistxattr",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One system call under conditions.

    Attributes:
        conditions: (argument, mask, values): the low 32 bits of the argument, masked, must be one of the values. All must hold.
            The calls named here take 32-bit arguments in these places, so that the kernel looks at no more than that.
        null: Arguments, 64 bits wide, that must be 0.
        otherwise: The error if not.
    """

    conditions: Sequence[tuple[int, int, Sequence[int]]] = ()
    null: Sequence[int] = ()
    otherwise: int = errno.EPERM


@dataclass(frozen=True, slots=True)
class Freedom:
    """What a job with a workshop may do besides, because another layer bounds it.

    Attributes:
        signals: Its signals reach no processes but its own: these are the only ones that exist for it, or that it has the right
            to. Otherwise it can signal its first process alone.
        modes: It owns no files but its own. Otherwise a change of a file's mode does nothing, and claims success, as a change
            of times always does: Landlock does not guard these, and copying a file with Python asks for both.
    """

    signals: bool
    modes: bool


_WORD = 0xFFFFFFFF
_NEVER = ((0, _WORD, ()),)
_PRETEND = Rule(_NEVER, otherwise=0)


def rules(pid: int, threads: int, devices: bool = False, workshop: Freedom | None = None) -> dict[str, Rule]:
    """Return what a candidate's process may do.

    Args:
        pid: Its process id, as itself sees it.
        threads: How many threads it may have; with one, starting another is refused.
        devices: Whether calls to device drivers are allowed, which a GPU needs.
        workshop: Given where it has a folder of its own to write in, and may start processes.
    """
    itself = (0, _WORD, (0, pid))
    allowed = dict.fromkeys(_FREE, Rule())
    allowed |= {
        "kill": Rule([(0, _WORD, (pid,))]),  # 0 and -1 would reach others
        "tgkill": Rule([(0, _WORD, (pid,))]),
        "sched_setaffinity": Rule([itself]),
        "prlimit64": Rule([itself], null=[2]),  # asking only: with a new limit, it may be another process's
        "prctl": Rule([(0, _WORD, (_PR_GET_NAME, _PR_SET_NAME, _PR_SET_VMA))]),
        # Not F_SETOWN, F_SETSIG, F_NOTIFY: signals to others. Not F_SETFL: O_ASYNC. Not locks: they would stop others.
        "fcntl": Rule([(1, _WORD, (_F_DUPFD, _F_DUPFD_CLOEXEC, _F_GETFD, _F_SETFD, _F_GETFL))]),
        "ioctl": Rule() if devices else Rule(_NEVER, otherwise=errno.ENOTTY),  # what isatty() expects
        "clone3": Rule(_NEVER, otherwise=errno.ENOSYS),  # its flags lie in memory, out of sight; the C library then uses clone
    }
    if threads > 1 or devices:  # the CUDA driver starts threads of its own
        wanted = _CLONE_VM | _CLONE_THREAD | _CLONE_SIGHAND
        allowed["clone"] = Rule([(0, wanted | _CLONE_NAMESPACES, (wanted,))])
    else:
        allowed["clone"] = Rule(_NEVER, otherwise=errno.EAGAIN)  # as when no more threads are allowed
    return allowed if workshop is None else allowed | _in_a_workshop(pid, workshop, devices)


def _in_a_workshop(pid: int, freedom: Freedom, devices: bool) -> dict[str, Rule]:
    """Return the rules that a job with a workshop has instead, or besides."""
    hidden = _CLONE_PARENT | _CLONE_PTRACE | _CLONE_UNTRACED  # a process that is not below the one which started it
    kept = (_F_DUPFD, _F_DUPFD_CLOEXEC, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL)
    return dict.fromkeys(_FREE_IN_A_WORKSHOP, Rule()) | {
        "clone": Rule([(0, _CLONE_NAMESPACES | hidden, (0,))]),
        "kill": Rule() if freedom.signals else Rule([(0, _WORD, (0, pid))]),  # 0: its own group, which it leads
        "tgkill": Rule() if freedom.signals else Rule([(0, _WORD, (pid,))]),
        "sched_setaffinity": Rule([(0, _WORD, (0,))]),
        "prlimit64": Rule([(0, _WORD, (0,))]),  # its own limits, which can only be lowered
        "setrlimit": Rule(),
        # Locks reach every file that it can read, while it runs. O_ASYNC signals nobody: no owner can be set.
        "fcntl": Rule([(1, _WORD, (*kept, *_F_LOCKS))]),
        "ioctl": Rule() if devices else Rule([(1, _WORD, (_FIONBIO, _FIOCLEX, _FIONCLEX, _FIONREAD))], otherwise=errno.ENOTTY),
        # Not datagrams: they can be sent to any socket that has a path.
        "socketpair": Rule([(0, _WORD, (_AF_UNIX,)), (1, _SOCK_KIND, (_SOCK_STREAM,))]),
        **dict.fromkeys(_MODES, Rule() if freedom.modes else _PRETEND),
        **dict.fromkeys(_TIMES, _PRETEND),  # whoever may write a file may set them, too
        **dict.fromkeys(_MARKS, Rule(_NEVER, otherwise=errno.ENOTSUP)),
    }


def assemble(allowed: Mapping[str, Rule], architecture: int, numbers: Mapping[str, int]) -> bytes:
    """Return the filter as instructions of classic BPF.

    Args:
        allowed: By name of the call; a name that the architecture does not have is left out.
        architecture: The kernel's name of it, see `kernel.ARCHITECTURES`.
        numbers: Numbers by name.
    """
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32_BIT, 0, 1),  # the other ABI of x86-64, whose numbers have this bit
        _instruction(_RETURN, _KILL_PROCESS),
    ]
    for name, rule in allowed.items():
        if name in numbers:
            block = _block(rule)
            program += [_instruction(_EQUAL, numbers[name], 0, len(block)), *block]
    program.append(_instruction(_RETURN, _ERRNO | errno.EPERM))
    return b"".join(program)


def install(program: bytes) -> None:
    """Put this process under the filter, for good. It must not be able to gain rights any more (no_new_privs).

    Raises:
        OSError: The kernel refused.
    """

    class _Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    described = _Program(len(program) // 8, program)
    kernel.call("seccomp", _SET_MODE_FILTER, 0, ctypes.byref(described))


def _block(rule: Rule) -> list[bytes]:
    """Return the instructions that decide one call; every way through them returns."""
    refuse = _instruction(_RETURN, _ERRNO | rule.otherwise)
    if any(not values for _, _, values in rule.conditions):
        return [refuse]
    block: list[bytes] = []
    for argument, mask, values in rule.conditions:
        block += [_instruction(_LOAD, _low(argument)), *([_instruction(_AND, mask)] if mask != _WORD else [])]
        for index, value in enumerate(values):
            block.append(_instruction(_EQUAL, value, len(values) - index, 0))  # past the other values and the refusal
        block.append(refuse)
    for argument in rule.null:
        for word in (_low(argument), _low(argument) + (4 if _low(argument) % 8 == 0 else -4)):
            block += [_instruction(_LOAD, word), _instruction(_EQUAL, 0, 1, 0), refuse]
    return [*block, _instruction(_RETURN, _ALLOW)]


def _low(argument: int) -> int:
    """Offset of an argument's low word; both architectures are little-endian."""
    return _ARGUMENTS + 8 * argument


def _instruction(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, when_true, when_false, value)


def filter_for(threads: int, devices: bool, workshop: Freedom | None = None) -> bytes:
    """Return the filter for this very process."""
    if workshop is not None and workshop.signals:
        return _filter(0, threads, devices, workshop)  # it is the same for every process: made once, before jobs are forked
    return _filter(os.getpid(), threads, devices, workshop)


@cache
def _filter(pid: int, threads: int, devices: bool, workshop: Freedom | None) -> bytes:
    architecture, numbers = kernel.machine()
    return assemble(rules(pid, threads, devices, workshop), architecture, numbers)
