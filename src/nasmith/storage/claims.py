"""Holds a run for one process: a lock of the operating system, or of the PostgreSQL server, that ends with its holder.

A lock that the system keeps cannot be left behind: whatever ends the process, SIGKILL included, ends the lock. What is written
beside it (process, host, time) is for the message alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import psutil
import sqlalchemy as sa

from nasmith.errors import RunBusyError, StorageError

try:
    import fcntl
except ImportError:  # Windows: one process at a time is up to the user there
    fcntl = None  # type: ignore[assignment]

__all__ = ["FILE", "claimed_file", "claimed_session"]

FILE = "lock"
"""The lock's name in the run's folder."""

_ATTEMPTS = 20  # each lost one means that another process released the lock between two system calls of this one
_held: set[int] = set()  # descriptors that a forked child must not keep open: its copy would keep the lock


def _let_go() -> None:
    while _held:
        with contextlib.suppress(OSError):
            os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def claimed_file(folder: Path, run: str) -> Iterator[None]:
    """Hold the lock in the run's folder while the block runs; the folder is made where it is missing.

    Raises:
        RunBusyError: Another process, or another thread of this one, holds it.
        StorageError: The folder cannot be written, or its file system has no locks.
    """
    if fcntl is None:
        yield
        return
    path = folder / FILE
    descriptor = _locked(path, run)
    _held.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_who()).encode(), 0)
        yield
    finally:
        if descriptor in _held:  # not in a child that was forked meanwhile
            with contextlib.suppress(OSError):
                path.unlink()  # while it is locked; whoever opened it before finds out by the inode
            _held.discard(descriptor)
            os.close(descriptor)
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing else is in it, the run was never stored


def _locked(path: Path, run: str) -> int:
    """Open the file and lock it; the descriptor is closed on exec."""
    for _ in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the folder was removed by whoever let go just now
            continue
        except OSError as error:
            raise StorageError(f"cannot make the run's lock {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(descriptor, path):
                return descriptor
        except OSError as error:
            holder = os.pread(descriptor, 4096, 0)
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise StorageError(
                    f"cannot lock {path}: {error.strerror}. A run needs a disk with file locks; choose another place."
                ) from error
            raise RunBusyError(_busy(run, holder, path)) from None
        os.close(descriptor)
    raise RunBusyError(_busy(run, b"", path))


def _is(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _who() -> dict[str, str | int]:
    began = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    return {"pid": os.getpid(), "host": socket.gethostname(), "began": _time(began), "since": _time(datetime.now(UTC))}


def _time(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + " UTC"


def _busy(run: str, holder: bytes, path: Path) -> str:
    try:
        known = json.loads(holder)
        pid, host, began, since = (str(known[key]) for key in ("pid", "host", "began", "since"))
    except (ValueError, KeyError, TypeError):  # it has the lock and has not written yet
        return f"another process works on run {run!r}. {_advice(run)}"
    who = f"process {pid} on host {host} (begun {began}) has worked on run {run!r} since {since}"
    here = socket.gethostname()
    elsewhere = "" if host == here else f" This is host {here}: look there. If {host} is gone for good, delete {path}."
    return f"{who}. {_advice(run)}{elsewhere}"


def _advice(run: str) -> str:
    return f"Wait until it ends, or end it; then: nasmith resume {run}. Meanwhile `nasmith show {run}` shows how it goes."


@contextmanager
def claimed_session(connection: sa.Connection, run: str) -> Iterator[None]:
    """Hold the run by an advisory lock of a PostgreSQL session; it ends with the connection, which must serve nothing else.

    Raises:
        RunBusyError: Another session holds it.
    """
    schema = connection.scalar(sa.text("SELECT current_schema()"))
    key = int.from_bytes(sha256(f"nasmith run {schema}.{run}".encode()).digest()[:8], "big", signed=True)
    # Shown by pg_stat_activity and so by `_session`; a server keeps 63 bytes. A dead machine's session ends within a minute.
    name = f"nasmith {os.getpid()}@{socket.gethostname()}"[:63]
    options = {
        "application_name": name,
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
    }
    for option, value in options.items():
        connection.execute(sa.text("SELECT set_config(:option, :value, false)"), {"option": option, "value": value})
    if not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
        raise RunBusyError(_session(connection, key, run))
    yield


def _session(connection: sa.Connection, key: int, run: str) -> str:
    """Say which session holds the lock."""
    query = """
        SELECT application_name, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
        FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
          AND classid::bigint = (:key >> 32) & 4294967295 AND objid::bigint = :key & 4294967295
    """
    found = connection.execute(sa.text(query), {"key": key}).first()
    name, since = found if found is not None else (None, None)
    pid, at, host = (name or "").removeprefix("nasmith ").partition("@")
    if not at:  # it has ended meanwhile, or is another database user's, whose sessions this one may not see
        return f"another process works on run {run!r}. {_advice(run)}"
    return f"process {pid} on host {host} has worked on run {run!r} since {since}. {_advice(run)}"
