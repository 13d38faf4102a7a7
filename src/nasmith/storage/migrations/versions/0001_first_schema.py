"""The first schema.

Revision: 0001. Never edit it once it has been released.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _run() -> sa.Column[int]:
    return sa.Column("run_id", _serial, nullable=False)


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=f"fk_{table}_runs")


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _integer(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _float(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double(), nullable=False) for name in names]


def _short(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    """Make the tables of an empty database."""
    op.create_table("meta", _short("key", 64), *_text("value"), sa.PrimaryKeyConstraint("key", name="pk_meta"))
    op.create_table(
        "runs",
        sa.Column("id", _serial, autoincrement=True, nullable=False),
        _short("name", 100),
        *_text("config", "version", "environment", "created", "finished"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("name", name="uq_runs_name"),
    )
    op.create_table(
        "asked",
        _run(),
        *_integer("step", "told"),
        _short("kind", 16),
        *_text("data"),
        sa.PrimaryKeyConstraint("run_id", "step", name="pk_asked"),
        _of_run("asked"),
    )
    op.create_table("prompts", _short("hash", 64), *_text("text"), sa.PrimaryKeyConstraint("hash", name="pk_prompts"))
    op.create_table(
        "completions",
        _run(),
        *_integer("step", "index"),
        _short("prompt_hash", 64),
        *_text("text", "model"),
        *_integer("tokens_in", "tokens_out"),
        *_float("cost", "seconds"),
        _short("finish", 16),
        sa.PrimaryKeyConstraint("run_id", "step", "index", name="pk_completions"),
        sa.ForeignKeyConstraint(["prompt_hash"], ["prompts.hash"], name="fk_completions_prompts"),
        _of_run("completions"),
    )
    op.create_table(
        "candidates",
        _run(),
        *_integer("id"),
        *_text("text", "parents", "operator", "canonical"),
        *_integer("step", "index", "round"),
        *_text("label"),
        sa.PrimaryKeyConstraint("run_id", "id", name="pk_candidates"),
        _of_run("candidates"),
    )
    op.create_table(
        "evaluations",
        sa.Column("sequence", _serial, autoincrement=True, nullable=False),
        _run(),
        *_integer("candidate"),
        _short("status", 16),
        *_text("metrics"),
        *_integer("seed", "fidelity"),
        *_float("seconds"),
        *_text("message"),
        _short("purpose", 16),
        *_text("weights"),
        sa.PrimaryKeyConstraint("sequence", name="pk_evaluations"),
        sa.ForeignKeyConstraint(
            ["run_id", "candidate"], ["candidates.run_id", "candidates.id"], name="fk_evaluations_candidates"
        ),
    )
    op.create_index("ix_evaluations_run_id_sequence", "evaluations", ["run_id", "sequence"])
    op.create_table(
        "tunings",
        _run(),
        *_integer("step", "round", "examples"),
        *_text("losses"),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        *_text("weights"),
        *_float("seconds"),
        *_text("message"),
        sa.PrimaryKeyConstraint("run_id", "step", name="pk_tunings"),
        _of_run("tunings"),
    )
