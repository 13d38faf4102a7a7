from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from executor_workloads import ExitsWhileWarming, HasThreadsOfItsOwn, Python, StartsAThread, WarmsUpBadly, holds

from nasmith.errors import ConfigError, NasmithError, SandboxError, UnknownNameError, UsageError
from nasmith.executors.processes import Processes
from nasmith.executors.wire import send
from nasmith.testing import ExecutorContract
from nasmith.types import Job, Outcome, Status

_WAIT = 60


class TestContract(ExecutorContract):
    def make(self) -> Processes:
        return Processes(workers=2, timeout_seconds=20, memory_mb=500, output_mb=1)


# The programs below show what the processes around a candidate hold when no sandbox does; they need files to say what they did.


@pytest.fixture(scope="module")
def shared() -> Iterator[Processes]:
    """For tests that leave the executor as it was."""
    executor = Processes(workers=2, sandbox="off", timeout_seconds=20, memory_mb=300, output_mb=5)
    executor.start(Python())
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Processes]:
    executor = Processes(workers=1, sandbox="off", timeout_seconds=3, memory_mb=300, output_mb=5)
    executor.start(Python())
    yield executor
    executor.close()


@pytest.fixture
def executor() -> Iterator[Processes]:
    executor = Processes(workers=2, sandbox="off", timeout_seconds=20, memory_mb=300, output_mb=5)
    executor.start(Python())
    yield executor
    executor.close()


def run(executor: Processes, text: str) -> Outcome:
    return executor.submit(Job(1, text, 0)).result(timeout=_WAIT)


def processes_below() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def zygote_of(executor: Processes) -> psutil.Process:
    assert executor._zygote is not None
    return psutil.Process(executor._zygote._process.pid)


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("import os; os._exit(1)", Status.KILLED, "exited with code 1 without a result"),
        ("import os; os._exit(0)", Status.KILLED, "exited with code 0 without a result"),
        ("import ctypes; ctypes.string_at(0)", Status.KILLED, "ended by signal SIGSEGV"),
        ("import os; os.abort()", Status.KILLED, "ended by signal SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", Status.KILLED, "ended by signal SIGKILL"),
        ("print('reason', flush=True)\nimport os; os._exit(4)", Status.KILLED, "without a result\n  reason"),
        ("raise KeyboardInterrupt", Status.FAILED, "KeyboardInterrupt"),
        ("class Stop(BaseException): pass\nraise Stop", Status.FAILED, "Stop"),
        ("import os; os.closerange(0, 256)", Status.KILLED, "without a result"),
        ("kept = []\nwhile True: kept.append(np.ones(5_000_000))", Status.OOM, "memory"),
        ("import os\nwhile True: os.write(3, b'x' * 100_000)", Status.INVALID, "wrote more than the 5 MB"),
        ("while True: print('x' * 100_000)", Status.INVALID, "printed more than the 5 MB"),
        ("import os\nos.write(3, b'nonsense')", Status.INVALID, "is not a result"),
        ("import os\nos.write(3, b'nonsense'); os._exit(0)", Status.INVALID, "the result is not complete"),
    ],
)
def test_the_status_says_what_happened(shared: Processes, text: str, status: Status, message: str) -> None:
    outcome = run(shared, text)
    assert (outcome.status, dict(outcome.arrays)) == (status, {})
    assert message in outcome.message


@pytest.mark.parametrize(
    "text",
    [
        "while True: pass",
        "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(1000)",
        "import os\nos.close(3)\nwhile True: pass",
    ],
)
def test_a_program_without_end_is_stopped_at_the_time_limit(hasty: Processes, text: str) -> None:
    outcome = run(hasty, text)
    assert (outcome.status, outcome.message) == (Status.TIMEOUT, "took longer than 3 s")
    assert outcome.seconds >= 3


def test_garbage_on_every_descriptor_is_invalid(shared: Processes) -> None:
    text = "import os\nfor fd in range(256):\n  try: os.write(fd, b'garbage' * 9)\n  except OSError: pass"
    assert run(shared, text).status is Status.INVALID


def test_what_a_candidate_prints_goes_nowhere(shared: Processes, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(shared, "import sys\nprint('x' * 4_000_000)\nsys.stderr.write('y' * 1000)").status is Status.OK
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ending", ["pass", "os._exit(0)", "raise ValueError", "time.sleep(1000)"])
def test_daemons_do_not_outlive_their_candidate(hasty: Processes, tmp_path: Path, ending: str) -> None:
    note = tmp_path / "pids"
    text = f"""
import os, subprocess, time
direct = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(note)!r}, "w").write(f"{{direct}} {{os.getpid()}}")
        time.sleep(1000)
    os._exit(0)
while not os.path.exists({str(note)!r}) or not open({str(note)!r}).read():
    time.sleep(0.01)
{ending}
"""
    run(hasty, text)
    pids = [int(pid) for pid in note.read_text().split()]
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_memory_is_counted_over_all_processes_of_a_candidate(shared: Processes) -> None:
    text = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        kept = np.ones(15_000_000)  # 120 MB each
        time.sleep(1000)
os.wait()
"""
    assert run(shared, text).status is Status.OOM


def test_a_job_that_was_cancelled_while_queued_never_runs(tmp_path: Path) -> None:
    executor = Processes(workers=1, sandbox="off", timeout_seconds=20)
    executor.start(Python())
    go, ran = tmp_path / "go", tmp_path / "ran"
    first = executor.submit(Job(1, f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)", 0))
    second = executor.submit(Job(2, f"open({str(ran)!r}, 'w')", 0))
    assert second.cancel()
    go.touch()
    assert first.result(timeout=_WAIT).status is Status.OK
    executor.close(wait=True)
    assert not ran.exists()


def test_close_ends_what_runs_and_cancels_what_waits(tmp_path: Path) -> None:
    before = processes_below()
    executor = Processes(workers=1, sandbox="off", timeout_seconds=60)
    executor.start(Python())
    note = tmp_path / "fifo"
    os.mkfifo(note)
    running = executor.submit(Job(1, f"import time\nopen({str(note)!r}, 'w').close()\ntime.sleep(1000)", 0))
    waiting = executor.submit(Job(2, "", 0))
    note.open().close()  # returns once the program has begun
    executor.close()
    assert processes_below() <= before
    assert running.result(timeout=0).status is Status.ERROR
    assert waiting.cancelled()


def test_close_with_wait_lets_what_runs_end(tmp_path: Path) -> None:
    before = processes_below()
    executor = Processes(workers=1, sandbox="off", timeout_seconds=60)
    executor.start(Python())
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    running = executor.submit(Job(1, f"open({str(begun)!r}, 'w').close()\nopen({str(go)!r}).read()\nfacts['end'] = 1", 0))
    begun.open().close()
    closing = threading.Thread(target=executor.close, kwargs={"wait": True})
    closing.start()
    go.open("w").close()
    closing.join(_WAIT)
    assert running.result(timeout=0).facts["end"] == 1
    assert processes_below() <= before


def test_close_while_warming_up_leaves_nothing() -> None:
    before = processes_below()
    executor = Processes(workers=1)
    executor.start(Python())
    executor.close()
    assert processes_below() <= before


def test_start_does_not_wait_and_start_twice_is_refused(shared: Processes) -> None:
    with pytest.raises(RuntimeError, match="once"):
        shared.start(Python())


@pytest.mark.parametrize("ended", ["zygote", "supervisor"])
def test_a_job_survives_the_death_of_the_processes_around_it(executor: Processes, tmp_path: Path, ended: str) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    text = f"import os\nopen({str(begun)!r}, 'w').write(str(os.getppid()))\nopen({str(go)!r}).read()\nfacts['end'] = 1"
    job = executor.submit(Job(1, text, 0))
    supervisor = int(begun.read_text())
    os.kill(supervisor if ended == "supervisor" else zygote_of(executor).pid, signal.SIGKILL)
    if ended == "supervisor":
        begun.read_text()  # the second attempt has begun
    go.open("w").close()
    assert job.result(timeout=_WAIT).facts["end"] == 1
    assert run(executor, "facts['again'] = 1").facts["again"] == 1


def test_a_job_whose_supervisor_always_dies_is_an_error_of_ours(shared: Processes) -> None:
    outcome = run(shared, "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(1000)")
    assert outcome.status is Status.ERROR
    assert "twice" in outcome.message


def test_why_a_supervisor_cannot_begin_is_said(executor: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def hand_over(self, talk: socket.socket) -> None:
            send(talk, {"cause": "error", "message": "OSError: no namespaces are left"})

    monkeypatch.setattr(executor, "_warm", Refuses)
    outcome = run(executor, "")
    assert outcome.status is Status.ERROR
    assert outcome.message.endswith("twice: OSError: no namespaces are left")


def test_a_zygote_that_dies_between_jobs_is_replaced_every_time(executor: Processes) -> None:
    for _ in range(5):
        assert run(executor, "").status is Status.OK
        zygote = zygote_of(executor)
        zygote.kill()
        psutil.wait_procs([zygote], timeout=_WAIT)


def test_a_supervisor_that_was_stopped_is_ended_with_its_candidate(hasty: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasmith.executors.processes._GRACE_SECONDS", 0.5)
    zygote = zygote_of(hasty)
    assert run(hasty, "import os, time\nos.kill(os.getppid(), 19)\ntime.sleep(1000)").status is Status.ERROR
    _, alive = psutil.wait_procs(zygote.children(recursive=True), timeout=_WAIT)
    assert alive == []
    assert run(hasty, "").status is Status.OK
    assert zygote_of(hasty) == zygote


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (WarmsUpBadly(), "LookupError: the table of data is not there"),
        (ExitsWhileWarming(), "exit code 7; it printed:\nno room for the table"),
    ],
)
def test_a_workload_that_cannot_warm_up_fails_every_job_with_the_reason(workload: Python, message: str) -> None:
    before = processes_below()
    executor = Processes(workers=2)
    executor.start(workload)
    futures = [executor.submit(Job(i, "", 0)) for i in range(3)]
    for future in futures:
        with pytest.raises(NasmithError, match=message):
            future.result(timeout=_WAIT)
    executor.close()
    assert processes_below() <= before


_STARTS = """
import threading
stop = threading.Event()
started = []
for _ in range({count}):
    started.append(threading.Thread(target=stop.wait, daemon=True))
    started[-1].start()
facts['threads'] = threading.active_count()
stop.set()
"""


def test_a_workload_may_need_threads_that_a_candidate_is_not_allowed() -> None:
    if not holds():
        pytest.skip("the sandbox cannot hold here")
    executor = Processes(workers=1, timeout_seconds=20)
    executor.start(HasThreadsOfItsOwn())
    few, many = (run(executor, _STARTS.format(count=count)) for count in (5, 200))
    executor.close()
    assert few.facts["threads"] == 6
    assert many.status in {Status.FAILED, Status.KILLED}  # bounded all the same


@pytest.mark.filterwarnings("ignore:the task's workload runs 2 threads:RuntimeWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_workload_that_starts_threads_is_warmed_in_every_candidates_own_process(threads: int) -> None:
    if not holds():
        pytest.skip("the sandbox cannot hold here")
    executor = Processes(workers=1, threads=threads, timeout_seconds=20)
    executor.start(StartsAThread())
    outcomes = [run(executor, "import threading\nfacts['threads'] = threading.active_count()") for _ in range(2)]
    executor.close()
    if threads == 1:  # which forbids them
        assert {outcome.status for outcome in outcomes} == {Status.ERROR}
        assert "can't start new thread" in outcomes[0].message
    else:
        assert [outcome.facts["threads"] for outcome in outcomes] == [2, 2]


def test_less_memory_than_the_libraries_take_is_refused_with_both_figures() -> None:
    executor = Processes(workers=1, memory_mb=5)
    executor.start(Python())
    with pytest.raises(NasmithError, match=r"memory_mb is 5, but .* alone take \d+ MB"):
        run(executor, "")
    executor.close()


_OWNER = """
import json, sys, psutil
sys.path.insert(0, {tests!r})
from executor_workloads import Python
from nasmith.executors.processes import Processes
from nasmith.types import Job

if __name__ == "__main__":
    executor = Processes(workers=1, sandbox="off", timeout_seconds=600)
    executor.start(Python())
    executor.submit(Job(1, "", 0)).result()
    text = "import os, time\\nif os.fork() == 0: os.setsid()\\nopen({fifo!r}, 'w').close()\\ntime.sleep(1000)"
    executor.submit(Job(1, text, 0))
    open({fifo!r}).close()
    print(json.dumps([child.pid for child in psutil.Process().children(recursive=True)]), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["killed", "exits without close"])
def test_nothing_outlives_the_process_that_owns_the_executor(tmp_path: Path, end: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = _OWNER.format(tests=str(Path(__file__).parent), fifo=str(fifo))
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None and owner.stdin is not None
        processes = [psutil.Process(pid) for pid in json.loads(owner.stdout.readline())]
        assert len(processes) >= 3  # zygote, supervisor, candidate
        if end == "killed":
            owner.kill()
    _, alive = psutil.wait_procs(processes, timeout=_WAIT)
    assert alive == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be a whole number above 0, not 0"),
        ({"workers": True}, "workers"),
        ({"threads": 1.5}, "threads must be a whole number above 0, not 1.5"),
        ({"timeout_seconds": 0}, "timeout_seconds must be a number above 0, not 0"),
        ({"memory_mb": float("inf")}, "memory_mb must be a number above 0, not inf"),
        ({"output_mb": "1"}, "output_mb must be a number above 0, not '1'"),
    ],
)
def test_options_that_break_a_rule_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Processes(**options)  # type: ignore[arg-type]


def test_on_windows_it_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="WSL"):
        Processes()


def test_an_unknown_sandbox_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown sandbox 'stric'. Did you mean 'strict'\? Valid: bwrap, namespaces, off"
    ):
        Processes(sandbox="stric")


def test_it_is_refused_in_words_where_there_are_no_unix_modules() -> None:
    code = (
        "import sys\nimport psutil, tempfile, subprocess, nasmith.errors, nasmith.executors.wire\nsys.platform = 'win32'\n"
        "sys.modules['fcntl'] = sys.modules['resource'] = None\n"
        "from nasmith.executors.processes import Processes\n"
        "try: Processes()\nexcept nasmith.errors.ConfigError as error: print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "run nasmith under WSL 2" in printed


def test_on_macos_it_says_what_is_held_and_takes_off_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match=r"only time and resident memory .* with your rights: pass --sandbox off"):
        Processes()
    assert Processes(sandbox="off").layers == []


def test_a_sandbox_that_does_not_hold_runs_nothing_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no bubblewrap there
    executor = Processes(workers=1, sandbox="bwrap")
    with pytest.raises(SandboxError, match=r"bwrap is not installed .* Nothing was run. .*`--sandbox strict` does not need it"):
        executor.start(Python())
    executor.close()


@pytest.mark.parametrize(
    ("limits", "text", "status", "words"),
    [
        ({"cpu_seconds": 1}, "while True: pass", Status.TIMEOUT, "used more than 1 s of processor time"),
        ({"cpu_seconds": 1}, "import signal\nsignal.signal(24, signal.SIG_IGN)\nwhile True: pass", Status.TIMEOUT, "processor"),
        ({"cpu_seconds": 1}, "import os\nos.kill(os.getpid(), 9)", Status.KILLED, "ended by signal SIGKILL"),
    ],
)
def test_processor_time_is_limited_and_told_from_a_kill(limits: dict[str, int], text: str, status: Status, words: str) -> None:
    executor = Processes(workers=1, sandbox="off", timeout_seconds=60, **limits)  # type: ignore[arg-type]
    executor.start(Python())
    outcome = run(executor, text)
    executor.close()
    assert outcome.status is status
    assert words in outcome.message


def test_it_takes_as_many_workers_as_there_are_processors_to_use() -> None:
    assert Processes().slots == len(os.sched_getaffinity(0))


def test_trainings_that_go_on_after_a_crash_are_refused() -> None:
    class Long(Python):
        def fit_in(self, text, seed, data, folder):
            return {}, {}

    with pytest.raises(UsageError, match="use --executor inline"):
        Processes(1).start(Long())
