"""The program that is warm: it loads the workload once and forks a supervisor for every worker.

Run as `python -P -m nasmith.executors.zygote DESCRIPTOR` by `Processes`, with a socket to it. It stays single-threaded, because
only then is a fork safe, and it never runs a candidate's code itself. It ends when the other side of the socket does, and then
nothing below it is left.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import pickle
import runpy
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from nasmith.executors.child import Unwarmed
from nasmith.executors.sandbox.canary import try_out
from nasmith.executors.sandbox.policy import Level, Sandbox
from nasmith.executors.supervisor import descendants, drain, end_all, resident, set_subreaper, supervise, wake_on_child
from nasmith.executors.wire import receive, send
from nasmith.protocols import Workload

__all__ = ["main"]

_SETUP_LIMIT = 1 << 34
_MADV_COLLAPSE = 25
_LARGE_PAGE = 1 << 21
_PATIENCE_SECONDS = 10.0


def main(descriptor: int) -> None:
    """Warm up, say so, and serve jobs until the socket ends."""
    os.environ["NASMITH_ZYGOTE"] = "1"  # see Processes.start
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # imports make objects that stay: collecting meanwhile is a fifth of the time and finds nothing
    control = socket.socket(fileno=descriptor)
    try:
        setup, data = receive(control, _SETUP_LIMIT)
        sandbox = _make_sandbox(setup)
        workload = _load(setup, data)
        if (threads := _threads()) > 1:
            send(control, {"ready": False, "threads": threads})
            return
    except EOFError:
        return
    except _SandboxError as error:
        send(control, {"ready": False, "sandbox": str(error)})
        return
    except Exception as error:  # noqa: BLE001 - whatever a task's code raises must reach the user, who waits elsewhere
        where = "".join(traceback.format_exception(error)[-2:]).strip()
        send(control, {"ready": False, "message": f"{type(error).__name__}: {error}", "where": where[-2000:]})
        return
    gc.enable()
    gc.collect()
    gc.freeze()  # a collection in a child would write to every object, and so copy every page
    _use_large_pages()
    with contextlib.suppress(BrokenPipeError):  # nobody is there any more, which the next lines find out
        folders = str(sandbox.parent or "")
        resident_bytes = resident([os.getpid()])
        send(control, {"ready": True, "resident_bytes": resident_bytes, "layers": sandbox.layers, "folders": folders})
    _serve(control, workload, sandbox)


class _SandboxError(Exception):
    """The sandbox does not hold here."""


def _make_sandbox(setup: dict[str, Any]) -> Sandbox:
    """Make the sandbox and try it, before anything else: what cannot be held is not begun."""
    sys.path[:] = setup["path"]  # hidden modules are looked for there
    try:
        spare = setup.get("spare_threads", 0)
        level, hidden, gpu = Level(setup["sandbox"]), setup["hidden"], setup["gpu"]
        sandbox = Sandbox(level, hidden, gpu, setup["readable"], setup["workshop"], spare)
        atexit.register(sandbox.close)  # not run in what is forked from here, which ends by os._exit
        leaks = [] if sandbox.level is Level.OFF else try_out(sandbox)
    except OSError as error:
        raise _SandboxError(str(error)) from error
    if leaks:
        raise _SandboxError(f"a process in it could still {', '.join(leaks)}")
    return sandbox


def _load(setup: dict[str, Any], data: bytes | bytearray) -> Workload | Unwarmed:
    """Load the workload, and warm it if that can be done before a fork.

    It comes from the process that started this one, so it may be a pickle.
    """
    if setup["main"]:  # the workload is defined in the user's script: make its definitions under another name than __main__
        sys.modules["__nasmith_zygote__"] = sys.modules["__main__"]
        script = ModuleType("__main__")
        script.__dict__.update(runpy.run_path(setup["main"], run_name="__nasmith_script__"))
        sys.modules["__main__"] = script
    workload: Workload = pickle.loads(data)
    if setup["fresh"]:
        return Unwarmed(workload)
    workload.warm()
    return workload


def _use_large_pages() -> None:
    """Ask the kernel to hold this process's own memory in pages of 2 MB, where it can (Linux 6.1).

    A fork copies the table of pages, and the end of the child takes it down again. For the 200 MB of a process with PyTorch,
    that is most of what a fork costs; with large pages it takes about a third (measured: 12 ms, then 4 ms).
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for line in Path("/proc/self/maps").read_text().splitlines():
            place, rights = line.split()[:2]
            start, end = (int(address, 16) for address in place.split("-"))
            start, end = -(-start // _LARGE_PAGE) * _LARGE_PAGE, end // _LARGE_PAGE * _LARGE_PAGE
            if rights == "rw-p" and start < end:
                madvise(start, end - start, _MADV_COLLAPSE)  # refused for a region, it changes nothing


def _serve(control: socket.socket, workload: Workload | Unwarmed, sandbox: Sandbox) -> None:
    set_subreaper()  # what a supervisor that was killed leaves behind comes here
    wake = wake_on_child()
    supervisors: set[int] = set()
    poll = select.poll()
    for source in (control.fileno(), wake, *_parent()):
        poll.register(source, select.POLLIN)
    while True:
        ready = {source for source, _ in poll.poll()}
        if wake in ready:
            drain(wake, lambda pid, *_: supervisors.discard(pid))
            if descendants(os.getpid(), supervisors):
                end_all(wake, lambda pid, *_: supervisors.discard(pid), supervisors)
        if control.fileno() in ready:
            byte, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not byte:
                break
            for descriptor in descriptors:
                supervisors.add(_fork(workload, sandbox, descriptor, control, wake))
        elif ready - {wake}:
            break
    _wait_for(supervisors, wake)
    end_all(wake, lambda *_: None)


def _fork(workload: Workload | Unwarmed, sandbox: Sandbox, descriptor: int, control: socket.socket, wake: int) -> int:
    """Fork a supervisor for the jobs that come through `descriptor`; return its process id."""
    if _threads() > 1:
        raise RuntimeError("a thread was started in the process that jobs are forked from")
    if (pid := os.fork()) > 0:
        os.close(descriptor)
        return pid
    try:
        connection = socket.socket(fileno=descriptor)
        control.close()
        os.close(wake)
        try:
            supervise(workload, sandbox, connection)
        except (EOFError, BrokenPipeError):
            pass
        except Exception as error:  # noqa: BLE001 - the supervisor's boundary: its own failure is told, as ours
            traceback.print_exc()
            with contextlib.suppress(OSError):
                send(connection, {"cause": "error", "message": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)


def _wait_for(supervisors: set[int], wake: int) -> None:
    """Let supervisors end by themselves, as they do when their own sockets end; not for ever."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while supervisors and time.monotonic() < deadline:
        select.select([wake], [], [], deadline - time.monotonic())
        drain(wake, lambda pid, *_: supervisors.discard(pid))


def _parent() -> list[int]:
    """Return what can be read once the process that started this one is dead, even if a copy of the socket lives on."""
    with contextlib.suppress(AttributeError, OSError):
        return [os.pidfd_open(os.getppid())]
    return []


def _threads() -> int:
    with contextlib.suppress(OSError):
        return len(list(Path("/proc/self/task").iterdir()))
    return 1


if __name__ == "__main__":
    main(int(sys.argv[1]))
