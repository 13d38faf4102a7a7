from __future__ import annotations

import json
import resource
import sys
from typing import Any

import pytest
from apart import needs_linux, needs_root, run
from hypothesis import given
from hypothesis import strategies as st

from nasmith.executors.sandbox.limits import Limits

pytestmark = needs_linux

_LIMITS = Limits(timeout_seconds=5, memory_bytes=1 << 30, output_bytes=1 << 20, threads=1, cpu_seconds=7.4)
_NAMES = ("CORE", "FSIZE", "CPU", "NOFILE", "MEMLOCK", "MSGQUEUE", "AS", "DATA", "NPROC")

_SET = """
import json, resource, sys
from pathlib import Path
from nasmith.executors.sandbox.limits import Limits, limit_threads, set_limits

def now():
    return {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}

values, options, before, threads, names = json.loads(sys.argv[1])
for name, value in before.items():
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
first = now()
statm = [int(field) * resource.getpagesize() for field in Path("/proc/self/statm").read_text().split()]
if options is not None:
    set_limits(Limits.read(values), **options)
if threads is not None:
    limit_threads(threads)
print(json.dumps([first, now(), statm[0], statm[5], Path("/proc/self/oom_score_adj").read_text().strip()]))
"""


def _set(
    limits: Limits = _LIMITS,
    options: dict[str, bool] | None = None,
    before: dict[str, int] | None = None,
    threads: int | None = None,
) -> tuple[dict[str, list[int]], dict[str, list[int]], int, int, str]:
    found: Any = run(_SET, json.dumps([limits.plain(), options, before or {}, threads, _NAMES]))
    return tuple(found)  # type: ignore[return-value]


def _lowered(first: list[int], value: int) -> list[int]:
    return [value, value] if first[1] == resource.RLIM_INFINITY else [min(value, first[1])] * 2


def test_in_the_sandbox_every_limit_is_set_for_good() -> None:
    first, now, addresses, _, badness = _set(options={"strict": True})
    wanted = {"CORE": 0, "FSIZE": 0, "CPU": 7, "NOFILE": 256, "MEMLOCK": 0, "MSGQUEUE": 0}
    assert {name: now[name] for name in wanted} == {name: _lowered(first[name], value) for name, value in wanted.items()}
    assert now["AS"][0] == now["AS"][1] >= addresses + (1 << 30)
    assert now["AS"][0] < addresses + (1 << 30) + (64 << 20)  # what the test's own lines take meanwhile
    assert (now["DATA"], now["NPROC"]) == (first["DATA"], first["NPROC"])
    assert badness == "1000"


def test_without_the_sandbox_files_may_take_the_output_and_the_data_segment_is_bounded() -> None:
    first, now, _, data, _ = _set(options={"strict": False})
    assert (now["CORE"], now["FSIZE"], now["CPU"]) == ([0, 0], _lowered(first["FSIZE"], 1 << 20), _lowered(first["CPU"], 7))
    untouched = ("NOFILE", "MEMLOCK", "MSGQUEUE", "AS")
    assert {name: now[name] for name in untouched} == {name: first[name] for name in untouched}
    assert data + (2 << 30) <= now["DATA"][0] == now["DATA"][1] < data + (2 << 30) + (64 << 20)


@pytest.mark.parametrize("strict", [True, False])
def test_a_gpus_driver_reserves_what_it_likes(strict: bool) -> None:
    first, now, *_ = _set(options={"strict": strict, "devices": True})
    assert (now["AS"], now["DATA"]) == (first["AS"], first["DATA"])
    assert now["CORE"] == [0, 0]


def test_a_lower_limit_stays() -> None:
    before = {"NOFILE": 100, "CPU": 3, "AS": 1 << 29, "FSIZE": 0}
    _, now, *_ = _set(options={"strict": True}, before=before)
    assert {name: now[name] for name in before} == {name: [value, value] for name, value in before.items()}


@pytest.mark.parametrize(("asked", "seconds"), [(0.2, 1), (1.4, 1), (2.6, 3)])
def test_processor_time_is_whole_seconds_and_at_least_one(asked: float, seconds: int) -> None:
    limits = Limits(timeout_seconds=5, memory_bytes=1 << 30, output_bytes=1, threads=1, cpu_seconds=asked)
    assert _set(limits, {"strict": True})[1]["CPU"] == [seconds, seconds]


def test_without_a_limit_on_processor_time_the_wall_time_is_all() -> None:
    first, now, *_ = _set(Limits(5, 1 << 30, 1 << 20, 1), {"strict": True})
    assert now["CPU"] == first["CPU"]


def test_more_memory_than_allowed_cannot_be_taken() -> None:
    code = """
import json, mmap
from nasmith.executors.sandbox.limits import Limits, set_limits

set_limits(Limits(timeout_seconds=5, memory_bytes=256 << 20, output_bytes=1, threads=1), strict=True)
mmap.mmap(-1, 100 << 20).close()
try:
    mmap.mmap(-1, 300 << 20)
except OSError as error:
    print(json.dumps(error.strerror))
"""
    assert run(code) == "Cannot allocate memory"


def test_threads_are_counted_from_those_of_this_user() -> None:
    first, now, *_ = _set(threads=1000)
    if first["NPROC"][1] == resource.RLIM_INFINITY or first["NPROC"][1] > 100_000:
        assert 1000 < now["NPROC"][0] == now["NPROC"][1] < 100_000
    else:
        assert now["NPROC"][0] <= first["NPROC"][1]


def test_a_lower_limit_of_threads_stays() -> None:
    assert _set(threads=10**9, before={"NPROC": 5000})[1]["NPROC"] == [5000, 5000]


_STARTS_THREADS = """
import json, threading
from nasmith.executors.sandbox.identity import become_nobody, unused_uid
from nasmith.executors.sandbox.limits import limit_threads
import os

if os.geteuid() == 0:
    become_nobody(unused_uid(os.getpid()), False)
limit_threads(3)
end = threading.Event()
started = 0
try:
    for _ in range(20):
        threading.Thread(target=end.wait).start()
        started += 1
except RuntimeError:
    pass
end.set()
print(json.dumps(started))
"""


@needs_root
def test_one_with_a_user_of_its_own_starts_as_many_threads_as_it_was_given() -> None:
    assert run(_STARTS_THREADS) == 3


def test_limits_say_what_they_are_as_json() -> None:
    assert _LIMITS.plain() == {
        "timeout_seconds": 5,
        "memory_bytes": 1 << 30,
        "output_bytes": 1 << 20,
        "threads": 1,
        "cpu_seconds": 7.4,
        "gpu_memory_bytes": None,
    }


@given(
    st.builds(
        Limits,
        st.floats(0, 1e12),
        st.integers(0, sys.maxsize),
        st.integers(0, sys.maxsize),
        st.integers(1, 1024),
        st.none() | st.floats(0, 1e12),
        st.none() | st.integers(0, sys.maxsize),
    )
)
def test_what_is_read_is_what_was_written(limits: Limits) -> None:
    assert Limits.read(json.loads(json.dumps(limits.plain()))) == limits


def test_unknown_limits_are_refused() -> None:
    with pytest.raises(TypeError):
        Limits.read(_LIMITS.plain() | {"electricity": 1})


def test_in_a_workshop_files_may_take_the_output_and_threads_may_reserve_addresses() -> None:
    first, now, _, data, _ = _set(options={"strict": True, "workshop": True})
    assert now["FSIZE"] == _lowered(first["FSIZE"], 1 << 20)
    assert now["AS"] == first["AS"]
    assert data + (2 << 30) <= now["DATA"][0] == now["DATA"][1] < data + (2 << 30) + (64 << 20)
    assert now["MEMLOCK"] == _lowered(first["MEMLOCK"], 0)


def test_who_is_known_to_be_alone_need_not_be_counted() -> None:
    code = """
import json, resource
from nasmith.executors.sandbox.limits import Limits, limit_threads, most_processes

limit_threads(most_processes(Limits(5, 1 << 30, 1, threads=2)), present=1)
print(json.dumps(resource.getrlimit(resource.RLIMIT_NPROC)))
"""
    assert run(code) == [73, 73]
