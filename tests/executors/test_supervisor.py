from __future__ import annotations

import os
import subprocess
import sys

import psutil

from nasmith.executors.supervisor import descendants, resident

_FAMILY = """
import os, sys
if os.fork() == 0:
    if os.fork() == 0:
        print("ready", flush=True)
    sys.stdin.read()
sys.stdin.read()
"""

_LAST_STAND = """
import os, time
from nasmith.executors.supervisor import descendants, end_all, set_subreaper, wake_on_child

set_subreaper()  # orphans come here
wake = wake_on_child()
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for _ in range(3):
            os.fork()
        os.write(write, b"x")
        time.sleep(1000)
    os._exit(5)
for _ in range(8):
    os.read(read, 1)
kept = os.fork()
if kept == 0:
    time.sleep(1000)
ended = []
end_all(wake, lambda pid, status, usage: ended.append(status), {kept})
left = descendants(os.getpid())
end_all(wake, lambda pid, status, usage: ended.append(status))
print(left == [kept], len(ended), descendants(os.getpid()))
"""


def test_descendants_are_found_at_every_depth_but_not_below_those_left_out() -> None:
    with subprocess.Popen([sys.executable, "-c", _FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as family:
        assert family.stdout is not None
        family.stdout.readline()
        found = descendants(family.pid)
        assert set(found) == {process.pid for process in psutil.Process(family.pid).children(recursive=True)}
        assert len(found) == 2
        assert descendants(family.pid, {found[0]}) == []


def test_a_process_that_is_gone_has_no_descendants_and_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    assert descendants(gone.pid) == []
    assert resident([gone.pid]) == 0


def test_resident_memory_is_what_the_system_says() -> None:
    assert abs(resident([os.getpid()]) - psutil.Process().memory_info().rss) < 20e6


def test_shared_memory_of_several_processes_counts_once() -> None:
    with subprocess.Popen([sys.executable, "-c", _FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as family:
        assert family.stdout is not None
        family.stdout.readline()
        pids = [family.pid, *descendants(family.pid)]
        assert resident(pids) < sum(resident([pid]) for pid in pids)


def test_end_all_leaves_none_but_those_to_keep() -> None:
    done = subprocess.run([sys.executable, "-c", _LAST_STAND], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True 10 []\n"


def test_a_child_may_stay_while_everything_below_it_goes() -> None:
    code = """
import os, time
from nasmith.executors.supervisor import descendants, end_all, set_subreaper, wake_on_child

set_subreaper()
wake = wake_on_child()
read, write = os.pipe()
stays = os.fork()
if stays == 0:
    import signal
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.fork()
    os.write(write, b"x")
    time.sleep(1000)
for _ in range(2):
    os.read(read, 1)
before = len(descendants(os.getpid()))
end_all(wake, lambda *_: None, hollow=[stays])
print(before, descendants(os.getpid()) == [stays])
end_all(wake, lambda *_: None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "2 True\n", done.stderr
