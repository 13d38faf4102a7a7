"""What the programs in attacks.txt try to harm, and how to see whether they did.

A program is run by `executor_workloads.Python`: it sets `facts["harm"]` to 1 where it got what it wanted, or leaves a mark that
`Scene.harmed` finds. Every bomb is bounded, so that the same programs can be run without a sandbox: there each must do its
harm, or its containment would prove nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "nasmith_attack_mark"


@dataclass
class Scene:
    """What a candidate must not reach: files, a process, a server, a variable; made anew for each attack.

    Args:
        folder: Open to everybody.
    """

    folder: Path
    secret: str = "a-secret-in-the-environment"
    sentinel: subprocess.Popen[bytes] = field(init=False)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.chmod(0o777)
        self.victim = self.folder / "victim"
        self.victim.write_text("precious\n")
        self.victim.chmod(0o666)
        os.utime(self.victim, (1, 1))
        self.sentinel = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL)
        self._before = {process.pid for process in psutil.process_iter()}
        self._listeners = self._listen()

    def _listen(self) -> list[socket.socket]:
        abstract = f"\0{MARK}{self.folder.name}"
        places = [
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_DGRAM, abstract),
            (socket.AF_UNIX, socket.SOCK_DGRAM, str(self.folder / "socket")),
        ]
        listeners = []
        for family, kind, address in places:
            listener = socket.socket(family, kind)
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen()
            listeners.append(listener)
            threading.Thread(target=self._hear, args=(listener, kind), daemon=True).start()
        (self.folder / "socket").chmod(0o777)
        return listeners

    def _hear(self, listener: socket.socket, kind: int) -> None:
        with contextlib.suppress(OSError):
            if kind == socket.SOCK_STREAM:
                listener.accept()
            else:
                listener.recv(100)
            self.heard.append("something")

    def names(self) -> dict[str, object]:
        """Return what an attack's text may name in braces."""
        ports = [listener.getsockname() for listener in self._listeners]
        return {
            "victim": str(self.victim),
            "folder": str(self.folder),
            "main": os.getpid(),
            "sentinel": self.sentinel.pid,
            "tcp": ports[0][1],
            "udp": ports[1][1],
            "abstract": ports[2].decode()[1:] if isinstance(ports[2], bytes) else ports[2][1:],
            "secret": self.secret,
            "mark": MARK,
        }

    def harmed(self) -> list[str]:
        """Return what is not as it was."""
        found = []
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.sentinel.wait(0.05)  # what was just killed takes a moment to be dead
        new = sorted(path.name for path in self.folder.iterdir() if path.name not in {"victim", "socket"})
        if new:
            found.append(f"new files: {new[:3]}")
        if not self.victim.exists():
            found.append("the victim file is gone")
        else:
            status = self.victim.stat()
            if self.victim.read_text() != "precious\n":
                found.append("the victim file was written")
            if status.st_mode & 0o7777 != 0o666 or status.st_mtime != 1:
                found.append("the victim file's metadata changed")
        if self.sentinel.poll() is not None:
            return [*found, "the sentinel was killed"]
        process = psutil.Process(self.sentinel.pid)
        if process.status() == psutil.STATUS_STOPPED:
            found.append("the sentinel was stopped")
        if process.nice() != 0 or process.rlimit(psutil.RLIMIT_CORE)[0] == 4096:
            found.append("the sentinel's settings changed")
        if self.heard:
            found.append("a connection came")
        return found

    def left_over(self) -> list[int]:
        """Return processes that were started meanwhile with the mark in their command line or environment."""
        found = []
        for process in psutil.process_iter():
            if process.pid not in self._before:
                with contextlib.suppress(psutil.Error):
                    if MARK in " ".join(process.cmdline()):
                        found.append(process.pid)
        return found

    def close(self) -> None:
        """End what this started."""
        for pid in self.left_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.sentinel.kill()
        self.sentinel.wait()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes its thread
            listener.close()


def _read(text: str) -> dict[str, str]:
    """Return the programs of a file by name: each stands below a line "## name"."""
    parts = [part.partition("\n") for part in text.split("## ")[1:]]
    return {name: program for name, _, program in parts}


ATTACKS = _read((Path(__file__).parent / "attacks.txt").read_text())
"""Texts by name. Braces name what `Scene.names` and `CALLS` give."""

NEEDS_ROOT = {"being root", "becoming root"}
"""Harm that only root's candidates can do."""

NO_CONTROL = {
    "test inputs",
    "writing on every descriptor",
    "keys in its own environment",
    "a user namespace",
    "io_uring",
    "bpf",
    "keyrings",
    "userfaultfd",
    "perf events",
}
"""No harm is sure without a sandbox: a worker never has these, or the kernel may be built or set up without them."""

CALLS = {
    "x86_64": {"fork": 57, "tkill": 200, "bpf": 321, "keyctl": 250, "userfaultfd": 323, "perf": 298},
    "aarch64": {"fork": -1, "tkill": 130, "bpf": 280, "keyctl": 219, "userfaultfd": 282, "perf": 241},
}
"""Numbers of system calls that the texts name in braces, by processor."""
