from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from nasmith.errors import RunBusyError, StorageError
from nasmith.storage.claims import FILE, claimed_file

_HOLDER = """
import os, subprocess, sys
from pathlib import Path
from nasmith.storage.claims import claimed_file
with claimed_file(Path(sys.argv[1]), "otter"):
    pids = [os.getpid()]
    if sys.argv[2] == "forks":
        pid = os.fork()
        if pid == 0:
            import time
            time.sleep(600)
        pids.append(pid)
    elif sys.argv[2] == "starts":
        pids.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False).pid)
    print(*pids, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path, also: str = "") -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Another process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", _HOLDER, str(folder), also]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        try:
            yield process, pids
        finally:
            for pid in pids[1:]:
                os.kill(pid, signal.SIGKILL)
            process.kill()


def test_the_second_is_told_who_has_the_run_since_when_and_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "otter"
    with holder(folder) as (process, _):
        with pytest.raises(RunBusyError) as caught, claimed_file(folder, "otter"):
            pass
        assert process.poll() is None
    message = str(caught.value)
    assert f"process {process.pid} on host {socket.gethostname()} (begun 2" in message
    assert "has worked on run 'otter' since 2" in message
    assert "nasmith resume otter" in message
    assert "delete" not in message


def test_a_lock_from_another_machine_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "otter"
    with claimed_file(folder, "otter"):
        known = json.loads((folder / FILE).read_text())
        (folder / FILE).write_text(json.dumps(known | {"host": "elsewhere"}))
        with pytest.raises(RunBusyError, match=rf"on host elsewhere .* look there.*delete {folder / FILE}"):
            claimed_file(folder, "otter").__enter__()


def test_two_threads_of_one_process_are_two(tmp_path: Path) -> None:
    with claimed_file(tmp_path / "otter", "otter"), pytest.raises(RunBusyError, match=f"process {os.getpid()} "):
        claimed_file(tmp_path / "otter", "otter").__enter__()


@pytest.mark.parametrize("also", ["", "forks", "starts"])
def test_a_killed_holder_leaves_no_lock_even_where_its_children_live_on(tmp_path: Path, also: str) -> None:
    folder = tmp_path / "otter"
    with holder(folder, also) as (process, _):
        process.kill()
        process.wait()
        assert (folder / FILE).is_file()  # left behind, and worth nothing
        with claimed_soon(folder):
            assert json.loads((folder / FILE).read_text())["pid"] == os.getpid()


def claimed_soon(folder: Path) -> AbstractContextManager[None]:
    """Return a claim that waits for a child of the dead holder which is just being forked, and lets go once it runs."""
    deadline = time.monotonic() + 20
    while True:
        claim = claimed_file(folder, "otter")
        try:
            claim.__enter__()
        except RunBusyError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            claim.__exit__(None, None, None)
            return claimed_file(folder, "otter")


def test_nothing_is_left_when_it_is_over(tmp_path: Path) -> None:
    with claimed_file(tmp_path / "otter", "otter"):
        assert (tmp_path / "otter" / FILE).is_file()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_that_unwinds_does_not_let_go(tmp_path: Path) -> None:
    folder = tmp_path / "otter"
    claim = claimed_file(folder, "otter")
    claim.__enter__()
    pid = os.fork()
    if pid == 0:
        try:
            claim.__exit__(None, None, None)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(RunBusyError):
        claimed_file(folder, "otter").__enter__()
    claim.__exit__(None, None, None)


def test_a_file_that_was_replaced_is_not_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nasmith.storage import claims

    folder, locked = tmp_path / "otter", []
    flock = claims.fcntl.flock

    def lose_the_first(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        locked.append(descriptor)
        if len(locked) == 1:
            (folder / FILE).unlink()  # whoever had it before let go between open and flock

    monkeypatch.setattr(claims.fcntl, "flock", lose_the_first)
    with claimed_file(folder, "otter"), pytest.raises(RunBusyError):
        claimed_file(folder, "otter").__enter__()
    assert len(locked) == 2


def test_a_disk_without_locks_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from nasmith.storage import claims

    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims.fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=r"No locks available.*choose another place"):
        claimed_file(tmp_path / "otter", "otter").__enter__()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the run's lock"):
        claimed_file(tmp_path / "file" / "otter", "otter").__enter__()
