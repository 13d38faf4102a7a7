"""The tables that hold a search's records, and the column types that keep Python values exact.

A change here needs a new file in `migrations/versions/` and the new number in `HEAD`; a test compares the three.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
)

__all__ = [
    "HEAD",
    "Exact",
    "Json",
    "alembic_version",
    "asked",
    "calls",
    "candidates",
    "completions",
    "evaluations",
    "meta",
    "metadata",
    "prompts",
    "runs",
    "tunings",
]

HEAD = "0002"
"""The newest revision in `migrations/versions/`. Kept here so that opening a database need not import alembic."""

_ESCAPED = "\x01"


class Exact(TypeDecorator[str]):
    """Text that comes back as it went in, whatever a language model wrote.

    PostgreSQL refuses NUL and no database takes half a surrogate pair: such text is stored with Python's escapes,
    behind a mark.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape what the database could not hold."""
        if value is None or not (value.startswith(_ESCAPED) or "\x00" in value or _has_surrogate(value)):
            return value
        return _ESCAPED + value.encode("unicode_escape").decode("ascii")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Undo the escape."""
        if value is None or not value.startswith(_ESCAPED):
            return value
        return value[1:].encode("ascii").decode("unicode_escape")


class Json(TypeDecorator[Any]):
    """Plain values as JSON text. Floats are exact; NaN and the infinities are written as Python's `json` writes them."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """Write compact JSON; key order is kept."""
        return json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read it."""
        return None if value is None else json.loads(value)


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


# SQLite numbers rows by itself only in a column of exactly the type INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")


def _run() -> Column[int]:
    return Column("run_id", _Serial, ForeignKey("runs.id"), primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Exact(), nullable=False)


def _integer(name: str) -> Column[int]:
    return Column(name, BigInteger(), nullable=False)


def _float(name: str) -> Column[float]:
    return Column(name, Double(), nullable=False)


def _json(name: str) -> Column[Any]:
    return Column(name, Json(), nullable=False)


metadata = MetaData(
    # Named constraints, so that a later migration can drop one on every database.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), _text("value"))
"""Facts about the database itself; `nasmith_version` is the version that made or last upgraded it."""

runs = Table(
    "runs",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False, unique=True),
    _json("config"),
    _text("version"),
    _json("environment"),
    _text("created"),
    _text("finished"),
)

asked = Table(
    "asked",
    metadata,
    _run(),
    Column("step", BigInteger(), primary_key=True, autoincrement=False),
    _integer("told"),
    Column("kind", String(16), nullable=False),
    _json("data"),
)

prompts = Table("prompts", metadata, Column("hash", String(64), primary_key=True), _text("text"))
"""Prompts by the SHA-256 of their text: many completions share one."""

completions = Table(
    "completions",
    metadata,
    _run(),
    Column("step", BigInteger(), primary_key=True, autoincrement=False),
    Column("index", BigInteger(), primary_key=True, autoincrement=False),
    Column("prompt_hash", String(64), ForeignKey("prompts.hash"), nullable=False),
    _text("text"),
    _text("model"),
    _integer("tokens_in"),
    _integer("tokens_out"),
    _float("cost"),
    _float("seconds"),
    Column("finish", String(16), nullable=False),
    Column("tokens_cached", BigInteger(), nullable=False, server_default="0"),
    Column("message", Exact(), nullable=False, server_default=""),
)

calls = Table(
    "calls",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=True),
    Column("run_id", _Serial, ForeignKey("runs.id"), nullable=False),
    _text("model"),
    Column("outcome", String(16), nullable=False),
    _text("message"),
    _text("text"),
    _integer("step"),
    _integer("index"),
    _integer("tokens_in"),
    _integer("tokens_out"),
    _integer("tokens_cached"),
    _float("cost"),
    _float("seconds"),
    Index(None, "run_id", "sequence"),
)
"""Exchanges with language models that gave no completion."""

candidates = Table(
    "candidates",
    metadata,
    _run(),
    Column("id", BigInteger(), primary_key=True, autoincrement=False),
    _text("text"),
    _json("parents"),
    _text("operator"),
    _text("canonical"),
    _integer("step"),
    _integer("index"),
    _integer("round"),
    _text("label"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=True),
    Column("run_id", _Serial, nullable=False),
    _integer("candidate"),
    Column("status", String(16), nullable=False),
    _json("metrics"),
    _integer("seed"),
    _integer("fidelity"),
    _float("seconds"),
    _text("message"),
    Column("purpose", String(16), nullable=False),
    _text("weights"),
    ForeignKeyConstraint(["run_id", "candidate"], ["candidates.run_id", "candidates.id"]),
    Index(None, "run_id", "sequence"),
)

tunings = Table(
    "tunings",
    metadata,
    _run(),
    Column("step", BigInteger(), primary_key=True, autoincrement=False),
    _integer("round"),
    _integer("examples"),
    _json("losses"),
    Column("accepted", Boolean(), nullable=False),
    _text("weights"),
    _float("seconds"),
    _text("message"),
)

alembic_version = Table(
    "alembic_version",
    MetaData(),  # alembic owns this table: it is no part of what migrations compare
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""The database's revision. Written by hand for a new database, exactly as alembic would."""
