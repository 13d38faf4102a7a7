"""A job's own folder: made before the job, held to a size, and gone after it, whatever the job left there."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

__all__ = ["MOST_ENTRIES", "clear", "make", "oversized"]

MOST_ENTRIES = 20_000
"""Files and folders that a job's folder may hold."""

_OWN = 0o700


def make(place: Path, uid: int | None) -> Path:
    """Make an empty folder in `place`, which nothing else may use, for a process to write in.

    Args:
        place: An existing folder; what a former job left there is removed.
        uid: Whose it is; None for this process's user.
    """
    clear(place)
    folder = place / "job"
    folder.mkdir(mode=_OWN)
    if uid is not None:
        os.chown(folder, uid, uid)
    return folder


def oversized(folder: Path, most_bytes: int) -> bool:
    """Whether a folder holds more than so many bytes, or more than `MOST_ENTRIES` files and folders.

    Files that no longer have a name are not seen. What changes meanwhile is counted or not.
    """
    total = entries = 0
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                for entry in found:
                    entries += 1
                    with contextlib.suppress(FileNotFoundError):
                        total += 512 * entry.stat(follow_symlinks=False).st_blocks
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                    if total > most_bytes or entries > MOST_ENTRIES:
                        return True
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # gone meanwhile, or its owner has shut himself out
        except OSError:  # a path too long for the system: nobody nests folders so deep for a good reason
            return True
    return False


def clear(place: Path) -> None:
    """Remove everything in a folder.

    No process may change it meanwhile. Folders are brought to the top one by one instead of being walked down into: their depth
    has no limit, and neither links nor modes lead astray. What the system refuses to remove stays.
    """
    top = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        brought = 0
        while True:
            folders = [name for name in _names(top) if not _remove(name, top)]
            emptied = False
            for name in folders:
                brought, moved = _empty(name, top, brought)
                emptied |= moved
            if not folders or not emptied:
                return
    finally:
        os.close(top)


def _empty(name: str, top: int, brought: int) -> tuple[int, bool]:
    """Remove the files of a folder in `top`, bring its folders to the top, and remove it; return whether that worked."""
    with contextlib.suppress(OSError):
        os.chmod(name, _OWN, dir_fd=top)  # it is a folder and no link: a link would have been removed
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
        try:
            for entry in _names(inner):
                if not _remove(entry, inner):
                    os.chmod(entry, _OWN, dir_fd=inner)  # to be moved it must be writable
                    brought += 1
                    os.rename(entry, f".brought-{brought}", src_dir_fd=inner, dst_dir_fd=top)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)
        return brought, True
    return brought, False


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]


def _remove(name: str, folder: int) -> bool:
    """Remove a file; False for a folder."""
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)
    return True
