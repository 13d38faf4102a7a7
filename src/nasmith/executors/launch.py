"""Starts the zygote from the main process, talks to it, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import site
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import nasmith
from nasmith.errors import NasmithError, SandboxError
from nasmith.executors.sandbox import bubblewrap
from nasmith.executors.sandbox.policy import THREAD_VARIABLES, Level, program_paths, readable_paths, without_hidden
from nasmith.executors.wire import printable, receive, send
from nasmith.protocols import Workload

__all__ = ["Setup", "StartsThreadsError", "Trial", "Zygote", "end_tree", "try_sandbox"]

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
_ANSWER_LIMIT = 1 << 20
_PATIENCE_SECONDS = 20.0
_TAIL = 2048


@dataclass(frozen=True, slots=True)
class Setup:
    """What a zygote is told once: where modules lie, what holds candidates, and the workload as a pickle.

    `fresh` in the header says that the workload is warmed in every candidate's own process and not before.
    """

    header: dict[str, Any]
    workload: bytes

    @classmethod
    def of(cls, workload: Workload, level: Level) -> Setup:
        """Prepare a workload for its journey into a sandbox of this level.

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
        header = {
            "path": [str(Path(entry).absolute()) for entry in sys.path],
            "main": main,
            "sandbox": str(level),
            "hidden": list(getattr(workload, "hidden_modules", ())),
            "gpu": bool(getattr(workload, "gpu", False)),
            "readable": list(map(str, getattr(workload, "readable", ()))),
            "workshop": bool(getattr(workload, "workshop", False)),
            "spare_threads": int(getattr(workload, "spare_threads", 0)),
            "fresh": False,
        }
        return cls(header, data)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying a sandbox.

    Attributes:
        layers: What holds a candidate, for people.
        leaks: What a confined process could do although it must not.
        refused: Why the level cannot be started; empty where it can.
    """

    layers: Sequence[str] = ()
    leaks: Sequence[str] = ()
    refused: str = ""

    @property
    def holds(self) -> bool:
        """Whether candidates can be held so."""
        return not self.leaks and not self.refused


def try_sandbox(level: Level) -> Trial:
    """Try in a process made for it whether a sandbox of this level holds on this machine; takes a second or less."""
    if sys.platform != "linux":
        return Trial(refused="this is not Linux")
    line = [sys.executable, "-P", "-m", "nasmith.executors.sandbox.canary", level]
    try:
        line = _command(line, {"sandbox": level, "path": sys.path})
        done = subprocess.run(line, env=_environment(), capture_output=True, timeout=_PATIENCE_SECONDS, check=False)
        return Trial(**json.loads(done.stdout))
    except SandboxError as error:
        return Trial(refused=str(error))
    except subprocess.TimeoutExpired:
        return Trial(refused="the process that tries it hung")
    except (OSError, ValueError) as error:
        words = printable(done.stderr.decode(errors="replace")).strip()[-300:] if isinstance(error, ValueError) else str(error)
        return Trial(refused=f"the process that tries it failed: {words}")


class StartsThreadsError(Exception):
    """Warming the workload started threads, and a process with threads cannot be forked safely."""


class Zygote:
    """The warm process, seen from the process that started it. Starts it at once; `wait_until_warm` must follow."""

    def __init__(self, setup: Setup) -> None:
        self.warm = False
        self.resident_bytes = 0
        self.layers: list[str] = []
        self._setup = setup
        self._folders = ""
        self._lock = threading.Lock()
        self._control, there = socket.socketpair()
        try:
            line = [sys.executable, "-P", "-m", "nasmith.executors.zygote", str(there.fileno())]
            line = _command(line, setup.header)
        except SandboxError:
            self._control.close()
            there.close()
            raise
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with there:
            self._process = subprocess.Popen(
                line,
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
            StartsThreadsError: It started threads.
            EOFError: The process died.
            OSError: The same.
        """
        send(self._control, self._setup.header, self._setup.workload)
        answer, _ = receive(self._control, _ANSWER_LIMIT)
        if "threads" in answer:
            raise StartsThreadsError(answer["threads"])
        if "sandbox" in answer:
            raise SandboxError(_refusal(self._setup.header["sandbox"], answer["sandbox"]))
        if not answer["ready"]:
            raise NasmithError(f"the task cannot be loaded in a worker process: {answer['message']}\n{answer['where']}")
        self.resident_bytes, self.layers = int(answer["resident_bytes"]), list(answer["layers"])
        self._folders = answer["folders"]
        self.warm = True

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def hand_over(self, talk: socket.socket) -> None:
        """Have a supervisor forked that serves the jobs which come through `talk`.

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
        if self._folders:  # what a process that was killed could not remove itself
            shutil.rmtree(self._folders, ignore_errors=True)


def end_tree(pid: int) -> None:
    """Kill a process and everything below it."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _command(line: list[str], header: Mapping[str, Any]) -> list[str]:
    """Return the command line that runs `line`, a Python program, in bubblewrap where a setup's header says so.

    Raises:
        SandboxError: bubblewrap is not installed.
    """
    if header["sandbox"] != Level.BWRAP:
        return line
    workshop = header.get("workshop", False)
    bwrap = bubblewrap.command()
    if bwrap is None:
        raise SandboxError(_refusal(Level.BWRAP, "the program bwrap is not installed (Debian's package is called bubblewrap)"))
    own = [Path(sys.prefix) / "bin", Path(sys.prefix) / "pyvenv.cfg", Path(sys.base_prefix) / "bin"]
    hidden = header.get("hidden", ())
    modules = [place for entry in map(Path, header["path"]) if entry.is_absolute() for place in without_hidden(entry, hidden)]
    more = [*map(Path, header.get("readable", ())), *(program_paths() if workshop else ())]
    readable = [*readable_paths(hidden), *own, *modules, *more]
    return bubblewrap.wrapped(line, readable, bwrap, workshop=workshop)


def _refusal(level: str, reason: str) -> str:
    others = {
        Level.STRICT: "where bubblewrap is installed, `--sandbox bwrap` may hold",
        Level.NAMESPACES: "`--sandbox strict` does without namespaces",
        Level.BWRAP: "`--sandbox strict` does not need it on Linux 5.13 or newer",
    }
    return (
        f"the sandbox {level!r} cannot hold candidates on this machine: {reason}. Nothing was run. `nasmith doctor` shows what "
        f"works here; {others[Level(level)]}; `--sandbox off` gives every candidate your own rights"
    )


def _environment() -> dict[str, str]:
    """Return the variables that Python, its libraries and the cache need; keys and tokens stay behind."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
    kept |= dict.fromkeys(THREAD_VARIABLES, "1")
    root = str(Path(nasmith.__file__).parents[1])
    if root not in [*site.getsitepackages(), site.getusersitepackages()]:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH", ""), root]))
    return kept
