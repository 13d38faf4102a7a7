"""Keeps replies that the database could not take, in a file whose room was reserved when the run began.

A reply of a language model may have cost money. Where the database is locked or the disk is full when it arrives, it is written
here, over zeros that already have their place on the disk, and stored when the run is resumed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nasmith.errors import StorageError
from nasmith.types import Completion

__all__ = ["Rescue"]

_BYTES = 1 << 18
Replies = tuple[int, int, list[Completion]]
"""Step, index of the first, replies."""


class Rescue:
    """The file `unsaved-replies` in a run's folder; `database` tells those of two databases with one folder apart."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.path = folder / ".".join(filter(None, ("unsaved-replies", database)))

    def reserve(self) -> None:
        """Make the file, with room.

        Raises:
            StorageError: There is no room.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("wb") as file:
                file.write(bytes(_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot make {self.path}: {error.strerror}. Free some space, or choose another place."
            ) from error

    def keep(self, step: int, first: int, replies: Sequence[Completion]) -> bool:
        """Write replies to the disk; return whether that was possible."""
        line = json.dumps([step, first, [asdict(reply) for reply in replies]]).encode() + b"\n"
        try:
            with self.path.open("r+b") as file:
                begin = file.read().find(b"\0")
                file.seek(begin if begin >= 0 else 0, os.SEEK_SET if begin >= 0 else os.SEEK_END)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        return True

    def kept(self) -> list[Replies]:
        """Read what was written; a last line that was cut off is left out."""
        with contextlib.suppress(OSError):
            lines = self.path.read_bytes().rstrip(b"\0").splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
            return [(step, first, [Completion(**reply) for reply in replies]) for step, first, replies in whole]
        return []

    def remove(self) -> None:
        """Remove the file, and the folder if it is empty then; not while something is kept."""
        if not self.kept():
            with contextlib.suppress(OSError):
                self.path.unlink()
                self.path.parent.rmdir()
