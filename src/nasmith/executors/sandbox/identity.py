"""Whose rights a candidate has: root's never. As root, its process becomes a user that nobody is."""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from nasmith.executors.sandbox import kernel

__all__ = ["become_nobody", "keep_capabilities", "readable_by_all", "unused_uid"]

_FIRST, _COUNT = 61_184, 4_096  # the range that systemd sets apart for users that exist for one service only
_CAPABILITY_VERSION = 0x20080522
_DAC_READ_SEARCH = 2
_RAISE = 2  # PR_CAP_AMBIENT_RAISE


def unused_uid(start: int) -> int:
    """Return a user id that no account has; which one depends on `start`, so that two runs get different ones.

    A limit on processes and threads counts per user: with an id of its own, a candidate competes with nobody.
    """
    for step in range(_COUNT):
        uid = _FIRST + (start + step) % _COUNT
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid
    raise OSError(f"every user id from {_FIRST} to {_FIRST + _COUNT - 1} has an account")


def become_nobody(uid: int, keep_reading: bool, *, programs: bool = False) -> None:
    """Give up root's rights for good.

    Args:
        uid: User and group to become.
        keep_reading: Keep the one capability to read files whatever their mode says, for libraries in a folder that only root
            may enter, such as an environment under /root. Landlock still says which files those are.
        programs: Programs that the process starts keep it, too: the same interpreter may be among them.
    """
    if keep_reading:
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep_reading:
        keep_capabilities(1 << _DAC_READ_SEARCH, inherited=programs)
        if programs:
            kernel.call("prctl", kernel.PR_CAP_AMBIENT, _RAISE, _DAC_READ_SEARCH, 0, 0)


def keep_capabilities(kept: int, *, inherited: bool = False) -> None:
    """Give up every capability but those whose bits are in `kept`; only the first 32 can be kept.

    Args:
        kept: A bit for each.
        inherited: Whether programs that are started may be given them.

    Raises:
        OSError: The kernel refused.
    """
    header, sets = struct.pack("=Ii", _CAPABILITY_VERSION, 0), struct.pack("=6I", kept, kept, kept * inherited, 0, 0, 0)
    kernel.call("capset", ctypes.c_char_p(header), ctypes.c_char_p(sets))


def readable_by_all(paths: Iterable[Path]) -> bool:
    """Whether every user may enter the folders, those above them included."""
    for path in paths:
        for folder in (path, *path.parents):
            try:
                mode = folder.stat().st_mode
            except FileNotFoundError:
                break
            if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH:
                return False
    return True
