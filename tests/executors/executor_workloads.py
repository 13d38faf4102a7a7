"""Workloads for the executors' tests: Python statements as programs, and workloads that cannot be warmed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

from nasmith.testing import PythonWorkload as Python


@cache
def holds(level: str = "strict") -> bool:
    """Whether this machine can hold a sandbox of this level; a process made for it tries."""
    code = (
        "import sys\nfrom nasmith.executors.sandbox.canary import try_out\n"
        "from nasmith.executors.sandbox.policy import Level, Sandbox\nsys.exit(bool(try_out(Sandbox(Level(sys.argv[1])))))"
    )
    return subprocess.run([sys.executable, "-c", code, level], capture_output=True, check=False).returncode == 0


class WarmsUpBadly(Python):
    def warm(self) -> None:
        raise LookupError("the table of data is not there")


class ExitsWhileWarming(Python):
    def warm(self) -> None:
        sys.stderr.write("no room for the table")
        sys.stderr.flush()
        os._exit(7)


class StartsAThread(Python):
    def warm(self) -> None:
        import threading

        threading.Thread(target=threading.Event().wait, daemon=True).start()


class HasThreadsOfItsOwn(Python):
    spare_threads = 6
