"""Keeps the records of every run in SQL: SQLite by default, PostgreSQL where many machines share one database."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from nasmith.errors import ConfigError, StorageError, StorageWarning, UnknownNameError
from nasmith.protocols import Storage
from nasmith.storage import DEFAULT_STORAGE, rows, schema
from nasmith.storage.claims import claimed_file, claimed_session
from nasmith.storage.database import Database
from nasmith.storage.drives import network_drive
from nasmith.storage.rescue import Rescue
from nasmith.types import Call, Candidate, Completion, Evaluation, Run, Tuning, Wish

__all__ = ["Sql"]

_UNFINISHED = (".*", "*.part")  # names of files in a run's folder that are renamed once they are whole
_EXISTS = "a run {!r} already exists; resume it or choose another name"
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Sql:
    """The `Storage` for every database that SQLAlchemy speaks to.

    Each `add_*` is one transaction and durable when it returns: SQLite runs in WAL mode with `synchronous=FULL`. The first call
    opens the database, and makes or upgrades the tables. May be shared between threads.

    Args:
        database: A SQLite file, ":memory:" (for tests; gone when closed), or an SQLAlchemy URL such as
            `postgresql+psycopg://user@host/name`.
        read_only: Only read, also from a file or folder that cannot be written.
        folder: Where the runs' folders are; None for beside the SQLite file, or `nasmith-runs` here for other databases.
        timeout_seconds: How long to wait while another program holds the database.
    """

    def __init__(
        self,
        database: str | Path = DEFAULT_STORAGE,
        *,
        read_only: bool = False,
        folder: str | Path | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        self._database = Database(database, read_only=read_only, timeout_seconds=timeout_seconds)
        self._read_only = read_only
        path = self._database.path
        self._sqlite = self._database.sqlite
        self._folder = Path(folder) if folder is not None else path.parent if path else Path(DEFAULT_STORAGE).parent
        self._ids: dict[str, int] = {}
        self._rescues: dict[str, Rescue] = {}  # of the runs that this process holds

    def __repr__(self) -> str:
        return f"Sql({self._database.where!r})"

    def add_run(self, run: Run) -> None:
        """Begin a run.

        Raises:
            ConfigError: The name cannot be a folder's name everywhere.
            StorageError: There is a run of this name.
        """
        self._check_name(run.name)
        with self._writing(_EXISTS.format(run.name)) as connection:
            connection.execute(sa.insert(schema.runs), rows.from_run(run))

    def run(self, name: str) -> Run:
        """The run of this name.

        Raises:
            UnknownNameError: There is none.
        """
        with self._database.read() as connection:
            row = connection.execute(sa.select(schema.runs).where(schema.runs.c.name == name)).mappings().first()
            if row is None:
                raise self._unknown(connection, name)
            return rows.to_run(row)

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        with self._database.read() as connection:
            return [
                rows.to_run(row) for row in connection.execute(sa.select(schema.runs).order_by(schema.runs.c.id)).mappings()
            ]

    def finish_run(self, name: str, finished: str) -> None:
        """Record when a run ended; an empty `finished` opens it again."""
        with self._database.write() as connection:
            chosen = schema.runs.c.id == self._id(connection, name)
            connection.execute(sa.update(schema.runs).where(chosen).values(finished=finished))

    @contextmanager
    def claim(self, name: str) -> Iterator[None]:
        """Hold the run, stored or about to be, for this process while the block runs. Readers do not mind.

        Raises:
            ConfigError: The name cannot be a run's.
            RunBusyError: Another process holds it.
            StorageError: The run's folder or the database cannot be used.
        """
        self._check_name(name)
        if not self._sqlite:
            with self._database.session() as connection, claimed_session(connection, name), self._rescuing(name):
                yield
        elif self._database.path is None:  # in memory: nobody else can open it
            yield
        else:
            with claimed_file(self._folder / name, name), self._rescuing(name):
                self._warn_of_drive(self._database.path)
                yield

    def folder(self, name: str) -> Path:
        """The run's folder for files, made where it is missing (not by a read-only storage)."""
        with self._database.read() as connection:
            self._id(connection, name)
        folder = self._folder / name
        if not self._read_only:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot make the run's folder {folder}: {error.strerror}") from error
        return folder

    def add_asked(self, run: str, step: int, told: int, action: Wish) -> None:
        """Record the `step`-th wish of the strategy, made after `told` evaluations had been told."""
        self._insert(run, schema.asked, [rows.from_wish(step, told, action)], f"step {step} of run {run!r} is already stored")

    def asked(self, run: str) -> list[tuple[int, Wish]]:
        """All wishes in order of step: (told, action)."""
        return [rows.to_wish(row) for row in self._rows(run, schema.asked, "step")]

    def add_completions(self, run: str, step: int, first: int, completions: Sequence[Completion]) -> None:
        """Record replies `first`, `first`+1, … of a step, all or none.

        Where the database cannot take them, this raises, and the next `claim` of the run stores them.
        """
        if not completions:
            return
        try:
            self._add_completions(run, step, first, completions)
        except StorageError as error:
            rescue = self._rescues.get(run)
            if rescue is None or isinstance(error.__cause__, sa.exc.IntegrityError):
                raise
            if not rescue.keep(step, first, completions):
                raise StorageError(f"{error} The replies that came last are lost: {rescue.path} cannot be written.") from error
            raise StorageError(f"{error} The replies that came last are in {rescue.path}, and resuming stores them.") from error

    def _add_completions(self, run: str, step: int, first: int, completions: Sequence[Completion]) -> None:
        made = [rows.from_completion(step, index, one) for index, one in enumerate(completions, first)]
        with self._writing(f"a reply of step {step} of run {run!r} from {first} on is already stored") as connection:
            _insert_prompts(connection, completions)
            number = self._id(connection, run)
            connection.execute(sa.insert(schema.completions), [{"run_id": number, **row} for row in made])

    def completions(self, run: str, step: int | None = None) -> dict[tuple[int, int], Completion]:
        """Replies by (step, index), in that order; of one step or of all."""
        table = schema.completions
        query = (
            sa.select(table, schema.prompts.c.text.label("prompt")).join(schema.prompts).order_by(table.c.step, table.c.index)
        )
        if step is not None:
            query = query.where(table.c.step == step)
        with self._database.read() as connection:
            found = connection.execute(query.where(table.c.run_id == self._id(connection, run))).mappings()
            return {(row["step"], row["index"]): rows.to_completion(row) for row in found}

    def add_call(self, run: str, call: Call) -> None:
        """Record an exchange with a language model that gave no completion."""
        self._insert(run, schema.calls, [rows.from_call(call)], f"the run {run!r} is not stored")

    def calls(self, run: str) -> list[Call]:
        """In the order in which they were added."""
        return [rows.to_call(row) for row in self._rows(run, schema.calls, "sequence")]

    def add_candidates(self, run: str, candidates: Sequence[Candidate]) -> None:
        """Record candidates, all or none."""
        made = [rows.from_candidate(candidate) for candidate in candidates]
        numbers = ", ".join(str(candidate.id) for candidate in candidates)
        self._insert(run, schema.candidates, made, f"one of the candidates {numbers} of run {run!r} is already stored")

    def candidates(self, run: str) -> list[Candidate]:
        """In order of id."""
        return [rows.to_candidate(row) for row in self._rows(run, schema.candidates, "id")]

    def add_evaluation(self, run: str, evaluation: Evaluation) -> None:
        """Record an evaluation of a candidate that is stored already."""
        conflict = f"candidate {evaluation.candidate} of run {run!r} is not stored"
        self._insert(run, schema.evaluations, [rows.from_evaluation(evaluation)], conflict)

    def evaluations(self, run: str) -> list[Evaluation]:
        """In the order in which they were added."""
        return [rows.to_evaluation(row) for row in self._rows(run, schema.evaluations, "sequence")]

    def add_tuning(self, run: str, step: int, tuning: Tuning) -> None:
        """Record what the tuning that was asked for in `step` did."""
        conflict = f"the tuning of step {step} of run {run!r} is already stored"
        self._insert(run, schema.tunings, [rows.from_tuning(step, tuning)], conflict)

    def tunings(self, run: str) -> dict[int, Tuning]:
        """By step."""
        return {row["step"]: rows.to_tuning(row) for row in self._rows(run, schema.tunings, "step")}

    def take(self, source: Storage, name: str) -> None:
        """Store a run of another storage with all its records in one transaction: it is whole or not there.

        Raises:
            ConfigError: The name cannot be a folder's name everywhere.
            StorageError: There is a run of this name.
            UnknownNameError: The source has none.
        """
        self._check_name(name)
        tables = rows.tables(source, name)
        prompts = list(source.completions(name).values())
        with self._writing(_EXISTS.format(name)) as connection:
            connection.execute(sa.insert(schema.runs), rows.from_run(source.run(name)))
            number = connection.scalar(sa.select(schema.runs.c.id).where(schema.runs.c.name == name))
            if prompts:
                _insert_prompts(connection, prompts)
            for table, made in tables:
                if made:
                    connection.execute(sa.insert(table), [{"run_id": number, **row} for row in made])

    def close(self) -> None:
        """Let go of the database; may be called twice."""
        self._database.close()
        self._ids.clear()

    @contextmanager
    def _rescuing(self, name: str) -> Iterator[None]:
        """Clear up after a process that was killed: store the replies that it kept; and be ready to keep others."""
        path = self._database.path
        rescue = Rescue(self._folder / name, path.name if path else "")
        for pattern in _UNFINISHED:  # a killed process left them, and nobody else writes here now
            for left in rescue.path.parent.rglob(pattern):
                left.unlink(missing_ok=True)
        kept = rescue.kept()
        if kept:
            stored = self.completions(name)
            for step, first, replies in kept:
                if (step, first) not in stored:
                    self.add_completions(name, step, first, replies)
        rescue.reserve()
        self._rescues[name] = rescue
        try:
            yield
        finally:
            del self._rescues[name]
            rescue.remove()

    def _check_name(self, name: str) -> None:
        path = self._database.path
        taken = path is not None and name.startswith(path.name)  # the folder would hide the database's own files
        if not _RUN_NAME.fullmatch(name) or taken or name.endswith("."):
            raise ConfigError(
                f"a run's name is 1 to 100 of the letters a-z, digits, '.', '_' and '-', begins with a letter or digit, does "
                f"not end with '.' and is not the database's; got {name!r}"
            )

    def _warn_of_drive(self, path: Path) -> None:
        kind = network_drive(path)
        if kind:
            warnings.warn(
                f"{path} is on a network drive ({kind}). SQLite in WAL mode needs a local disk: other machines do not see its "
                "shared memory, and records may be lost. Use a file on a local disk, or PostgreSQL where several machines "
                "share one database.",
                StorageWarning,
                stacklevel=5,
            )

    @contextmanager
    def _writing(self, conflict: str) -> Any:
        """A transaction in which a broken key means `conflict`."""
        try:
            with self._database.write() as connection:
                yield connection
        except StorageError as error:
            if isinstance(error.__cause__, sa.exc.IntegrityError):
                raise StorageError(f"{conflict} ({error.__cause__.orig})") from error.__cause__
            raise

    def _insert(self, run: str, table: sa.Table, made: list[dict[str, Any]], conflict: str) -> None:
        if not made:
            return
        with self._writing(conflict) as connection:
            number = self._id(connection, run)
            connection.execute(sa.insert(table), [{"run_id": number, **row} for row in made])

    def _rows(self, run: str, table: sa.Table, order: str) -> Sequence[sa.RowMapping]:
        with self._database.read() as connection:
            chosen = table.c.run_id == self._id(connection, run)
            return connection.execute(sa.select(table).where(chosen).order_by(table.c[order])).mappings().all()

    def _id(self, connection: sa.Connection, name: str) -> int:
        if name not in self._ids:
            number = connection.scalar(sa.select(schema.runs.c.id).where(schema.runs.c.name == name))
            if number is None:
                raise self._unknown(connection, name)
            self._ids[name] = number
        return self._ids[name]

    def _unknown(self, connection: sa.Connection, name: str) -> UnknownNameError:
        return UnknownNameError("run", name, connection.scalars(sa.select(schema.runs.c.name)).all())


def _insert_prompts(connection: sa.Connection, completions: Sequence[Completion]) -> None:
    """Store the prompts of replies, each once."""
    texts = {rows.hashed(completion.prompt): completion.prompt for completion in completions}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(schema.prompts).on_conflict_do_nothing()
    connection.execute(new, [{"hash": key, "text": text} for key, text in texts.items()])
