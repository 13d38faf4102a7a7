from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from nasmith.errors import ConfigError, MissingDependencyError, StorageError
from nasmith.storage import schema
from nasmith.storage.database import Database


def _add(database: Database, text: str) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(schema.prompts).values(hash=text[:60], text=text))


def _texts(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(schema.prompts.c.text).order_by(schema.prompts.c.text)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that holds one prompt, closed."""
    path = tmp_path / "runs" / "nasmith.sqlite3"
    database = Database(path)
    _add(database, "first")
    database.close()
    return path


def test_the_constructor_touches_no_disk(tmp_path):
    Database(tmp_path / "runs" / "nasmith.sqlite3")

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_in_wal_mode_and_waits_for_the_disk(path):
    database = Database(path)
    with database.read() as connection:
        pragmas = {
            name: connection.scalar(sa.text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize("name", ["with space.db", "50%20off.db", "what?.db", "hash#.db", "ünïcode.db"])
def test_any_file_name_will_do(tmp_path, name):
    path = tmp_path / name
    database = Database(path)
    _add(database, "first")
    database.close()
    reader = Database(path, read_only=True)

    assert path.is_file()
    assert _texts(reader) == ["first"]
    reader.close()


def test_a_closed_database_opens_again(path):
    database = Database(path)
    database.close()

    assert _texts(database) == ["first"]
    database.close()
    database.close()


def test_a_block_that_raises_leaves_no_trace(path):
    database = Database(path)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connection.execute(sa.insert(schema.prompts).values(hash="h", text="lost"))
        _ = 1 / 0

    assert _texts(database) == ["first"]
    database.close()


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 200)

    with pytest.raises(StorageError, match="not a database"):
        _texts(Database(path))
    assert path.read_text() == "dear diary, " * 200


def test_another_programs_database_stays_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StorageError, match=r"another program's.*nothing was written"):
        _texts(Database(path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_database_says_which_version_wrote_it(path, read_only):
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.execute("UPDATE meta SET value = '7.2.0' WHERE key = 'nasmith_version'")
    connection.commit()
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StorageError, match=r"written by nasmith 7\.2\.0 \(schema 9999\).*Nothing was written"):
        _texts(Database(path, read_only=read_only))
    assert path.read_bytes() == before


def test_an_older_database_is_upgraded_when_it_is_opened_for_writing(old_database):
    database = Database(old_database)

    assert _texts(database) == ["a prompt"]
    _add(database, "b prompt")
    database.close()
    with sqlite3.connect(old_database) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.HEAD,)]
    connection.close()
    reader = Database(old_database, read_only=True)
    assert _texts(reader) == ["a prompt", "b prompt"]
    reader.close()


def test_a_reader_of_an_older_database_says_what_upgrades_it_and_writes_nothing(old_database):
    before = old_database.read_bytes()

    with pytest.raises(StorageError, match="older schema 0001; any command that writes upgrades it"):
        _texts(Database(old_database, read_only=True))
    assert old_database.read_bytes() == before


def test_a_lock_of_another_program_is_named_before_anything_is_written(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = Database(path, timeout_seconds=0)

    with pytest.raises(StorageError, match="locked by another program"):
        _texts(database)
    other.execute("ROLLBACK")
    other.close()
    assert _texts(database) == ["first"]
    database.close()


def test_a_reader_does_not_mind_a_writer(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    reader = Database(path, read_only=True, timeout_seconds=0)

    assert _texts(reader) == ["first"]
    reader.close()
    other.execute("ROLLBACK")
    other.close()


def test_a_read_only_database_refuses_to_write(path):
    reader = Database(path, read_only=True)

    with pytest.raises(StorageError, match="reading only; nothing was written"):
        _add(reader, "second")
    assert _texts(reader) == ["first"]
    reader.close()


def test_a_file_that_cannot_be_written_is_named_when_it_is_opened(path):
    # A URL, because permission bits mean nothing to root.
    database = Database(f"sqlite:///file:{path}?mode=ro&uri=true")

    with pytest.raises(StorageError, match=r"is read-only.*nothing was written"):
        _texts(database)


def test_reading_a_database_that_is_not_there_says_so_and_makes_nothing(tmp_path):
    with pytest.raises(StorageError, match="there is no database at"):
        _texts(Database(tmp_path / "none" / "x.db", read_only=True))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_a_database(tmp_path):
    with pytest.raises(StorageError, match="cannot open"):
        _texts(Database(tmp_path))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="cannot make the folder"):
        _texts(Database(tmp_path / "file" / "x.db"))


_UNPRIVILEGED = """
import os, sys
from nasmith.errors import StorageError
from nasmith.storage.database import Database
from nasmith.storage import schema
import sqlalchemy as sa
path = sys.argv[1]
engine = sa.create_engine("sqlite://"); engine.connect().close(); engine.dispose()  # import it all while that is allowed
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
reader = Database(path, read_only=True)
with reader.read() as connection:
    print(connection.scalar(sa.select(schema.prompts.c.text)))
try:
    with Database(path).read():
        print("opened")
except StorageError as error:
    print(error)
"""


def test_a_database_in_a_folder_without_permission_can_be_read(path):
    folder = Path(tempfile.mkdtemp())  # not pytest's: other users cannot enter that
    try:
        copy = folder / "nasmith.sqlite3"
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", _UNPRIVILEGED, copy], capture_output=True, text=True, check=False)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)

    if "os.setuid(65534)" in done.stderr or "os.setgid(65534)" in done.stderr:
        pytest.skip("root cannot become another user here")
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "first"
    assert "is read-only" in second or "cannot open" in second


def test_a_full_disk_costs_only_the_record_that_found_no_room(path):
    database = Database(path)
    with database.read() as connection:
        pages = connection.scalar(sa.text("PRAGMA page_count"))
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")

    with pytest.raises(StorageError, match=r"^disk full.*What was stored before is safe"):
        _add(database, "x" * 100_000)
    assert _texts(database) == ["first"]
    _add(database, "second")  # small enough

    with database.read() as connection:
        assert connection.scalar(sa.text("PRAGMA integrity_check")) == "ok"
    database.close()
    assert _texts(database) == ["first", "second"]
    database.close()


def test_many_may_open_a_new_database_at_once(tmp_path):
    path, count = tmp_path / "new.db", 6
    barrier, failures = threading.Barrier(count), []

    def work(number: int) -> None:
        database = Database(path)
        barrier.wait()
        try:
            _add(database, f"text {number}")
        except StorageError as error:
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    database = Database(path)
    assert _texts(database) == [f"text {number}" for number in range(count)]
    database.close()


def test_threads_share_one_database_in_memory():
    database = Database(":memory:")
    threads = [threading.Thread(target=lambda n=n: [_add(database, f"{n}-{i}") for i in range(20)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(_texts(database)) == 80
    database.close()


def test_opening_does_not_import_alembic(path):
    code = f"""
import sys
from nasmith.storage.database import Database
for name in ({str(path)!r}, ":memory:"):
    with Database(name).read() as connection:
        pass
sys.exit("alembic" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


def test_a_missing_driver_is_named_with_the_command():
    database = Database("nosuchdatabase://someone:secret@host/name")

    with pytest.raises(MissingDependencyError, match="pip install") as caught:
        _texts(database)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("database", "timeout"), [("", 1), ("://", 1), ("x.db", -1), ("x.db", float("nan"))])
def test_bad_arguments_are_refused(database, timeout):
    with pytest.raises(ConfigError):
        Database(database, timeout_seconds=timeout)


def test_a_url_of_a_file_is_that_file(path):
    database = Database(f"sqlite:///{path}")

    assert database.path == path
    assert _texts(database) == ["first"]
    database.close()


def test_a_path_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path))

    assert Database("~/x.db").path == tmp_path / "x.db"


@pytest.mark.parametrize("url", ["postgresql://me:secret@host:port/x", "postgresql+psycopg://me:sec/ret@host:x/y"])
def test_a_url_that_cannot_be_read_is_shown_without_its_password(url):
    with pytest.raises(ConfigError, match=r"me:\*\*\*@host.* is no database URL") as caught:
        Database(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_in_the_query_of_a_url_is_hidden_too():
    assert "secret" not in Database("postgresql://host/x?user=me&password=secret").where


def test_the_error_of_a_server_that_cannot_be_reached_has_no_password():
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match="postgresql") as caught:
        _texts(Database("postgresql+psycopg://me:secret@127.0.0.1:1/x"))
    assert "secret" not in str(caught.value)


def test_a_damaged_file_is_named_with_the_command_that_saves_what_can_be_read(path):
    path.write_bytes(path.read_bytes()[:3000])
    before = path.read_bytes()

    with pytest.raises(StorageError, match=rf"damaged; nothing was written.*sqlite3 '{path}' \.recover"):
        _texts(Database(path))
    assert path.read_bytes() == before
