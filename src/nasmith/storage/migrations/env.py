"""Runs the migrations on the connection that the storage hands over, inside the storage's own transaction."""

from alembic import context

from nasmith.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
