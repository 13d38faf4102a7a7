"""bubblewrap around the zygote, for kernels without Landlock: the same files can be read, and no others exist."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["command", "wrapped"]


_KEPT_RIGHTS = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_DAC_READ_SEARCH")  # root's, to become another user and to end it
_MORE_RIGHTS = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER")  # to give that user a folder, and to remove it
_EMPTY = ("/tmp", "/dev/shm")


def command() -> str | None:
    """Return the path of bubblewrap's program, or None where it is not installed."""
    return shutil.which("bwrap")


def wrapped(arguments: Sequence[str], readable: Iterable[Path], bwrap: str, *, workshop: bool = False) -> list[str]:
    """Return the command line that runs `arguments` where only `readable` exists.

    The process that starts it must be single-threaded or use exec; descriptors that it inherits stay open.

    Args:
        arguments: Program and its arguments; the program must be readable.
        readable: Files and folders; symbolic links among them are followed.
        bwrap: Path of bubblewrap.
        workshop: Candidates write files. As root, they do so in the places for temporary files; another user's process mounts
            a place of its own.
    """
    spaces = ["--unshare-all"]
    root = os.geteuid() == 0
    if root:  # without a user namespace, in which there would be no other user to become
        spaces = ["--unshare-ipc", "--unshare-net", "--unshare-pid", "--unshare-uts"]
        spaces += [word for name in (*_KEPT_RIGHTS, *(_MORE_RIGHTS if workshop else ())) for word in ("--cap-add", name)]
    line = [bwrap, *spaces, "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    line += [word for place in _EMPTY for word in ("--tmpfs", place)]
    seen: set[str] = set()
    for path in readable:
        name = str(path)
        if not path.exists() or name.startswith(("/dev/", "/proc/")) or name in seen:
            continue
        seen.add(name)
        line += ["--ro-bind", str(path.resolve()), name]
    sealed = [] if workshop and root else [word for place in _EMPTY for word in ("--remount-ro", place)]
    return [*line, *sealed, "--chdir", "/", *arguments]
