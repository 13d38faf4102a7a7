from __future__ import annotations

import math

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import nasmith.storage.database as database
from nasmith.storage import schema


@pytest.fixture
def connection():
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _differences(connection: sa.Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(connection), schema.metadata)


def _definitions(connection: sa.Connection) -> dict[str, str]:
    rows = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    return {name: " ".join(sorted(sql.replace(",", " ").split())) for name, sql in rows}


def test_the_head_constant_is_the_newest_migration():
    assert ScriptDirectory.from_config(database._alembic_config()).get_heads() == [schema.HEAD]


def test_the_migrations_lead_to_the_schema(connection):
    database.upgrade(connection)

    assert _differences(connection) == []
    assert connection.scalar(sa.select(schema.alembic_version.c.version_num)) == schema.HEAD


def test_a_missing_column_would_be_noticed(connection):
    database.upgrade(connection)
    connection.execute(sa.text("ALTER TABLE tunings DROP COLUMN message"))

    assert len(_differences(connection)) == 1


def test_a_new_database_equals_a_migrated_one(connection):
    database._create(connection)
    other = sa.create_engine("sqlite://")
    with other.begin() as migrated:
        database.upgrade(migrated)
        expected = _definitions(migrated)
    other.dispose()

    assert _definitions(connection) == expected


@pytest.mark.parametrize(
    "text", ["", "plain", "nul \x00 inside", "half \ud800 pair", "\ud83d\ude00", "\x01\\x00", "\\n 漢字 😀\r\n"]
)
def test_text_comes_back_as_it_went_in(connection, text):
    schema.prompts.create(connection)
    connection.execute(sa.insert(schema.prompts).values(hash="h", text=text))

    assert connection.scalar(sa.select(schema.prompts.c.text)) == text


def test_no_stored_text_holds_what_postgresql_refuses(connection):
    schema.prompts.create(connection)
    connection.execute(sa.insert(schema.prompts).values(hash="h", text="a\x00b"))

    assert "\x00" not in connection.scalar(sa.text("SELECT text FROM prompts"))


def test_json_keeps_floats_exact_and_order(connection):
    table = sa.Table("values", sa.MetaData(), sa.Column("value", schema.Json()))
    table.create(connection)
    value = {"z": 0.1 + 0.2, "a": 5e-324, "m": math.inf, "text": "\x00 ü", "none": None}
    connection.execute(sa.insert(table).values(value=value))

    stored = connection.scalar(sa.select(table.c.value))

    assert stored == value
    assert list(stored) == list(value)
