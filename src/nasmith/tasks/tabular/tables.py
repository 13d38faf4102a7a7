"""The public tables of trained architectures: fetched once, checked, and held as arrays.

All come from the repository of GENIUS (Zheng et al. 2023, arXiv 2304.10970), at one commit. The numbers are those of
NAS-Bench-Macro and Channel-Bench-Macro (Su et al. 2021, arXiv 2103.11922 and 2105.10533) and NAS-Bench-201 (Dong and Yang 2020,
arXiv 2001.00326).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nasmith.errors import ConfigError, MissingDependencyError, UsageError
from nasmith.files import cache_folder, write_whole
from nasmith.space import Design

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FOLDER_VARIABLE", "HASHES", "Table", "fetched", "load"]

FOLDER_VARIABLE = "NASMITH_DATA"
"""Environment variable that names a folder with the tables."""

_COMMIT = "97361d30b2da337edd0c8e1ed71b7c88b4a85d38"
_SOURCE = f"https://raw.githubusercontent.com/mingkai-zheng/GENIUS/{_COMMIT}/benchmark/"
_LAYOUT = 1  # of the cached arrays; counts up where it changes

HASHES: Mapping[str, str] = {
    "nas-bench-macro_cifar10.json": "686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297",
    "Results_ResNet.json": "bf13bcaea3f2076f2c1bfbf5c2fee044aafe0385fae6a0d64c433b1d7f5a7520",
    "Results_MobileNet.json": "f640474d8ff3ff2231d0c45986bb0f10af291545316342fb009952e7641908e0",
    "nasbench201_cifar10.json": "7c5d7d890a285deb41556f95e904fab854f8fcfd65da7eb39410fdedd87215ec",
    "nasbench201_cifar100.json": "6b21a0e98864e0aff288fc54bb5105907441bfd63bb063ad3d279edcbf926da5",
    "nasbench201_imagenet.json": "a29f63ca37b72cfa9a8e4ce6bad5d678c6039c9929c8060b7d32187f537d560f",
}
"""SHA-256 of each table."""


@dataclass(frozen=True)
class Table:
    """What is known of every design of a space. Arrays of shape (designs,), in the order of `Space.designs`.

    Attributes:
        shown: The accuracy that a search is shown, in percent.
        test: The test accuracy, in percent; the same array where the table has that one alone.
        rank: By test accuracy, 1 the best: as the table says, or with the best rank for all equals.
        sizes: How many choices each position has.
    """

    shown: np.ndarray
    test: np.ndarray
    rank: np.ndarray
    sizes: tuple[int, ...]

    def place(self, design: Design) -> int:
        """Return the place of a design in the arrays."""
        place = 0
        for size, index in zip(self.sizes, design, strict=True):
            place = place * size + index
        return place


@cache
def load(
    name: str, folder: str | None, sizes: tuple[int, ...], fields: tuple[str, str, str], read: Callable[[str], Design]
) -> Table:
    """Return a table as arrays, from the cache of an earlier use where there is one.

    Args:
        name: A key of `HASHES`.
        folder: Where the file is; None for the folder that the environment names, or for the cache of downloads.
        sizes: How many choices each position has.
        fields: The fields with the accuracy that a search is shown, with the test accuracy, and with the rank; the last is
            empty where the ranks are to be computed.
        read: Makes a design of a key.

    Raises:
        UsageError: The file is not there or is not the right one; the message says which to put where.
    """
    import numpy as np

    path = fetched(name, folder)
    # The hash of the file is in the name: what was made of it can be used without reading it as JSON again.
    arrays = cache_folder() / "tables" / f"{name}-{HASHES[name][:16]}-{_LAYOUT}.npz"
    try:
        kept = np.load(io.BytesIO(arrays.read_bytes()), allow_pickle=False)
        columns = kept["shown"], kept["test"], kept["rank"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        columns = _columns(path, sizes, fields, read)
        _keep(arrays, dict(zip(("shown", "test", "rank"), columns, strict=True)))
    for column in columns:
        column.setflags(write=False)
    return Table(*columns, sizes)


def fetched(name: str, folder: str | None = None) -> Path:
    """Return the path of a table, after its checksum was compared; downloaded where no folder is named and it is not there.

    Raises:
        UsageError: It is not there, cannot be had, or has another content.
    """
    local = folder or os.environ.get(FOLDER_VARIABLE)
    if not local:
        return _downloaded(name)
    path = Path(local).expanduser() / name
    wanted = f"Put {name} (SHA-256 {HASHES[name]}) there, from {_SOURCE}{name}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}. {wanted}") from error
    if hashlib.sha256(content).hexdigest() != HASHES[name]:
        raise UsageError(f"{path} is not the table that it should be: its SHA-256 is another. It may be cut. {wanted}")
    return path


def _downloaded(name: str) -> Path:
    try:
        import pooch
    except ImportError as error:
        raise MissingDependencyError("pooch is needed to fetch the tables. Install it with: pip install pooch") from error
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(_SOURCE + name, f"sha256:{HASHES[name]}", name, cache_folder() / "tables"))
    except (requests.RequestException, OSError, ValueError) as error:  # ValueError: the checksum is another
        reason = str(error).partition("\n")[0]
        if isinstance(error, requests.ConnectionError):
            reason = f"{urlsplit(_SOURCE).netloc} cannot be reached"
        raise UsageError(
            f"the table {name} cannot be fetched: {reason}. Get {_SOURCE}{name} by other means (SHA-256 {HASHES[name]}), put "
            f"it into a folder, and name the folder: --data DIR, or the environment variable {FOLDER_VARIABLE}"
        ) from error


def _columns(
    path: Path, sizes: tuple[int, ...], fields: tuple[str, str, str], read: Callable[[str], Design]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the JSON into arrays of what is shown, the test accuracy and the rank."""
    import numpy as np

    shown, test, rank = (np.full(math.prod(sizes), np.nan) for _ in range(3))
    table = Table(shown, test, rank, sizes)
    for key, entry in json.loads(path.read_bytes()).items():
        try:
            place = table.place(read(key))
            table.shown[place], table.test[place] = (_number(entry, field) for field in fields[:2])
            table.rank[place] = entry[fields[2]] if fields[2] else np.nan
        except (ValueError, KeyError) as error:
            raise ConfigError(f"{path}: entry {key!r} cannot be read: {error}") from error
    missing = int(np.isnan(table.test).sum())
    if missing:
        raise ConfigError(f"{path}: {missing:,} of {len(table.test):,} designs are missing")
    better = len(table.test) - np.searchsorted(np.sort(table.test), table.test, side="right")
    return table.shown, table.test, (table.rank if fields[2] else better + 1).astype(np.int32)


def _number(entry: Mapping[str, Any], field: str) -> float:
    value = entry[field]
    return float(value) if not isinstance(value, Sequence) else float(sum(value) / len(value))


def _keep(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Cache arrays for the next process; where that cannot be done, it reads the JSON again."""
    import numpy as np

    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    except OSError:
        return
