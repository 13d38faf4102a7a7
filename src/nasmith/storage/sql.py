"""Keeps the records of every run in SQL: SQLite by default, PostgreSQL where many machines share one database."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from nasmith.errors import ConfigError, StorageError, StorageWarning, UnknownNameError
from nasmith.redaction import redacted
from nasmith.storage import DEFAULT_STORAGE, schema
from nasmith.storage.claims import claimed_file, claimed_session
from nasmith.storage.database import Database
from nasmith.storage.drives import network_drive
from nasmith.storage.rescue import Rescue
from nasmith.types import Brief, Call, Candidate, Completion, Evaluation, Run, Sampling, Status, Suggestion, Tune, Tuning, Wish

__all__ = ["Sql"]

_UNFINISHED = (".*", "*.part")  # names of files in a run's folder that are renamed once they are whole
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
        row = {
            "name": run.name,
            "config": dict(run.config),
            "version": run.version,
            "environment": dict(run.environment),
            "created": run.created,
            "finished": run.finished,
        }
        with self._writing(f"a run {run.name!r} already exists; resume it or choose another name") as connection:
            connection.execute(sa.insert(schema.runs), row)

    def run(self, name: str) -> Run:
        """The run of this name.

        Raises:
            UnknownNameError: There is none.
        """
        with self._database.read() as connection:
            row = connection.execute(sa.select(schema.runs).where(schema.runs.c.name == name)).mappings().first()
            if row is None:
                raise self._unknown(connection, name)
            return _to_run(row)

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        with self._database.read() as connection:
            return [_to_run(row) for row in connection.execute(sa.select(schema.runs).order_by(schema.runs.c.id)).mappings()]

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
        row = {
            "step": step,
            "told": told,
            "kind": type(action).__name__.lower(),
            "data": _from_action(action),
        }
        self._insert(run, schema.asked, [row], f"step {step} of run {run!r} is already stored")

    def asked(self, run: str) -> list[tuple[int, Wish]]:
        """All wishes in order of step: (told, action)."""
        return [(row["told"], _to_action(row["kind"], row["data"])) for row in self._rows(run, schema.asked, "step")]

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
        texts = {_hash(completion.prompt): completion.prompt for completion in completions}
        rows = [
            {"step": step, "index": index, "prompt_hash": _hash(one.prompt), **_fields(one, _COMPLETION)}
            for index, one in enumerate(completions, first)
        ]
        with self._writing(f"a reply of step {step} of run {run!r} from {first} on is already stored") as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            new = dialect.insert(schema.prompts).on_conflict_do_nothing()
            connection.execute(new, [{"hash": key, "text": text} for key, text in texts.items()])
            number = self._id(connection, run)
            connection.execute(sa.insert(schema.completions), [{"run_id": number, **row} for row in rows])

    def completions(self, run: str, step: int | None = None) -> dict[tuple[int, int], Completion]:
        """Replies by (step, index), in that order; of one step or of all."""
        table = schema.completions
        query = (
            sa.select(table, schema.prompts.c.text.label("prompt")).join(schema.prompts).order_by(table.c.step, table.c.index)
        )
        if step is not None:
            query = query.where(table.c.step == step)
        with self._database.read() as connection:
            rows = connection.execute(query.where(table.c.run_id == self._id(connection, run))).mappings()
            return {
                (row["step"], row["index"]): Completion(prompt=row["prompt"], **{name: row[name] for name in _COMPLETION})
                for row in rows
            }

    def add_call(self, run: str, call: Call) -> None:
        """Record an exchange with a language model that gave no completion."""
        row = {**_fields(call, _CALL), "message": redacted(call.message), "text": redacted(call.text)}
        self._insert(run, schema.calls, [row], f"the run {run!r} is not stored")

    def calls(self, run: str) -> list[Call]:
        """In the order in which they were added."""
        return [Call(**{name: row[name] for name in _CALL}) for row in self._rows(run, schema.calls, "sequence")]

    def add_candidates(self, run: str, candidates: Sequence[Candidate]) -> None:
        """Record candidates, all or none."""
        rows = [{**_fields(candidate, _CANDIDATE), "parents": list(candidate.parents)} for candidate in candidates]
        numbers = ", ".join(str(candidate.id) for candidate in candidates)
        self._insert(run, schema.candidates, rows, f"one of the candidates {numbers} of run {run!r} is already stored")

    def candidates(self, run: str) -> list[Candidate]:
        """In order of id."""
        return [
            Candidate(parents=tuple(row["parents"]), **{name: row[name] for name in _CANDIDATE})
            for row in self._rows(run, schema.candidates, "id")
        ]

    def add_evaluation(self, run: str, evaluation: Evaluation) -> None:
        """Record an evaluation of a candidate that is stored already."""
        row = {**_fields(evaluation, _EVALUATION), "status": str(evaluation.status), "metrics": _plain(evaluation.metrics)}
        row["message"] = redacted(evaluation.message)
        self._insert(run, schema.evaluations, [row], f"candidate {evaluation.candidate} of run {run!r} is not stored")

    def evaluations(self, run: str) -> list[Evaluation]:
        """In the order in which they were added."""
        return [
            Evaluation(status=Status(row["status"]), metrics=row["metrics"], **{name: row[name] for name in _EVALUATION})
            for row in self._rows(run, schema.evaluations, "sequence")
        ]

    def add_tuning(self, run: str, step: int, tuning: Tuning) -> None:
        """Record what the tuning that was asked for in `step` did."""
        row = {"step": step, **_fields(tuning, _TUNING), "losses": list(tuning.losses), "message": redacted(tuning.message)}
        self._insert(run, schema.tunings, [row], f"the tuning of step {step} of run {run!r} is already stored")

    def tunings(self, run: str) -> dict[int, Tuning]:
        """By step."""
        return {
            row["step"]: Tuning(losses=tuple(row["losses"]), **{name: row[name] for name in _TUNING})
            for row in self._rows(run, schema.tunings, "step")
        }

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

    def _insert(self, run: str, table: sa.Table, rows: list[dict[str, Any]], conflict: str) -> None:
        if not rows:
            return
        with self._writing(conflict) as connection:
            number = self._id(connection, run)
            connection.execute(sa.insert(table), [{"run_id": number, **row} for row in rows])

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


# The fields that are columns of the same name and need no conversion.
_COMPLETION = (
    "text", "model", "tokens_in", "tokens_out", "cost", "seconds", "finish", "tokens_cached", "message",
)  # fmt: skip
_CALL = (
    "model", "outcome", "message", "text", "step", "index", "tokens_in", "tokens_out", "tokens_cached", "cost", "seconds",
)  # fmt: skip
_CANDIDATE = ("id", "text", "operator", "canonical", "step", "index", "round", "label")
_EVALUATION = ("candidate", "seed", "fidelity", "seconds", "message", "purpose", "weights")
_TUNING = ("round", "examples", "accepted", "weights", "seconds", "message")


def _fields(record: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _plain(metrics: Mapping[str, float]) -> dict[str, float]:
    # JSON knows no NumPy scalars.
    return {name: value if isinstance(value, (int, float)) else float(value) for name, value in metrics.items()}


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _to_run(row: sa.RowMapping) -> Run:
    return Run(**{name: row[name] for name in ("name", "config", "version", "environment", "created", "finished")})


def _from_action(action: Wish) -> dict[str, Any]:
    if isinstance(action, Tune):
        return {"round": action.round, "candidates": list(action.candidates), "seed": action.seed}
    if isinstance(action, Suggestion):
        return {**_fields(action, ("operator", "round")), "texts": list(action.texts), "parents": list(action.parents)}
    return {
        "operator": action.operator,
        "parents": list(action.parents),
        "facts": [dict(facts) for facts in action.facts],
        "target": dict(action.target),
        "sampling": _fields(action.sampling, ("n", "temperature", "seed")),
        "round": action.round,
        **({"model": action.model} if action.model else {}),
    }


def _to_action(kind: str, data: dict[str, Any]) -> Wish:
    if kind == "tune":
        return Tune(round=data["round"], candidates=tuple(data["candidates"]), seed=data["seed"])
    if kind == "suggestion":
        return Suggestion(**{**data, "texts": tuple(data["texts"]), "parents": tuple(data["parents"])})
    return Brief(
        operator=data["operator"],
        parents=tuple(data["parents"]),
        facts=tuple(data["facts"]),
        target=data["target"],
        sampling=Sampling(**data["sampling"]),
        round=data["round"],
        model=data.get("model", ""),
    )
