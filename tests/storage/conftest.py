"""A database as nasmith wrote it before it knew of calls: made by the first migration alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from nasmith.storage import database

_BRIEF = {
    "operator": "infill",
    "parents": [1],
    "facts": [{"params": "5210"}],
    "target": {"params": "4700"},
    "sampling": {"n": 2, "temperature": 0.4, "seed": 7},
    "round": 0,
}
_ROWS = {
    "meta": [{"key": "nasmith_version", "value": "0.1.0"}],
    "runs": [
        {"id": 1, "name": "otter", "config": "{}", "version": "0.1.0", "environment": "{}", "created": "", "finished": ""}
    ],
    "asked": [{"run_id": 1, "step": 0, "told": 1, "kind": "brief", "data": json.dumps(_BRIEF)}],
    "prompts": [{"hash": "h", "text": "a prompt"}],
    "completions": [
        {
            "run_id": 1, "step": 0, "index": index, "prompt_hash": "h", "text": f"reply {index}", "model": "smollm2",
            "tokens_in": 220, "tokens_out": 130, "cost": 0.25, "seconds": 1.1, "finish": "length",
        }
        for index in range(2)
    ],
}  # fmt: skip


@pytest.fixture
def old_database(tmp_path: Path) -> Path:
    """Path of a database of revision 0001 that holds a run with a wish and two replies."""
    path = tmp_path / "old.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = database._alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        tables = sa.MetaData()
        tables.reflect(connection)
        for table, rows in _ROWS.items():
            connection.execute(sa.insert(tables.tables[table]), rows)
    engine.dispose()
    return path
