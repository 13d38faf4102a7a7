"""Programs that try to do harm, each with a way to see whether it did.

A program is run by `executor_workloads.Python`: it may set `facts["harm"]` to 1 where it got what it wanted, or leave a mark
outside that `Scene.harmed` finds. Every bomb is bounded, so that the same programs can be run without a sandbox: there each must
do its harm, or its containment would prove nothing.
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
        }

    def harmed(self) -> list[str]:
        """Return what is not as it was."""
        found = []
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
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.sentinel.pid)
            if self.sentinel.poll() is not None or process.status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
                found.append("the sentinel was hit")
            elif process.nice() != 0 or process.rlimit(psutil.RLIMIT_CORE)[0] == 4096 or len(process.cpu_affinity()) == 0:
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


_SYSCALL = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_BOMB = 800_000_000

ATTACKS: dict[str, str] = {
    "fork bomb": "import os, time\nn = 0\nfor _ in range(30):\n  if os.fork() == 0: time.sleep(5); os._exit(0)\n  n += 1\nfacts['harm'] = n == 30",
    "vfork through the C library": _SYSCALL + "import time\npid = libc.syscall({fork})\nif pid == 0: time.sleep(1); import os; os._exit(0)\nfacts['harm'] = pid > 0",
    "clone3": _SYSCALL + "import os\nargs = (ctypes.c_uint64 * 11)()\nargs[4] = 17\npid = libc.syscall(435, ctypes.byref(args), 88)\nif pid == 0: os._exit(0)\nfacts['harm'] = pid > 0",
    "thread bomb": "import threading, time\nn = 0\nfor _ in range(200):\n  threading.Thread(target=time.sleep, args=(2,), daemon=True).start(); n += 1\nfacts['harm'] = n == 200",
    "private memory": f"kept = [np.ones({_BOMB // 80}) for _ in range(10)]\nfacts['harm'] = 1",
    "shared memory": f"import mmap\nm = mmap.mmap(-1, {_BOMB})\nfor i in range(0, {_BOMB}, 4096): m[i] = 1\nfacts['harm'] = 1",
    "memory in a memory file": f"import os\nfd = os.memfd_create('x')\nfor _ in range(8): os.write(fd, bytes({_BOMB // 8}))\nfacts['harm'] = 1",
    "memory in pipes": "import os\nkept = []\nfor _ in range(400):\n  r, w = os.pipe(); kept.append((r, w)); os.set_blocking(w, False); os.write(w, bytes(1 << 16))\nfacts['harm'] = 1",
    "filling the disk": "open('{folder}/full', 'wb').write(bytes(50_000_000))",
    "filling shared memory": "open('/dev/shm/" + MARK + "', 'wb').write(bytes(20_000_000))\nimport os\nos.unlink('/dev/shm/" + MARK + "')\nfacts['harm'] = 1",
    "writing outside": "open('{victim}', 'a').write('spoiled')",
    "truncating outside": "import os\nos.truncate('{victim}', 0)",
    "writing through a mapping": "import mmap, os\nfd = os.open('{victim}', os.O_RDWR)\nmmap.mmap(fd, 0)[0] = 65",
    "changing modes": "import os\nos.chmod('{victim}', 0o600)",
    "changing times": "import os\nos.utime('{victim}')",
    "deleting": "import os\nos.unlink('{victim}')",
    "renaming": "import os\nos.rename('{victim}', '{folder}/moved')",
    "making folders": "import os\nos.mkdir('{folder}/new')",
    "a symbolic link": "import os\nos.symlink('/etc/passwd', '{folder}/link')",
    "a hard link": "import os\nos.link('{victim}', '{folder}/hard')",
    "a special file": "import os\nos.mkfifo('{folder}/fifo')",
    "extended attributes": "import os\nos.setxattr('{victim}', 'user.x', b'1')\nfacts['harm'] = 1",
    "reading a file": "facts['harm'] = 'precious' in open('{victim}').read()",
    "reading /etc/passwd": "facts['harm'] = 'root' in open('/etc/passwd').read()",
    "listing a folder": "import os\nfacts['harm'] = 'victim' in os.listdir('{folder}')",
    "reading through /proc/self/root": "facts['harm'] = 'precious' in open('/proc/self/root{victim}').read()",
    "reading through the parent's root": "import os\nfacts['harm'] = 'precious' in open(f'/proc/{{os.getppid() or 1}}/root{victim}').read()",
    "the main process's environment": "facts['harm'] = '{secret}' in open('/proc/{main}/environ').read()",
    "every process's environment": "import glob\nfor p in glob.glob('/proc/[0-9]*/environ'):\n  try: facts['harm'] = facts.get('harm', 0) or '{secret}' in open(p).read()\n  except OSError: pass\nif not facts.get('harm'): raise PermissionError",
    "the main process's memory": "open('/proc/{main}/mem', 'rb').close()\nfacts['harm'] = 1",
    "descriptors of others": "import os\nfacts['harm'] = len(os.listdir('/proc/{main}/fd')) > 0",
    "tracing": _SYSCALL + "if libc.ptrace(16, {sentinel}, 0, 0): raise PermissionError\nfacts['harm'] = 1\nlibc.ptrace(17, {sentinel}, 0, 0)",
    "reading another's memory": _SYSCALL + "b = ctypes.create_string_buffer(8)\nv = (ctypes.c_size_t * 2)(ctypes.addressof(b), 8)\nw = (ctypes.c_size_t * 2)(ctypes.addressof(b), 8)\nn = libc.process_vm_readv({sentinel}, v, 1, w, 1, 0)\nfacts['harm'] = n == 8 or ctypes.get_errno() == 14",
    "TCP": "import socket\nsocket.create_connection(('127.0.0.1', {tcp}), 5).close()\nimport time; time.sleep(0.3)",
    "UDP": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp}))\nimport time; time.sleep(0.3)",
    "an abstract socket": "import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0{abstract}')\nimport time; time.sleep(0.3)",
    "a socket file": "import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '{folder}/socket')\nimport time; time.sleep(0.3)",
    "a pair of sockets": "import socket\nsocket.socketpair()\nfacts['harm'] = 1",
    "netlink": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\nfacts['harm'] = 1",
    "killing another": "import os\nos.kill({sentinel}, 9)",
    "stopping another": "import os\nos.kill({sentinel}, 19)",
    "killing by another call": _SYSCALL + "import os\nif libc.syscall({tkill}, {sentinel}, 9): raise OSError",
    "an orphan": "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(0.5); open('{folder}/orphan', 'w')\n  os._exit(0)\ntime.sleep(1)",
    "running a program": "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'echo x > {folder}/ran'], check=True)",
    "replacing itself": "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo x > {folder}/ran'])",
    "SIGIO to another": "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, {sentinel})\nfcntl.fcntl(r, 10, 9)\nfcntl.fcntl(r, fcntl.F_SETFL, fcntl.fcntl(r, fcntl.F_GETFL) | os.O_ASYNC)\nos.write(w, b'x')\nimport time; time.sleep(0.2)",
    "another's limits": "import resource\nresource.prlimit({sentinel}, resource.RLIMIT_CORE, (4096, 4096))",
    "another's priority": "import os\nos.setpriority(os.PRIO_PROCESS, {sentinel}, 5)",
    "another's processors": "import os\nos.sched_setaffinity({sentinel}, {{0}})\nfacts['harm'] = 1",
    "raising its own limits": "import resource\nsoft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\nresource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\nfacts['harm'] = 1",
    "a user namespace": _SYSCALL + "if libc.unshare(0x10000000): raise PermissionError\nfacts['harm'] = 1",
    "io_uring": _SYSCALL + "p = ctypes.create_string_buffer(200)\nif libc.syscall(425, 8, p) < 0: raise PermissionError\nfacts['harm'] = 1",
    "bpf": _SYSCALL + "a = ctypes.create_string_buffer(bytes([2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 1]), 128)\nif libc.syscall({bpf}, 0, a, 128) < 0: raise PermissionError\nfacts['harm'] = 1",
    "keyrings": _SYSCALL + "if libc.syscall({keyctl}, 0, -3, 1) < 0: raise PermissionError\nfacts['harm'] = 1",
    "userfaultfd": _SYSCALL + "if libc.syscall({userfaultfd}, 1) < 0: raise PermissionError\nfacts['harm'] = 1",
    "perf events": _SYSCALL + "a = ctypes.create_string_buffer(bytes([1, 0, 0, 0, 112]), 112)\nif libc.syscall({perf}, a, 0, -1, -1, 0) < 0: raise PermissionError\nfacts['harm'] = 1",
    "watching files": _SYSCALL + "if libc.inotify_init() < 0: raise PermissionError\nfacts['harm'] = 1",
    "System V shared memory": _SYSCALL + "if libc.shmget(0, 4096, 0o1600) < 0: raise PermissionError\nfacts['harm'] = 1",
    "locking a library": "import fcntl, os\nf = open(os.__file__)\nfcntl.flock(f, fcntl.LOCK_EX)\nfacts['harm'] = 1",
    "becoming root": "import os\nos.setuid(0)\nfacts['harm'] = 1",
    "being root": "import os\nfacts['harm'] = os.getuid() == 0",
    "keys in its own environment": "import os\nfacts['harm'] = any('{secret}' in v for v in os.environ.values()) or '{secret}' in open('/proc/self/environ').read()",
    "the package that makes the data": "import mnist1d.data\nfacts['harm'] = 1",
    "test inputs": "import gc\nfacts['harm'] = any(isinstance(o, dict) and 'test' in o for o in gc.get_objects())",
    "writing on every descriptor": "import os\nfor fd in range(4, 1024):\n  try: os.write(fd, b'x'); facts['harm'] = 1\n  except OSError: pass\nif not facts.get('harm'): raise PermissionError",
}
"""Name to text. Braces name what `Scene.names` and the numbers of system calls give."""

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
