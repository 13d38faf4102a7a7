"""Runs attacks under one sandbox level and prints what came of each as JSON.

    python tests/attack_runner.py LEVEL FOLDER [--deny] [--workshop] [NAME ...]

`--workshop` gives every attack a folder of its own to write in, and lets it start processes.
`--deny` first puts this process, and so all that it starts, under a filter that refuses what Docker's default profile refuses
to a container without extra rights: namespaces, mounts, and the calls that reach deep into the kernel.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from executor_workloads import Python

from attacks import ATTACKS, CALLS, Scene
from nasmith.executors.processes import Processes
from nasmith.executors.sandbox import kernel, seccomp
from nasmith.types import Job

_DENIED = {
    "x86_64": (
        *(155, 161, 165, 166, 169, 175, 246, 248, 249, 250, 272, 298, 303, 304, 308),
        *(310, 311, 321, 323, 425, 426, 427, 429, 435),
    ),
    "aarch64": (
        *(39, 40, 41, 51, 97, 104, 105, 142, 217, 218, 219, 241, 264, 265, 268),
        *(270, 271, 280, 282, 425, 426, 427, 429, 435),
    ),
}
_CLONE_NEW = 0x7E020080
_CLONE3 = 435


class Holding(Python):
    """Has something to hide."""

    hidden_modules = ("mnist1d",)


class Working(Holding):
    """Lets programs write, and start processes, in a folder of their own."""

    workshop = True


def deny_as_docker_does() -> None:
    """Refuse unshare, mounts, clone with namespaces, process_vm_*, bpf, perf, userfaultfd, keyrings, io_uring and the like."""
    machine = platform.machine()
    instruction = lambda code, value, true=0, false=0: struct.pack("<HBBI", code, true, false, value)  # noqa: E731
    refuse, allow = instruction(0x06, 0x00050000 | errno.EPERM), instruction(0x06, 0x7FFF0000)
    program = [instruction(0x20, 0)]
    for number in _DENIED[machine]:
        error = errno.ENOSYS if number == _CLONE3 else errno.EPERM
        program += [instruction(0x15, number, 0, 1), instruction(0x06, 0x00050000 | error)]
    clone = kernel.machine()[1]["clone"]
    program += [
        instruction(0x15, clone, 0, 4),
        instruction(0x20, 16),
        instruction(0x54, _CLONE_NEW),
        instruction(0x15, 0, 1, 0),
    ]
    program += [refuse, allow]
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(b"".join(program))


def run(executor: Processes, text: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=sys.argv[2]) as folder:
        scene = Scene(Path(folder), os.environ["NASMITH_TEST_SECRET"])
        try:
            outcome = executor.submit(Job(1, text.format(**scene.names(), **CALLS[platform.machine()]), 0)).result(timeout=120)
            time.sleep(0.6 if "orphan" in text else 0.0)
            left = scene.left_over()
            harmed = scene.harmed() + (["it got what it wanted"] if outcome.facts.get("harm") else [])
        finally:
            scene.close()
    return {"status": str(outcome.status), "message": outcome.message, "harmed": harmed, "left": left}


def main() -> None:
    level, _, *names = sys.argv[1:]
    if "--deny" in names:
        names.remove("--deny")
        deny_as_docker_does()
    workload = Working() if "--workshop" in names else Holding()
    names = [name for name in names if name != "--workshop"]
    limits = {"memory_mb": 4000, "output_mb": 1000, "threads": 20} if level == "off" else {"memory_mb": 500, "output_mb": 5}
    executor = Processes(workers=1, sandbox=level, timeout_seconds=20, **limits)
    executor.start(workload, lambda: {"train": {}, "test": {"x": np.ones(5)}})
    try:
        results = {name: run(executor, ATTACKS[name]) for name in names or ATTACKS}
        layers = executor.layers
    finally:
        executor.close()
    sys.stdout.write(json.dumps({"layers": layers, "results": results}))


if __name__ == "__main__":
    main()
