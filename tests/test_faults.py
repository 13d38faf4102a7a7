"""Breaks what a run stands on while it runs: the database is locked, the disk full, the file cut off, the machine gone."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager

import pytest

import nasmith
from nasmith.api import open_storage
from nasmith.errors import StorageError
from nasmith.events import Evaluated, Replied
from nasmith.storage.sql import Sql
from nasmith.testing import ToyLM
from toy_runs import records, toy_search


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    storage = tmp_path_factory.mktemp("undisturbed") / "runs.sqlite3"
    toy_search(storage)
    return records(storage)


def calls(log):
    return len(log.read_text().splitlines())


@pytest.mark.parametrize("moment", [Replied, Evaluated])
def test_a_database_that_another_program_locks_stops_the_run_and_loses_nothing(undisturbed, tmp_path, moment):
    storage, log = tmp_path / "runs.sqlite3", tmp_path / "calls"
    other = sqlite3.connect(storage, isolation_level=None)

    def lock(event):
        if isinstance(event, moment) and not other.in_transaction and len(open_storage(storage).candidates("run")) > 10:
            other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match=r"runs\.sqlite3 is locked by another program"):
        toy_search(Sql(storage, timeout_seconds=0.1), lm=ToyLM(log=str(log)), observers=[lock])
    other.close()
    assert nasmith.resume("run", storage).run.finished
    assert records(storage) == undisturbed
    assert calls(log) == 9 + 2


@contextmanager
def small_disk(folder, kilobytes):
    """A disk of its own, so small that it fills up."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root can mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_stops_the_run_and_the_run_goes_on_once_there_is_room(undisturbed, tmp_path):
    log = tmp_path / "calls"
    with small_disk(tmp_path / "disk", 4000) as disk:
        storage, filler = disk / "runs.sqlite3", disk / "filler"

        def fill(event):
            if isinstance(event, Evaluated) and event.candidate.id == 12:
                with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
                    while True:
                        file.write(bytes(4096))

        with pytest.raises(StorageError, match=r"disk full: .*runs.sqlite3.*then resume the run"):
            toy_search(storage, lm=ToyLM(log=str(log)), observers=[fill])
        filler.unlink()
        assert nasmith.resume("run", storage).run.finished
        assert records(storage) == undisturbed
        assert calls(log) == 9 + 2


def test_a_file_that_was_cut_off_is_named_with_a_way_to_save_the_rest_and_stays_as_it_is(tmp_path):
    storage = tmp_path / "runs.sqlite3"
    toy_search(Sql(storage)).storage.close()
    assert not storage.with_name("runs.sqlite3-wal").exists()
    storage.write_bytes(storage.read_bytes()[: storage.stat().st_size // 2])
    before = storage.read_bytes()
    for act in (lambda: nasmith.resume("run", storage), lambda: toy_search(storage, name="new")):
        with pytest.raises(StorageError, match=rf"{storage} is not a database, or is damaged; nothing was written.*\.recover"):
            act()
    assert storage.read_bytes() == before


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs the program sqlite3")
def test_the_advice_for_a_damaged_file_saves_what_can_be_read(tmp_path):
    storage = tmp_path / "runs.sqlite3"
    toy_search(Sql(storage)).storage.close()
    whole = open_storage(storage, read_only=True).candidates("run")
    data = bytearray(storage.read_bytes())
    data[-4096:] = b"\xff" * 4096  # one page of many
    storage.write_bytes(data)
    copy = f"{storage}.recovered"
    recover = subprocess.run(f"sqlite3 '{storage}' .recover | sqlite3 '{copy}'", shell=True, capture_output=True, text=True)
    if "unknown command" in recover.stderr or "sql error: SQL logic error" in recover.stderr:
        pytest.skip("this sqlite3 has no .recover that works, as Debian 12's")
    assert len(open_storage(copy, read_only=True).candidates("run")) >= len(whole) // 2


_COPIES_ITSELF = """
import itertools, shutil, sys
from pathlib import Path
from nasmith.storage.sql import Sql
from nasmith.types import Candidate, Completion, Run
path, there = Path(sys.argv[1]), Path(sys.argv[2])
storage = Sql(path)
storage.add_run(Run("otter", {}, "0.1.0", {}, ""))
for number in range(1, 41):
    storage.add_completions("otter", number, 0, [Completion("p", "x" * 3000, "m", 1, 1)] * 4)
    if number in (1, 20, 40):  # the files as a machine that lost its power here would have them
        for file in path.parent.glob("x.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, there / f"{number}{file.name[4:] or '.db'}")
        print(number, flush=True)
sys.stdin.read()
"""


def test_a_log_that_a_crash_left_behind_holds_every_record_that_was_acknowledged(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    command = [sys.executable, "-c", _COPIES_ITSELF, tmp_path / "x.db", there]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        acknowledged = [int(next(child.stdout)) for _ in range(3)]
        child.send_signal(signal.SIGKILL)
    for number in acknowledged:
        folder = tmp_path / str(number)
        folder.mkdir()
        (there / f"{number}.db").rename(folder / "x.db")
        (there / f"{number}-wal").rename(folder / "x.db-wal")
        assert (folder / "x.db-wal").stat().st_size > 0
        storage = Sql(folder / "x.db")
        assert set(storage.completions("otter")) == {(step, index) for step in range(1, number + 1) for index in range(4)}
        storage.close()


def test_a_file_that_becomes_read_only_stops_the_run_before_anything_is_trained(tmp_path):
    storage = tmp_path / "runs.sqlite3"
    toy_search(Sql(storage)).storage.close()
    with pytest.raises(StorageError, match=r"read-only.*nothing was written"):
        toy_search(Sql(f"sqlite:///file:{storage}?mode=ro&uri=true", folder=tmp_path / "folder"), name="new")
    assert [run.name for run in open_storage(storage).runs()] == ["run"]
