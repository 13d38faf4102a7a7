"""Linux calls that Python does not offer: by number, with errors as `OSError`."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Final

__all__ = ["ARCHITECTURES", "call", "machine", "prctl"]

PR_SET_PDEATHSIG: Final = 1
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_SET_NO_NEW_PRIVS: Final = 38
PR_SET_CHILD_SUBREAPER: Final = 36
PR_CAP_AMBIENT: Final = 47

_GENERIC = {  # arch/arm64 takes these from include/uapi/asm-generic/unistd.h
    "brk": 214, "capset": 91, "clock_getres": 114, "clock_gettime": 113, "clock_nanosleep": 115, "clone": 220, "clone3": 435,
    "close": 57, "dup": 23, "dup3": 24, "exit": 93, "exit_group": 94, "faccessat": 48, "faccessat2": 439, "fcntl": 25,
    "fstat": 80, "futex": 98, "get_robust_list": 100, "getcpu": 168, "getcwd": 17, "getdents64": 61, "getegid": 177,
    "geteuid": 175, "getgid": 176, "getgroups": 158, "getitimer": 102, "getpid": 172, "getppid": 173, "getrandom": 278,
    "getrlimit": 163, "getrusage": 165, "gettid": 178, "gettimeofday": 169, "getuid": 174, "ioctl": 29, "kill": 129,
    "landlock_add_rule": 445, "landlock_create_ruleset": 444, "landlock_restrict_self": 446, "lseek": 62, "madvise": 233,
    "membarrier": 283, "mincore": 232, "mmap": 222, "mprotect": 226, "mremap": 216, "msync": 227, "munmap": 215,
    "nanosleep": 101, "newfstatat": 79, "openat": 56, "pipe2": 59, "ppoll": 73, "prctl": 167, "pread64": 67, "prlimit64": 261,
    "pselect6": 72, "read": 63, "readlinkat": 78, "readv": 65, "restart_syscall": 128, "rseq": 293, "rt_sigaction": 134,
    "rt_sigpending": 136, "rt_sigprocmask": 135, "rt_sigreturn": 139, "rt_sigsuspend": 133, "rt_sigtimedwait": 137,
    "sched_getaffinity": 123, "sched_getparam": 121, "sched_getscheduler": 120, "sched_setaffinity": 122, "sched_yield": 124,
    "seccomp": 277, "set_robust_list": 99, "set_tid_address": 96, "setitimer": 103, "sigaltstack": 132, "statx": 291,
    "sysinfo": 179, "tgkill": 131, "times": 153, "uname": 160, "wait4": 260, "write": 64, "writev": 66,
    # what only a job with a workshop may ask for:
    "chdir": 49, "copy_file_range": 285, "epoll_create1": 20, "epoll_ctl": 21, "epoll_pwait": 22, "eventfd2": 19,
    "execve": 221, "fadvise64": 223, "fallocate": 47, "fchdir": 50, "fchmod": 52, "fchmodat": 53, "fdatasync": 83,
    "fgetxattr": 10, "flistxattr": 13, "flock": 32, "fsetxattr": 7, "fstatfs": 44, "fsync": 82, "ftruncate": 46,
    "getpeername": 205, "getpgid": 155, "getpriority": 141, "getresgid": 150, "getresuid": 148, "getsid": 156,
    "getsockname": 204, "getsockopt": 209, "getxattr": 8, "lgetxattr": 9, "linkat": 37, "listxattr": 11, "llistxattr": 12,
    "lsetxattr": 6, "mkdirat": 34, "preadv": 69, "pwrite64": 68, "pwritev": 70, "recvfrom": 207, "recvmsg": 212,
    "renameat": 38, "renameat2": 276, "sendfile": 71, "sendmsg": 211, "sendto": 206, "setpgid": 154, "setrlimit": 164,
    "setsid": 157, "setsockopt": 208, "setxattr": 5, "shutdown": 210, "socketpair": 199, "statfs": 43, "symlinkat": 36,
    "truncate": 45, "umask": 166, "unlinkat": 35, "utimensat": 88, "waitid": 95,
}  # fmt: skip
_X86_64 = {
    "access": 21, "alarm": 37, "arch_prctl": 158, "brk": 12, "capset": 126, "clock_getres": 229, "clock_gettime": 228,
    "clock_nanosleep": 230, "clone": 56, "clone3": 435, "close": 3, "dup": 32, "dup2": 33, "dup3": 292, "exit": 60,
    "exit_group": 231, "faccessat": 269, "faccessat2": 439, "fcntl": 72, "fstat": 5, "futex": 202, "get_robust_list": 274,
    "getcpu": 309, "getcwd": 79, "getdents64": 217, "getegid": 108, "geteuid": 107, "getgid": 104, "getgroups": 115,
    "getitimer": 36, "getpid": 39, "getppid": 110, "getrandom": 318, "getrlimit": 97, "getrusage": 98, "gettid": 186,
    "gettimeofday": 96, "getuid": 102, "ioctl": 16, "kill": 62, "landlock_add_rule": 445, "landlock_create_ruleset": 444,
    "landlock_restrict_self": 446, "lseek": 8, "lstat": 6, "madvise": 28, "membarrier": 324, "mincore": 27, "mmap": 9,
    "mprotect": 10, "mremap": 25, "msync": 26, "munmap": 11, "nanosleep": 35, "newfstatat": 262, "open": 2, "openat": 257,
    "pipe": 22, "pipe2": 293, "poll": 7, "ppoll": 271, "prctl": 157, "pread64": 17, "prlimit64": 302, "pselect6": 270,
    "read": 0, "readlink": 89, "readlinkat": 267, "readv": 19, "restart_syscall": 219, "rseq": 334, "rt_sigaction": 13,
    "rt_sigpending": 127, "rt_sigprocmask": 14, "rt_sigreturn": 15, "rt_sigsuspend": 130, "rt_sigtimedwait": 128,
    "sched_getaffinity": 204, "sched_getparam": 143, "sched_getscheduler": 145, "sched_setaffinity": 203, "sched_yield": 24,
    "seccomp": 317, "select": 23, "set_robust_list": 273, "set_tid_address": 218, "setitimer": 38, "sigaltstack": 131,
    "stat": 4, "statx": 332, "sysinfo": 99, "tgkill": 234, "time": 201, "times": 100, "uname": 63, "wait4": 61, "write": 1,
    "writev": 20,
    # what only a job with a workshop may ask for:
    "chdir": 80, "chmod": 90, "copy_file_range": 326, "creat": 85, "epoll_create1": 291, "epoll_ctl": 233, "epoll_pwait": 281,
    "epoll_wait": 232, "eventfd2": 290, "execve": 59, "fadvise64": 221, "fallocate": 285, "fchdir": 81, "fchmod": 91,
    "fchmodat": 268, "fdatasync": 75, "fgetxattr": 193, "flistxattr": 196, "flock": 73, "fork": 57, "fsetxattr": 190,
    "fstatfs": 138, "fsync": 74, "ftruncate": 77, "futimesat": 261, "getpeername": 52, "getpgid": 121, "getpgrp": 111,
    "getpriority": 140, "getresgid": 120, "getresuid": 118, "getsid": 124, "getsockname": 51, "getsockopt": 55,
    "getxattr": 191, "lgetxattr": 192, "link": 86, "linkat": 265, "listxattr": 194, "llistxattr": 195, "lsetxattr": 189,
    "mkdir": 83, "mkdirat": 258, "pause": 34, "preadv": 295, "pwrite64": 18, "pwritev": 296, "recvfrom": 45, "recvmsg": 47,
    "rename": 82, "renameat": 264, "renameat2": 316, "rmdir": 84, "sendfile": 40, "sendmsg": 46, "sendto": 44, "setpgid": 109,
    "setrlimit": 160, "setsid": 112, "setsockopt": 54, "setxattr": 188, "shutdown": 48, "socketpair": 53, "statfs": 137,
    "symlink": 88, "symlinkat": 266, "truncate": 76, "umask": 95, "unlink": 87, "unlinkat": 263, "utime": 132,
    "utimensat": 280, "utimes": 235, "vfork": 58, "waitid": 247,
}  # fmt: skip

ARCHITECTURES: Final = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _GENERIC)}
"""By machine: the kernel's name of the architecture (AUDIT_ARCH_*), and its system calls' numbers."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def machine() -> tuple[int, dict[str, int]]:
    """Return this machine's entry of `ARCHITECTURES`.

    Raises:
        OSError: The sandbox does not know this kind of processor.
    """
    name = platform.machine()
    if name not in ARCHITECTURES:
        raise OSError(f"the sandbox knows the processors {' and '.join(ARCHITECTURES)}, and not {name}")
    return ARCHITECTURES[name]


def call(name: str, *arguments: object) -> int:
    """Make a system call. Integers are passed as 64 bits; ctypes values as they are.

    Raises:
        OSError: The kernel refused.
    """
    number = machine()[1][name]
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *values)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def prctl(option: int, value: int) -> None:
    """Set an option of this process.

    Raises:
        OSError: The kernel refused.
    """
    call("prctl", option, value, 0, 0, 0)
