"""Exchanges with language models that gave no completion; what a reply had in the cache, and why there is none.

Revision: 0002. Never edit it once it has been released.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table and two columns."""
    op.add_column("completions", sa.Column("tokens_cached", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("completions", sa.Column("message", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "calls",
        sa.Column("sequence", _serial, autoincrement=True, nullable=False),
        sa.Column("run_id", _serial, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("message", "text")),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("step", "index", "tokens_in", "tokens_out", "tokens_cached")
        ),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("cost", "seconds")),
        sa.PrimaryKeyConstraint("sequence", name="pk_calls"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_calls_runs"),
    )
    op.create_index("ix_calls_run_id_sequence", "calls", ["run_id", "sequence"])
