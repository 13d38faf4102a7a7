"""Writes files that are whole or not there, and knows the folder of those that can be made again."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

__all__ = ["cache_folder", "write_whole"]


def cache_folder() -> Path:
    """Return the folder for files that can be made again: `$NASMITH_CACHE`, or the user's cache folder."""
    named = os.environ.get("NASMITH_CACHE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("nasmith")


def write_whole(path: Path, data: bytes) -> None:
    """Write `path` at once, over what was there; its folder is made where it is missing.

    The data is on the disk before the file has its name, so that a crash leaves the former file or the new one. Where it fails,
    nothing is left.

    Raises:
        OSError: The file cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
