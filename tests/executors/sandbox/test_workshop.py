from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from apart import needs_linux, run
from executor_workloads import Python, holds

from nasmith.executors.launch import try_sandbox
from nasmith.executors.processes import Processes
from nasmith.executors.sandbox.policy import Level
from nasmith.executors.sandbox.workshop import clear, make, oversized
from nasmith.types import Job, Outcome, Status

pytestmark = needs_linux

_FINE = "facts['n'] = 1"
_MANY = """
import subprocess, sys
code = "import time; kept = bytearray(b'x' * 150_000_000); time.sleep(30)"
started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(5)]
[process.wait() for process in started]
"""


def test_a_folder_is_empty_whatever_was_there_and_its_owners_alone(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "old").write_text("old")
    folder = make(tmp_path, None)
    assert folder.is_dir() and list(folder.iterdir()) == [] and folder.stat().st_mode & 0o777 == 0o700


def test_what_a_job_left_is_removed_links_and_closed_folders_too(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    place = tmp_path / "place"
    place.mkdir()
    folder = make(place, None)
    (folder / "link").symlink_to(outside)
    deep = folder
    for _ in range(40):
        deep = deep / "d"
        deep.mkdir()
    (deep / "file").write_text("x")
    (folder / "closed").mkdir()
    (folder / "closed" / "file").write_text("x")
    (folder / "closed").chmod(0)
    clear(place)
    assert list(place.iterdir()) == [] and (outside / "kept").read_text() == "kept"


def test_a_folder_that_holds_too_much_is_noticed(tmp_path):
    assert not oversized(tmp_path, 1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 20_000)
    assert oversized(tmp_path, 10_000) and not oversized(tmp_path, 100_000)


# Jobs with a folder of their own, at every level that this machine can hold.


class Workshop(Python):
    """Programs may write in their own folder, and read one."""

    workshop = True

    def __init__(self, readable: str) -> None:
        self.readable = (readable,)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    (folder / "data").write_text("42")
    return folder


@pytest.fixture(scope="module", params=["strict", "bwrap", "off"])
def executor(request: pytest.FixtureRequest, shown: Path) -> Iterator[Processes]:
    level = request.param
    if level != "off" and not try_sandbox(Level(level)).holds:
        pytest.skip(f"this machine cannot hold a sandbox of the level {level}")
    executor = Processes(workers=1, sandbox=level, timeout_seconds=20, memory_mb=400, output_mb=8)
    executor.start(Workshop(str(shown)))
    yield executor
    executor.close()


def done(executor: Processes, text: str, **names: object) -> Outcome:
    return executor.submit(Job(1, text.format(**names), 0)).result(timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        "from pathlib import Path\nPath('a').write_text('1'); facts['n'] = len(list(Path().iterdir()))",
        "import tempfile, os\nfacts['n'] = os.path.dirname(tempfile.mkdtemp()) == os.getcwd() == os.environ['TMPDIR']",
        "import shutil\nopen('a', 'w').close()\nshutil.copy2('a', 'b'); shutil.copytree('.', 'c'); shutil.rmtree('c')\n"
        + _FINE,
        "import subprocess, sys\nfacts['n'] = float(subprocess.check_output([sys.executable, '-c', 'import numpy; print(1)']))",
        "import subprocess\nfacts['n'] = float(subprocess.check_output('echo 1 | cat', shell=True))",
        "import subprocess\ntry: subprocess.run(['sleep', '60'], timeout=0.1)\nexcept subprocess.TimeoutExpired: " + _FINE,
        "from concurrent.futures import ThreadPoolExecutor as Pool\nwith Pool(4) as pool: facts['n'] = sum(pool.map(abs, [1]))",
        "import asyncio\nfacts['n'] = asyncio.run(asyncio.sleep(0, 1))",
        "import sqlite3\nwith sqlite3.connect('d') as d: facts['n'] = d.execute('create table t (a)').connection is d",
        "facts['n'] = len(open({data!r}).read()) - 1",
    ],
)
def test_a_job_can_work_in_its_folder_and_start_what_it_needs(executor: Processes, shown: Path, text: str) -> None:
    outcome = done(executor, text, data=str(shown / "data"))
    assert (outcome.status, outcome.facts.get("n")) == (Status.OK, 1), outcome.message


def test_processes_of_the_standard_library_work_where_the_folder_lies_in_memory(executor: Processes) -> None:
    if executor.sandbox != "off" and "namespaces" not in executor.layers:
        pytest.skip("semaphores lie in shared memory, which a job has only in namespaces of its own")
    text = "from concurrent.futures import ProcessPoolExecutor as P\nwith P(2) as pool: facts['n'] = sum(pool.map(abs, [1, 2]))"
    assert done(executor, text).facts.get("n") == 3


def test_nothing_of_a_job_is_there_for_the_next_one(executor: Processes) -> None:
    text = (
        "import os, subprocess, sys\nfrom pathlib import Path\nbefore = os.listdir('.')\nPath('left').write_text('x')\n"
        "subprocess.Popen(['sh', '-c', '(setsid sleep 300 &)']).wait()\nfacts['n'] = len(before)"
    )
    known = set(psutil.Process().children(recursive=True))
    for _ in range(2):
        assert done(executor, text).facts == {"screened": 1, "n": 0}
    assert not [p for p in set(psutil.Process().children(recursive=True)) - known if p.name() == "sleep"]


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (_MANY, Status.OOM, "memory"),
        ("import os, time\nfor i in range(100):\n  open(str(i), 'wb').write(b'x' * 1_000_000)\ntime.sleep(2)", None, ""),
        ("import os, time\nwhile True:\n  if not os.fork(): time.sleep(60)", None, ""),
        ("import subprocess\nsubprocess.run(['yes'])", Status.INVALID, "printed more than the 8 MB"),
        ("import signal, time\nsignal.alarm(1)\ntime.sleep(30)", Status.TIMEOUT, "gave itself"),
        ("import os\nos.fork()\nfacts['n'] = 1", Status.OK, ""),
    ],
)
def test_memory_files_processes_output_and_time_of_all_its_processes_are_held(
    executor: Processes, text: str, status: Status | None, words: str
) -> None:
    outcome = done(executor, text)
    assert outcome.status is status if status else outcome.status is not Status.OK
    assert words in outcome.message
    assert outcome.seconds < 15


@pytest.mark.parametrize(
    "text",
    [
        "open('/etc/passwd')",
        "open({other!r})",
        "open({other!r} + '.new', 'w')",
        "open({data!r}, 'w')",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import subprocess; subprocess.run(['cat', {other!r}], check=True)",
        "import os; os.kill({pid}, 0)",
        "open('/proc/{pid}/environ')",
    ],
)
def test_files_keys_network_and_processes_of_others_stay_out_of_reach(
    executor: Processes, shown: Path, tmp_path: Path, text: str
) -> None:
    if executor.sandbox == "off":
        pytest.skip("nothing is held there but time, memory and output")
    other = tmp_path / "other"
    other.write_text("precious")
    outcome = done(executor, text, other=str(other), data=str(shown / "data"), pid=os.getpid())
    assert outcome.status is Status.FAILED
    assert "Error" in outcome.message
    assert other.read_text() == "precious" and not (tmp_path / "other.new").exists() and (shown / "data").read_text() == "42"


def test_its_variables_are_few_and_none_is_a_secret(executor: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = done(executor, "import os\nraise ValueError(' '.join(os.environ))")
    assert "TMPDIR" in outcome.message and "PATH" in outcome.message
    assert "KEY" not in outcome.message and "TOKEN" not in outcome.message


def test_where_the_system_gives_no_namespaces_the_folder_lies_on_disk_and_is_removed(tmp_path: Path) -> None:
    code = """
import json, os, sys, tempfile
from pathlib import Path
from nasmith.executors.sandbox import namespaces
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.sandbox.policy import Level, Sandbox

tempfile.tempdir = sys.argv[1]
namespaces.available = lambda **options: False
sandbox = Sandbox(Level.STRICT, workshop=True)
limits = Limits(10, 1 << 30, 1 << 20, 1)
read, write = os.pipe()
if os.fork() == 0:
    sandbox.enter()
    folder = sandbox.open_folder(limits)
    (folder / "file").write_bytes(b"x" * (1 << 21))
    found = [str(folder), sandbox.overfull(limits)]
    sandbox.clear_folder()
    os.write(write, json.dumps([*found, folder.exists()]).encode())
    os._exit(0)
os.wait()
folder, overfull, left = json.loads(os.read(read, 10_000))
sandbox.close()
print(json.dumps([folder.startswith(sys.argv[1]), overfull, left, os.listdir(sys.argv[1])]))
"""
    if not holds():
        pytest.skip("this machine cannot hold a sandbox")
    assert run(code, tmp_path) == [True, True, False, []]
