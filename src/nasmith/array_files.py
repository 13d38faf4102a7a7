"""Files of arrays that can be made again: with a checksum, whole or not there, and made anew where they are damaged."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from nasmith.errors import NasmithError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["cached_arrays", "checksum", "read_arrays", "write_arrays"]

_CHECKSUM = "sha256"


def cached_arrays(path: Path, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays that are kept at `path`, made by `make` where they are not there or damaged.

    Raises:
        NasmithError: They cannot be written there, or not be read back.
    """
    arrays = read_arrays(path)
    if arrays is None:
        try:
            write_arrays(path, make())
        except OSError as error:
            raise NasmithError(f"cannot write {path}: {error.strerror}. $NASMITH_CACHE names another folder") from error
        arrays = read_arrays(path)
    if arrays is None:
        raise NasmithError(f"{path} cannot be read back: is the disk full? Remove the file and try again")
    return arrays


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and their checksum at once, or not at all; the folder is made where it is missing."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}-{uuid4().hex}.npz")
    try:
        with part.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays, **{_CHECKSUM: np.array(checksum(arrays))})  # type: ignore[arg-type]
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays at `path`; None where they are not there or damaged."""
    import numpy as np

    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    written = arrays.pop(_CHECKSUM, None)
    return arrays if written is not None and str(written) == checksum(arrays) else None


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays: of their names, types, shapes and contents."""
    digest = sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
