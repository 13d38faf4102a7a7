"""Which files a candidate sees: those of the interpreter and the libraries, to read. Nothing can be written but a workshop.

Landlock (Linux 5.13) gives a process rules that it cannot shed. Rights that an older kernel does not know are left out; what
they guard is refused by `seccomp` as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from nasmith.executors.sandbox import kernel

__all__ = ["restrict", "ruleset", "version"]

_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_WRITE_FILE, _IOCTL_DEV = 1 << 1, 1 << 15
# Rights over files by the version of Landlock that brought them: 13 at first, then renaming across folders (2), truncating (3)
# and calls to device drivers (5).
_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: _IOCTL_DEV}
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_NETWORK = {4: 0b11}  # binding and connecting TCP sockets
_SCOPES = {6: 0b11}  # abstract Unix sockets and signals to processes outside
_CREATE_VERSION = 1
_PATH_BENEATH = 1


def version() -> int:
    """Return the version of Landlock that this kernel has; 0 where there is none."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, _CREATE_VERSION)
    except OSError:
        return 0


def ruleset(
    readable: Iterable[Path], devices: Iterable[Path] = (), *, writable: Iterable[Path] = (), programs: bool = False
) -> int:
    """Return a descriptor of rules under which `readable`, with all below, can be read, and `devices` be used.

    A path that does not exist is left out. The rules can be made once, and taken on by many processes.

    Args:
        readable: Files and folders.
        devices: Device nodes.
        writable: Folders in which anything but devices and sockets can be made, changed, run and removed. Needs version 3:
            before that, what can be read could be truncated.
        programs: What can be read can be run, too.

    Raises:
        OSError: This kernel has no Landlock.
    """
    known = kernel.call("landlock_create_ruleset", None, 0, _CREATE_VERSION)
    files, network, scopes = (_known(rights, known) for rights in (_FILES, _NETWORK, _SCOPES))
    attributes = struct.pack("=QQQ", files, network, scopes)[: 8 * (1 + (known >= 4) + (known >= 6))]
    rules = kernel.call("landlock_create_ruleset", ctypes.c_char_p(attributes), len(attributes), 0)
    for path in readable:
        _allow(rules, path, (_READ_FILE | _READ_DIR | (_EXECUTE if programs else 0)) & files)
    for path in writable:
        _allow(rules, path, files & ~(_MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK | _IOCTL_DEV))
    for path in devices:
        _allow(rules, path, (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & files)
    return rules


def restrict(rules: int) -> None:
    """Put this process under the rules, for good. It must not be able to gain rights any more (no_new_privs).

    Raises:
        OSError: The kernel refused.
    """
    kernel.call("landlock_restrict_self", rules, 0)


def _known(rights: dict[int, int], known: int) -> int:
    total = 0
    for since, bits in rights.items():
        if since <= known:
            total |= bits
    return total


def _allow(rules: int, path: Path, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= ~_READ_DIR  # a right over folders: the kernel refuses it for a file
            rule = struct.pack("=Qi", rights, place)
            kernel.call("landlock_add_rule", rules, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
        finally:
            os.close(place)
