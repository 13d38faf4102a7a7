"""Starts the zygote from the main process, talks to it, and ends it."""

from __future__ import annotations

import contextlib
import os
import pickle
import site
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import nasmith
from nasmith.errors import NasmithError
from nasmith.executors.wire import printable, receive, send
from nasmith.protocols import Workload

__all__ = ["Setup", "Zygote", "end_tree"]

# Exact names: a prefix such as PYTHON would let PYTHON_SECRET_TOKEN through.
_KEPT_VARIABLES = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "DYLD_LIBRARY_PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "LC_COLLATE",
        "LC_CTYPE",
        "LC_MESSAGES",
        "LC_MONETARY",
        "LC_NUMERIC",
        "LC_TIME",
        "LD_LIBRARY_PATH",
        "NASMITH_CACHE",
        "PATH",
        "PYTHONCOERCECLOCALE",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONFAULTHANDLER",
        "PYTHONHASHSEED",
        "PYTHONHOME",
        "PYTHONIOENCODING",
        "PYTHONMALLOC",
        "PYTHONNOUSERSITE",
        "PYTHONOPTIMIZE",
        "PYTHONPATH",
        "PYTHONPYCACHEPREFIX",
        "PYTHONUNBUFFERED",
        "PYTHONUSERBASE",
        "PYTHONUTF8",
        "PYTHONWARNINGS",
        "TMPDIR",
        "TZ",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
    }
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_ANSWER_LIMIT = 1 << 20
_PATIENCE_SECONDS = 20.0
_TAIL = 2048


@dataclass(frozen=True, slots=True)
class Setup:
    """What a zygote is told once: where modules lie, and the workload as a pickle."""

    header: dict[str, Any]
    workload: bytes

    @classmethod
    def of(cls, workload: Workload) -> Setup:
        """Prepare a workload for its journey.

        Raises:
            NasmithError: It cannot travel.
        """
        kind = type(workload)
        main = ""
        if kind.__module__ == "__main__":
            main = getattr(sys.modules["__main__"], "__file__", None) or ""
            if not main:
                raise NasmithError(
                    f"{kind.__name__} is defined in an interactive session; worker processes can only import "
                    "it from a file: move it to a module or a script"
                )
            main = str(Path(main).absolute())
        try:
            data = pickle.dumps(workload)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise NasmithError(
                f"{kind.__qualname__} cannot travel to a worker process, because it cannot be pickled: {error}; "
                "define it at the top level of a module and keep open files and lambdas out of it"
            ) from error
        return cls({"path": [str(Path(entry).absolute()) for entry in sys.path], "main": main}, data)


class Zygote:
    """The warm process, seen from the process that started it. Starts it at once; `wait_until_warm` must follow."""

    def __init__(self, setup: Setup) -> None:
        self.warm = False
        self.resident_bytes = 0
        self._setup = setup
        self._lock = threading.Lock()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._control, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nasmith.executors.zygote", str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                env=_environment(),
                pass_fds=[there.fileno()],
                start_new_session=True,  # Ctrl-C at the terminal must not reach it, nor what it forks
            )

    def wait_until_warm(self) -> None:
        """Send the workload and wait until it is warm.

        Raises:
            NasmithError: The workload failed to load or to warm up.
            EOFError: The process died.
            OSError: The same.
        """
        send(self._control, self._setup.header, self._setup.workload)
        answer, _ = receive(self._control, _ANSWER_LIMIT)
        if not answer["ready"]:
            raise NasmithError(f"the task cannot be loaded in a worker process: {answer['message']}\n{answer['where']}")
        self.resident_bytes = int(answer["resident_bytes"])
        self.warm = True

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def hand_over(self, talk: socket.socket) -> None:
        """Have a supervisor forked that serves the job which comes through `talk`.

        Raises:
            OSError: The process died.
        """
        with self._lock:
            socket.send_fds(self._control, [b"j"], [talk.fileno()])

    def last_words(self) -> str:
        """Return how it ended and the end of what it printed."""
        code = self._process.wait()
        self._printed.seek(max(0, self._printed.seek(0, os.SEEK_END) - _TAIL))
        text = printable(self._printed.read().decode(errors="replace")).strip()
        return f"exit code {code}" + (f"; it printed:\n{text}" if text else "")

    def kill(self) -> None:
        """End it and everything below it, without waiting for their consent."""
        end_tree(self._process.pid)

    def close(self) -> None:
        """Let it end, which it does once nothing below it is left, and collect it. May be called twice."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._control.close()
        self._printed.close()


def end_tree(pid: int) -> None:
    """Kill a process and everything below it."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _environment() -> dict[str, str]:
    """Return the variables that Python, its libraries and the cache need; keys and tokens stay behind."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
    kept |= dict.fromkeys(_THREAD_VARIABLES, "1")
    root = str(Path(nasmith.__file__).parents[1])
    if root not in [*site.getsitepackages(), site.getusersitepackages()]:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH", ""), root]))
    return kept
