"""bubblewrap around the zygote, for kernels without Landlock: the same files can be read, and no others exist."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["command", "wrapped"]


def command() -> str | None:
    """Return the path of bubblewrap's program, or None where it is not installed."""
    return shutil.which("bwrap")


def wrapped(arguments: Sequence[str], readable: Iterable[Path], bwrap: str) -> list[str]:
    """Return the command line that runs `arguments` where only `readable` exists.

    The process that starts it must be single-threaded or use exec; descriptors that it inherits stay open.

    Args:
        arguments: Program and its arguments; the program must be readable.
        readable: Files and folders; symbolic links among them are followed.
        bwrap: Path of bubblewrap.
    """
    line = [bwrap, "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
    seen: set[str] = set()
    for path in readable:
        name = str(path)
        if not path.exists() or name.startswith(("/dev/", "/proc/")) or name in seen:
            continue
        seen.add(name)
        line += ["--ro-bind", str(path.resolve()), name]
    return [*line, "--chdir", "/", *arguments]
