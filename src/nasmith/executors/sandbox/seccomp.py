"""What a candidate may ask the kernel for: a list of system calls, all others are refused.

The filter is an allow-list, so that a call which the kernel gains tomorrow is refused too. What is refused fails with EPERM,
which a program sees as `PermissionError`; another architecture's calls (32-bit ones, for which the numbers mean something
else) end the process. Landlock decides which files `openat` may open; this module leaves opening itself alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasmith.executors.sandbox import kernel

__all__ = ["Rule", "assemble", "filter_for", "install", "rules"]

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
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030
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


_WORD = 0xFFFFFFFF
_NEVER = ((0, _WORD, ()),)


def rules(pid: int, threads: int, devices: bool = False) -> dict[str, Rule]:
    """Return what a candidate's process may do.

    Args:
        pid: Its process id, as itself sees it.
        threads: How many threads it may have; with one, starting another is refused.
        devices: Whether calls to device drivers are allowed, which a GPU needs.
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
    return allowed


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


def filter_for(threads: int, devices: bool) -> bytes:
    """Return the filter for this very process."""
    architecture, numbers = kernel.machine()
    return assemble(rules(os.getpid(), threads, devices), architecture, numbers)
