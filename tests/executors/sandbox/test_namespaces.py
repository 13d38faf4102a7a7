from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
from functools import cache

import pytest
from apart import needs_linux, run

pytestmark = needs_linux

_AVAILABLE = "import json; from nasmith.executors.sandbox.namespaces import available; print(json.dumps(available()))"

_INSIDE = """
import errno, fcntl, json, os, signal, socket, struct
from nasmith.executors.sandbox import namespaces

def spaces():
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in ("net", "ipc", "pid", "pid_for_children", "user", "mnt")}

outside, parent = spaces(), os.getpid()
ids = os.getresuid() + os.getresgid()
namespaces.enter()
init = namespaces.start_init()
read, write = os.pipe()
child = os.fork()
if child == 0:
    found = {"pid": os.getpid(), "parent": os.getppid(), "ids": os.getresuid() + os.getresgid() == ids}
    found["networks"] = [name for _, name in socket.if_nameindex()]
    with socket.socket() as probe:
        flags = fcntl.ioctl(probe, 0x8913, struct.pack("16sH14x", b"lo", 0))  # SIOCGIFFLAGS
        found["up"] = bool(struct.unpack_from("H", flags, 16)[0] & 1)
        found["connects"] = errno.errorcode[probe.connect_ex(("127.0.0.1", 9))]
    try:
        os.kill(parent if parent > 9 else 10**6, 0)
        found["reaches"] = "done"
    except OSError as error:
        found["reaches"] = errno.errorcode[error.errno]
    try:
        os.kill(1, signal.SIGKILL)  # which the first process of a namespace does not get from inside
    except PermissionError:
        pass
    os.write(write, json.dumps(found).encode())
    os._exit(0)
os.waitpid(child, 0)
found = json.loads(os.read(read, 10_000))
inside = spaces()
found["own"] = sorted(name for name in inside if inside[name] != outside[name])
found["init lives"] = os.waitpid(init, os.WNOHANG) == (0, 0)
print(json.dumps(found))
"""

_FAMILY = """
import os, sys, time
from nasmith.executors.sandbox import namespaces

ready, there = os.pipe()
prctl = namespaces.kernel.prctl
namespaces.kernel.prctl = lambda *arguments: (prctl(*arguments), os.write(there, b"x"))
namespaces.enter()
init = namespaces.start_init()
os.read(ready, 1)
other = os.fork()
if other == 0:
    os.setsid()
    time.sleep(600)
print(os.getpid(), init, other, flush=True)
if sys.argv[1] == "leave":
    os._exit(0)
time.sleep(600)
"""


@cache
def _available() -> bool:
    return bool(run(_AVAILABLE))


def _need_namespaces() -> None:
    if not _available():
        pytest.skip("this system does not let a process make namespaces for itself")


def test_nothing_of_other_processes_and_networks_is_there() -> None:
    _need_namespaces()
    found = run(_INSIDE)
    networks = found.pop("networks")
    assert "lo" in networks
    assert set(networks) <= {"lo", "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"}
    own = ["ipc", "net", "pid_for_children", *(["user"] if os.geteuid() else [])]
    assert found == {
        "pid": 2,  # the first is the init
        "parent": 0,
        "ids": True,
        "up": False,
        "connects": "ENETUNREACH",
        "reaches": "ESRCH",
        "own": own,
        "init lives": True,
    }


@pytest.mark.parametrize("way", ["kill", "leave"])
def test_everything_in_it_ends_with_the_process_that_made_it(way: str) -> None:
    _need_namespaces()
    with subprocess.Popen([sys.executable, "-c", _FAMILY, way], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as made:
        assert made.stdout is not None
        try:
            pids = [int(word) for word in made.stdout.readline().split()]
            assert len(pids) == 3
            ends = []
            for pid in pids[1:]:
                try:
                    ends.append(os.pidfd_open(pid))
                except ProcessLookupError:
                    assert way == "leave"  # gone already
            if way == "kill":
                assert select.select(ends, [], [], 0) == ([], [], [])
        finally:
            made.kill()
        ended = [bool(select.select([end], [], [], 20)[0]) for end in ends]
        for end in ends:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(end, signal.SIGKILL)
            os.close(end)
        assert all(ended)


def test_trying_leaves_this_process_where_it_is() -> None:
    code = """
import json, os
from nasmith.executors.sandbox.namespaces import available

def spaces():
    return [os.readlink(f"/proc/self/ns/{name}") for name in ("net", "ipc", "pid_for_children", "user")]

before, descriptors = spaces(), os.listdir("/proc/self/fd")
available()
try:
    os.waitpid(-1, os.WNOHANG)
    left = "a child"
except ChildProcessError:
    left = ""
print(json.dumps([before == spaces(), descriptors == os.listdir("/proc/self/fd"), left]))
"""
    assert run(code) == [True, True, ""]


@pytest.mark.parametrize("failing", ["enter", "fork"])
def test_a_system_that_refuses_has_none(failing: str) -> None:
    code = """
import json, os, sys
from nasmith.executors.sandbox import namespaces

def refuse():
    raise OSError(1, "refused")

if sys.argv[1] == "enter":
    namespaces.enter = refuse
else:
    fork = os.fork
    forks = []
    def once():
        forks.append(1)
        return refuse() if len(forks) > 1 else fork()
    namespaces.os.fork = once
print(json.dumps(namespaces.available()))
"""
    assert run(code, failing) is False


def test_namespaces_that_do_not_count_from_one_are_none() -> None:
    code = """
import json
from nasmith.executors.sandbox import namespaces

namespaces.enter = bool
print(json.dumps(namespaces.available()))
"""
    assert run(code) is False


def test_a_refusal_says_why() -> None:
    code = """
import ctypes, json
from nasmith.executors.sandbox import kernel, namespaces, seccomp

kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install(seccomp.filter_for(1, False))
try:
    namespaces.enter()
except OSError as error:
    print(json.dumps([error.errno, str(error)]))
"""
    number, words = run(code)
    assert number == 1
    assert "unshare: " in words


def test_memory_that_is_mounted_holds_so_much_and_nobody_else_sees_it() -> None:
    code = """
import json, os
from pathlib import Path
from nasmith.executors.sandbox import namespaces

if not namespaces.available(mounts=True):
    print(json.dumps("not here"))
    raise SystemExit
mark = namespaces.MEMORY / f"nasmith-test-{os.getpid()}"
if os.fork() == 0:
    namespaces.enter(mounts=True)
    namespaces.mount_memory(1 << 20, 16)
    mark.write_bytes(b"x" * (1 << 19))
    try:
        (namespaces.MEMORY / "more").write_bytes(b"x" * (1 << 20))
    except OSError as error:
        os._exit(error.errno)
    os._exit(0)
print(json.dumps([os.waitstatus_to_exitcode(os.wait()[1]), mark.exists()]))
"""
    found = run(code)
    if found == "not here":
        pytest.skip("this system does not let a process mount a file system of its own")
    assert found == [errno.ENOSPC, False]
