"""Opens a database, brings its schema up to date, and turns what can go wrong with it into messages that say what to do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from nasmith.errors import ConfigError, MissingDependencyError, StorageError
from nasmith.redaction import redacted, without_password
from nasmith.storage.schema import HEAD, alembic_version, meta, metadata

__all__ = ["Database", "upgrade"]

_ADVISORY_LOCK = 0x6E61736D  # "nasm": PostgreSQL's lock for making the tables, any number that others do not use


class Database:
    """A database with the tables of `schema`, opened at its first use, safe to share between threads.

    Args:
        database: A SQLite file, ":memory:", or an SQLAlchemy URL.
        read_only: Never write, not even a schema upgrade; the database must exist.
        timeout_seconds: How long to wait for another program's lock.

    Attributes:
        sqlite: Whether it is a SQLite database.
        path: The SQLite file, or None for a database that is not a file here.
        where: The database's name in messages, without its password.
    """

    def __init__(self, database: str | Path, *, read_only: bool = False, timeout_seconds: float = 5.0) -> None:
        if not 0 <= timeout_seconds <= 3600:
            raise ConfigError(f"timeout_seconds must be between 0 and 3600, got {timeout_seconds!r}")
        self._url = _url(database)
        self._read_only, self._timeout_seconds = read_only, timeout_seconds
        self.sqlite = self._url.get_backend_name() == "sqlite"
        self.path = _file(self._url) if self.sqlite else None
        self.where = str(self.path or without_password(self._url.render_as_string(hide_password=True)))
        self._engine: sa.Engine | None = None
        # One SQLite connection serves all threads; the lock gives each transaction the connection to itself.
        self._lock = threading.RLock()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that sees one state of the database."""
        with self._lock, self._translated(), self._open().connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that is on the disk when the block ends, or has left no trace when it raises."""
        if self._read_only:
            raise StorageError(f"{self.where} was opened for reading only; nothing was written")
        with self._lock, self._translated(), self._open().execution_options(write=True).begin() as connection:
            yield connection

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """A connection of its own, outside transactions, that ends with the block; not for SQLite."""
        with self._lock, self._translated():
            connection = self._open().connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield connection
        finally:
            connection.invalidate()  # closed, not kept for others
            connection.close()

    def close(self) -> None:
        """Let go of the database. A later call opens it again; one in memory is gone."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _open(self) -> sa.Engine:
        if self._engine is None:
            if self.path is not None:
                self._find_file(self.path)
            engine = self._connectable(self._url)
            try:
                self._check(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine = engine
        return self._engine

    def _find_file(self, path: Path) -> None:
        if self._read_only:
            if not path.is_file():
                raise StorageError(f"there is no database at {path}; the first search makes it")
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder of {path}: {error.strerror}; choose another place") from error

    def _connectable(self, url: sa.URL) -> sa.Engine:
        if not self.sqlite:
            try:
                return sa.create_engine(url, pool_pre_ping=True)
            except (ModuleNotFoundError, NoSuchModuleError) as error:
                raise MissingDependencyError(
                    f"{self.where} needs a database driver that is not installed ({error}). "
                    'For PostgreSQL: pip install "psycopg[binary]" and a URL that begins with postgresql+psycopg://'
                ) from error
        if self._read_only and self.path is not None and not url.query:
            return self._reader(self.path)
        return self._sqlite_engine(url)

    def _reader(self, path: Path) -> sa.Engine:
        """An engine that cannot write. In a folder that cannot be written either, SQLite reads WAL files only as immutable."""
        engine = self._sqlite_engine(_reader_url(path, {"mode": "ro"}))
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT count(*) FROM sqlite_master"))
        except DBAPIError as error:
            wal = path.with_name(path.name + "-wal")
            unwritten = wal.exists() and wal.stat().st_size > 0  # immutable would not see what it holds
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or unwritten:
                engine.dispose()
                raise
            engine.dispose()
            return self._sqlite_engine(_reader_url(path, {"mode": "ro", "immutable": "1"}))
        return engine

    def _sqlite_engine(self, url: sa.URL) -> sa.Engine:
        engine = sa.create_engine(
            url, poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": self._timeout_seconds}
        )

        @sa.event.listens_for(engine, "connect")
        def _configure(connection: Any, _: object) -> None:
            connection.isolation_level = None  # the driver would begin transactions too late, and none for DDL
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA synchronous=FULL")  # in WAL mode anything less may lose the last commits
            connection.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone leaves them in the drive's cache; nothing elsewhere

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            # IMMEDIATE takes the write lock at once, where waiting for it is still possible.
            writes = connection.get_execution_options().get("write")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _check(self, engine: sa.Engine) -> None:
        """Compare revisions; make or upgrade the tables where that is needed and allowed."""
        with engine.connect() as connection:
            revision, empty = self._revision(connection)
        if self._read_only:
            if revision != HEAD:
                hint = "is empty" if empty else f"has the older schema {revision}; any command that writes upgrades it"
                raise StorageError(f"{self.where} {hint}")
            return
        if self.sqlite and self.path is not None:
            self._use_wal(engine)
        with engine.execution_options(write=True).begin() as connection:
            if not self.sqlite:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            revision, empty = self._revision(connection)  # another process may have been quicker
            if empty:
                _create(connection)
            elif revision != HEAD:
                upgrade(connection)
            else:  # changes nothing, but finds out now, not after hours, that nothing can be written
                connection.execute(sa.delete(meta).where(sa.false()))

    def _revision(self, connection: sa.Connection) -> tuple[str | None, bool]:
        """The schema's revision, and whether there are no tables at all.

        Raises:
            StorageError: The tables are another program's, or a newer nasmith's.
        """
        inspector = sa.inspect(connection)
        if not inspector.has_table("alembic_version") or not inspector.has_table("meta"):
            if inspector.get_table_names():
                raise StorageError(f"{self.where} is another program's database; nothing was written. Choose another place.")
            return None, True
        revision = connection.scalar(sa.select(alembic_version.c.version_num))
        if revision != HEAD and not _is_known(revision):
            writer = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "nasmith_version"))
            raise StorageError(
                f"{self.where} was written by nasmith {writer} (schema {revision}); this is nasmith {_version()} "
                f"(schema {HEAD}) and cannot read it. Nothing was written. "
                f"Install nasmith {writer} or newer, or choose another database."
            )
        return revision, False

    def _use_wal(self, engine: sa.Engine) -> None:
        connection = engine.raw_connection()  # outside a transaction, as the pragma demands
        try:
            cursor = connection.cursor()
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")  # stays in the file; refused by some network folders
        except sqlite3.DatabaseError as error:
            raise DatabaseError("PRAGMA journal_mode=WAL", None, error) from error
        finally:
            connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise StorageError(f"{self.where} refused a record: {error.orig}") from error
        except DBAPIError as error:
            raise StorageError(self._explain(error)) from error

    def _explain(self, error: DBAPIError) -> str:
        match _code(error):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return (
                    f"{self.where} is locked by another program, and was for {self._timeout_seconds:g} s. "
                    "Close that program, or choose another database."
                )
            case sqlite3.SQLITE_READONLY:
                return (
                    f"{self.where} is read-only (the file, its folder, or the disk); nothing was written. "
                    "Make it writable or choose another database."
                )
            case sqlite3.SQLITE_FULL:
                return (
                    f"disk full: {self.where} has no room for another record. What was stored before is safe. "
                    "Free some space, then resume the run."
                )
            case sqlite3.SQLITE_CANTOPEN:
                return f"cannot open {self.where}: no permission for the file or its folder, or it is a folder itself"
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return _damaged(self.where, self.path)
            case sqlite3.SQLITE_IOERR:
                return (
                    f"the disk under {self.where} fails ({error.orig}); what was stored before is safe. Free space or check it."
                )
        return redacted(_without(self._url.password, f"the database {self.where} says: {str(error.orig).strip()}"))


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database lacks, in the transaction of `connection`."""
    from alembic import command  # slow to import, and hardly ever needed

    config = _alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.execute(sa.delete(meta).where(meta.c.key == "nasmith_version"))
    connection.execute(sa.insert(meta).values(key="nasmith_version", value=_version()))


def _create(connection: sa.Connection) -> None:
    """Make a new database in one go; a test compares the result with that of the migrations."""
    metadata.create_all(connection)
    alembic_version.create(connection)
    connection.execute(sa.insert(alembic_version).values(version_num=HEAD))
    connection.execute(sa.insert(meta).values(key="nasmith_version", value=_version()))


def _is_known(revision: str | None) -> bool:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic_config())
    return revision in {script.revision for script in scripts.walk_revisions()}


def _alembic_config() -> Any:
    from alembic.config import Config

    config = Config()
    # Percent signs are the configuration's own, and may stand in a path.
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def _version() -> str:
    try:
        return version("nasmith")
    except PackageNotFoundError:
        return "unknown"


def _url(database: str | Path) -> sa.URL:
    text = str(database)
    if "://" not in text:
        if not text:
            raise ConfigError("database must be a file, ':memory:' or a URL, got an empty text")
        return sa.URL.create("sqlite", database=text if text == ":memory:" else str(Path(text).expanduser().absolute()))
    try:
        return sa.make_url(text)
    except (ArgumentError, ValueError):  # not chained: the cause shows the password
        shown = without_password(text)
        raise ConfigError(f"{shown!r} is no database URL; a file's path or postgresql+psycopg://user@host/name is") from None


def _file(url: sa.URL) -> Path | None:
    """The file of a SQLite URL, or None for one in memory."""
    name = (url.database or "").removeprefix("file:")
    return None if name in ("", ":memory:") or url.query.get("mode") == "memory" else Path(name).absolute()


def _reader_url(path: Path, query: dict[str, str]) -> sa.URL:
    # SQLAlchemy passes a `file:` name on as it is, so what a URI gives a meaning to is quoted here.
    name = path.as_uri().removeprefix("file://")
    return sa.URL.create("sqlite", database=f"file:{name}", query={**query, "uri": "true"})


def _code(error: DBAPIError) -> int | None:
    """SQLite's primary result code; None for other databases."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _damaged(where: str, path: Path | None) -> str:
    copy = f"{path}.recovered"
    return (
        f"{where} is not a database, or is damaged; nothing was written. Keep the file and what lies beside it (-wal, -shm). "
        f"What can be read is saved by: sqlite3 '{path}' .recover | sqlite3 '{copy}' (a sqlite3 from sqlite.org; those of some "
        f"distributions cannot); then go on with --storage '{copy}'. Or choose another database."
    )


def _without(password: object, text: str) -> str:
    return text.replace(str(password), "***") if password else text
