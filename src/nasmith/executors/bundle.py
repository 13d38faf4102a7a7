"""Arrays on their way into a worker: in memory that has no path and that nobody can change any more."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

if sys.platform != "win32":  # where `Processes` refuses to begin, and says what to do
    import fcntl

__all__ = ["Bundle", "unpack"]

_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Bundle:
    """Named arrays, one behind the other in a sealed memory file.

    Attributes:
        descriptor: The file; whoever holds it can read, nobody can write. On systems without sealed memory files, a temporary
            file without a name.
        entries: [name, NumPy type, shape, offset] of each array, as JSON values.
    """

    descriptor: int
    entries: list[list[Any]]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Bundle:
        """Copy arrays of numbers into a new bundle, which the caller closes."""
        entries: list[list[Any]] = []
        blocks: list[tuple[int, np.ndarray]] = []
        end = 0
        for name, array in arrays.items():
            block = np.ascontiguousarray(array)
            start = -(-end // _ALIGNMENT) * _ALIGNMENT
            entries.append([name, block.dtype.str, list(array.shape), start])
            blocks.append((start, block))
            end = start + block.nbytes
        descriptor = _new_file()
        try:
            os.truncate(descriptor, max(end, 1))
            with mmap.mmap(descriptor, max(end, 1)) as memory:
                for start, block in blocks:
                    memory[start : start + block.nbytes] = block.tobytes()
            if sys.platform == "linux":
                fcntl.fcntl(
                    descriptor,
                    fcntl.F_ADD_SEALS,
                    fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE,
                )
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, entries)

    def close(self) -> None:
        """Close the descriptor; what maps the file keeps it."""
        os.close(self.descriptor)


def unpack(descriptor: int, entries: list[list[Any]]) -> dict[str, np.ndarray]:
    """Map a bundle; the descriptor may be closed then.

    The arrays can be written, in pages of this process alone: PyTorch takes no others without a warning.
    """
    memory = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    arrays = {}
    for name, dtype, shape, start in entries:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(memory, dtype, count, start).reshape(shape)
    return arrays


def _new_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("nasmith", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
