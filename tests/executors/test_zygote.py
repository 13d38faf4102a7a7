from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from executor_workloads import Python, StartsAThread

from nasmith.executors.order import Order
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.wire import receive, send, unpack_outcome
from nasmith.types import Job, Status

_LIMITS = Limits(timeout_seconds=60, memory_bytes=500_000_000, output_bytes=1_000_000, threads=1)


@contextmanager
def zygote(workload: Python) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    here, there = socket.socketpair()
    command = [sys.executable, "-m", "nasmith.executors.zygote", str(there.fileno())]
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # NumPy would start threads
    with subprocess.Popen(command, pass_fds=[there.fileno()], env=env) as process, here:  # `here` is closed first
        there.close()
        path = [str(Path(__file__).parent), *sys.path]
        send(
            here,
            {
                "path": path,
                "main": "",
                "sandbox": "off",
                "hidden": [],
                "gpu": False,
                "readable": [],
                "workshop": False,
                "fresh": False,
            },
            pickle.dumps(workload),
        )
        yield here, process


def ask(control: socket.socket, text: str) -> socket.socket:
    """Hand a job over and return the socket that its answer will come through."""
    mine, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(control, [b"j"], [theirs.fileno()])
    assert receive(mine, 0)[0]["pid"] > 0
    Order.send(mine, Job(1, text, 0), _LIMITS, {})
    return mine


def test_it_serves_several_jobs_at_once() -> None:
    with zygote(Python()) as (control, _):
        assert receive(control, 0)[0]["ready"] is True
        talks = [ask(control, f"facts['n'] = {n}") for n in range(4)]
        for n, talk in enumerate(talks):
            with talk:
                verdict, result = receive(talk, 10**6)
                Order.send(talk, Job(2, "facts['more'] = 1", 0), _LIMITS, {})
                assert receive(talk, 10**6)[0]["cause"] == "exit"  # the same supervisor serves another
            assert (verdict["cause"], verdict["code"]) == ("exit", 0)
            outcome = unpack_outcome(result, 10**6)
            assert (outcome.status, outcome.facts["n"]) == (Status.OK, n)


def test_a_candidate_finds_the_collector_of_garbage_switched_on() -> None:
    with zygote(Python()) as (control, _):
        receive(control, 0)
        with ask(control, "import gc\nfacts['on'] = gc.isenabled()") as talk:
            _, result = receive(talk, 10**6)
        assert unpack_outcome(result, 10**6).facts["on"]


def test_it_never_runs_a_job_with_threads_of_its_own() -> None:
    with zygote(StartsAThread()) as (control, _):
        answer = receive(control, 0)[0]
    assert answer == {"ready": False, "threads": 2}


def test_a_supervisor_ends_its_candidate_when_nobody_waits_any_more() -> None:
    with zygote(Python()) as (control, process):
        receive(control, 0)
        talk = ask(control, "import time\ntime.sleep(1000)")
        talk.shutdown(socket.SHUT_WR)
        with talk:
            assert talk.recv(1) == b""  # the supervisor is gone, without an answer
        _, alive = psutil.wait_procs(psutil.Process(process.pid).children(recursive=True), timeout=60)
        assert alive == []


def test_it_ends_with_all_below_it_when_its_sockets_end() -> None:
    with zygote(Python()) as (control, process):
        receive(control, 0)
        with ask(control, "import os, time\nif os.fork() == 0: os.setsid()\ntime.sleep(1000)"):
            pass
        below = psutil.Process(process.pid).children(recursive=True)
        control.close()
        assert process.wait(60) == 0
        _, alive = psutil.wait_procs(below, timeout=60)
        assert alive == []
