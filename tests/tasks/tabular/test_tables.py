import hashlib
import json
import os
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from nasmith.errors import ConfigError, UsageError
from nasmith.tasks.tabular import tables

NAME = "nas-bench-macro_cifar10.json"
ENTRIES = {
    "0": {"val": 50.0, "test": [60.0, 70.0]},
    "1": {"val": 55.5, "test": [70.0, 72.0]},
    "2": {"val": 1, "test": [71, 71]},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NASMITH_DATA", raising=False)
    tables.load.cache_clear()
    yield tmp_path / "cache"
    tables.load.cache_clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a small table in the place of a published one."""
    return publish(tmp_path / "data", ENTRIES, monkeypatch)


def publish(folder: Path, entries, monkeypatch) -> Path:
    content = json.dumps(entries).encode()
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(content)
    monkeypatch.setattr(tables, "HASHES", {NAME: hashlib.sha256(content).hexdigest()})
    return folder


def read(key):
    return (int(key),)


def load(folder=None, sizes=(3,), fields=("val", "test", "")):
    return tables.load(NAME, None if folder is None else str(folder), sizes, fields, read)


def test_a_table_is_arrays_with_ranks_that_equals_share(folder):
    table = load(folder)
    assert table.shown.tolist() == [50.0, 55.5, 1.0] and table.test.tolist() == [65.0, 71.0, 71.0]
    assert table.rank.tolist() == [3, 1, 1]
    assert tables.Table(table.shown, table.test, table.rank, (3, 4, 5)).place((1, 2, 3)) == 1 * 20 + 2 * 5 + 3
    with pytest.raises(ValueError, match="read-only"):
        table.test[0] = 100


def test_the_second_process_reads_arrays_instead_of_json(folder, cache, monkeypatch):
    first = load(folder)
    assert len(list(cache.rglob("*.npz"))) == 1
    tables.load.cache_clear()
    monkeypatch.setattr(tables, "_columns", None)  # it would fail
    second = load(folder)
    for column in ("shown", "test", "rank"):
        assert (getattr(first, column) == getattr(second, column)).all()


def test_a_broken_cache_is_made_again(folder, cache):
    load(folder)
    next(cache.rglob("*.npz")).write_bytes(b"PK\x03\x04 cut")
    tables.load.cache_clear()
    assert load(folder).test.tolist() == [65.0, 71.0, 71.0]


def test_ranks_of_the_table_are_kept(tmp_path, monkeypatch):
    entries = {key: {**entry, "rank": rank} for (key, entry), rank in zip(ENTRIES.items(), (3, 2, 1), strict=True)}
    folder = publish(tmp_path / "ranked", entries, monkeypatch)
    assert load(folder, fields=("val", "test", "rank")).rank.tolist() == [3, 2, 1]


def test_the_environment_names_a_folder(folder, monkeypatch):
    monkeypatch.setenv("NASMITH_DATA", str(folder))
    assert tables.fetched(NAME) == folder / NAME


def test_a_file_that_is_not_there_or_not_the_right_one_is_said_with_where_to_get_it(folder, tmp_path):
    with pytest.raises(UsageError, match=rf"{NAME} cannot be read: No such file.*Put {NAME} .SHA-256 [0-9a-f]{{64}}. there"):
        tables.fetched(NAME, str(tmp_path))
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(whole[:-5])
    with pytest.raises(UsageError, match=r"is not the table that it should be: its SHA-256 is another. It may be cut"):
        load(folder)


@pytest.mark.parametrize(
    "entries, reason",
    [
        ({key: value for key, value in ENTRIES.items() if key != "1"}, "1 of 3 designs are missing"),
        ({**ENTRIES, "1": {"val": 3}}, "entry '1' cannot be read: 'test'"),
        ({**ENTRIES, "x": ENTRIES["0"]}, "entry 'x' cannot be read"),
    ],
)
def test_a_table_that_lacks_something_is_refused(tmp_path, monkeypatch, entries, reason):
    with pytest.raises(ConfigError, match=reason):
        load(publish(tmp_path / "bad", entries, monkeypatch))


@pytest.fixture
def server(folder, monkeypatch):
    """Serves the folder in the place of the published one."""

    class Quiet(SimpleHTTPRequestHandler):
        cut = False

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

        def copyfile(self, source, outputfile):
            content = source.read()
            outputfile.write(content[: len(content) // 2] if Quiet.cut else content)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setattr(tables, "_SOURCE", f"http://127.0.0.1:{http.server_port}/")
    for name in list(os.environ):
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    yield Quiet
    http.shutdown()
    http.server_close()


def test_a_table_is_downloaded_once_and_checked(server, folder, cache):
    path = tables.fetched(NAME)
    assert path.is_relative_to(cache) and path.read_bytes() == (folder / NAME).read_bytes()
    (folder / NAME).unlink()
    assert tables.fetched(NAME) == path


def test_a_cut_download_leaves_nothing_and_says_what_to_do(server, cache):
    server.cut = True
    with pytest.raises(UsageError, match=r"cannot be fetched: .*--data DIR, or the environment variable NASMITH_DATA"):
        tables.fetched(NAME)
    assert not [path for path in cache.rglob("*") if path.is_file()]
    server.cut = False
    assert tables.fetched(NAME).is_file()


def test_a_dead_link_says_which_file_to_put_where(server, folder):
    (folder / NAME).unlink()
    with pytest.raises(UsageError, match=r"the table .* cannot be fetched: 404.*SHA-256 [0-9a-f]{64}.*put it into a folder"):
        tables.fetched(NAME)


def test_a_download_with_another_content_is_refused(server, folder, cache):
    (folder / NAME).write_bytes(b"{}")
    with pytest.raises(UsageError, match="cannot be fetched: SHA256 hash of downloaded file"):
        tables.fetched(NAME)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_numbers_and_means(folder):
    assert np.isclose(load(folder).test[0], 65.0)
