"""Kills every process of a run at random moments: the run ends with the truth, and leaves no process and no file."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import nasmith
from nasmith.events import Event, Replied
from nasmith.executors.processes import Processes
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Status
from toy_runs import SCRIPT, records, toy_search

ROOT = Path(__file__).parents[1]
FEW = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    storage = tmp_path_factory.mktemp("undisturbed") / "runs.sqlite3"
    toy_search(storage)
    return records(storage)


@settings(FEW, max_examples=6)
@given(moments=st.lists(st.integers(2, 110), min_size=1, max_size=3))
def test_the_main_process_may_be_killed_again_and_again(undisturbed, moments):
    with tempfile.TemporaryDirectory() as folder:
        storage, log = Path(folder) / "runs.sqlite3", Path(folder) / "calls"
        command = [sys.executable, "-c", SCRIPT, str(storage), str(log)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        codes = []
        for moment in [*moments, 0]:
            done = subprocess.run([*command, str(moment)], capture_output=True, text=True, env=environment)
            codes.append(done.returncode)
            if done.returncode == 0:  # there were fewer events than that
                break
        assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0], done.stderr
        assert records(storage) == undisturbed
        calls = [json.loads(line) for line in log.read_text().splitlines()]
        stored = {(call["kind"], call.get("seed"), call.get("round")) for call in calls}
        assert len(stored) == 9 + 2
        assert len(calls) - len(stored) <= 2 * len(moments)  # what was on its way: one answered, one taken up


def below(depth: int, besides: set[psutil.Process]) -> list[psutil.Process]:
    """Processes of the run at a depth below this one, the newest last: 1 the zygote, 2 supervisors, 3 candidates."""
    level = [psutil.Process()]
    for _ in range(depth):
        children = []
        for process in level:
            try:
                children += [child for child in process.children() if child not in besides]
            except psutil.NoSuchProcess:
                continue
        level = children
    return level


class Assassin(threading.Thread):
    """Kills one process at `depth` as soon as there is one, `delay` seconds after the start (candidates: after the seeds)."""

    def __init__(self, depth: int, delay: float, besides: set[psutil.Process]) -> None:
        super().__init__(daemon=True)
        self.depth, self.delay, self.besides = depth, delay, besides
        self.over, self.ready = threading.Event(), threading.Event()

    def __call__(self, event: Event) -> None:
        """Let the seeds live: all else depends on them."""
        if isinstance(event, Replied):
            self.ready.set()

    def run(self) -> None:
        while self.depth == 3 and not self.ready.wait(0.05) and not self.over.is_set():
            pass
        self.over.wait(self.delay)
        while not self.over.wait(0.002):
            for process in below(self.depth, self.besides)[-1:]:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
                return


def small_search(storage, observers=()):
    return nasmith.search(
        ToyTask(delay_seconds=0.1),
        ToyLM(broken=0.1, delay_seconds=0.02),
        EvoPrompting(rounds=1, prompts=3, samples=4),
        Processes(workers=2, timeout_seconds=60),
        storage,
        name="run",
        seed=3,
        verify=nasmith.Verification(best=0),
        observers=observers,
    )


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    storage = tmp_path_factory.mktemp("alone") / "runs.sqlite3"
    small_search(storage)
    return records(storage)


@settings(FEW, max_examples=5)
@given(depth=st.integers(1, 3), delay=st.floats(0, 1))
@example(depth=1, delay=0.0)
@example(depth=2, delay=0.3)
@example(depth=3, delay=0.3)
def test_a_workers_process_may_be_killed_at_any_moment(left_alone, depth, delay):
    before = set(psutil.Process().children(recursive=True))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        temporary = Path(folder) / "tmp"
        temporary.mkdir()
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        storage = Path(folder) / "runs.sqlite3"
        assassin = Assassin(depth, delay, before)
        assassin.start()
        try:
            result = small_search(storage, [assassin])
        finally:
            assassin.over.set()
            assassin.join()
        assert result.run.finished
        found = records(storage)
        assert list(temporary.iterdir()) == []
    assert found[0] == left_alone[0] and found[2] == left_alone[2]
    pairs = [(expected, one) for expected, one in zip(left_alone[1], found[1], strict=True) if expected != one]
    if depth == 3:  # a candidate that was killed cannot be told from one that killed itself
        assert len(pairs) <= 1
        assert all(one.status is Status.KILLED and not one.metrics and "SIGKILL" in one.message for _, one in pairs)
    else:
        assert pairs == []
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=10)
    assert alive == []


@pytest.mark.slow
def test_a_few_kills_of_the_real_command_change_nothing():
    command = [sys.executable, str(ROOT / "benchmarks" / "torture.py"), "--kills", "3", "--seed", "5"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills over" in done.stdout and "0 whose replies were stored" in done.stdout
