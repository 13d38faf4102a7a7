from __future__ import annotations

import errno
import os
import platform
import re
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from apart import needs_linux, run

from nasmith.executors.sandbox import kernel

pytestmark = needs_linux

_HEADERS = {
    "x86_64": ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"],
    "aarch64": ["/usr/include/asm-generic/unistd.h"],
}
_ASKING: dict[str, Callable[[], int]] = {
    "getpid": os.getpid,
    "getppid": os.getppid,
    "gettid": threading.get_native_id,
    "getuid": os.getuid,
    "geteuid": os.geteuid,
    "getgid": os.getgid,
    "getegid": os.getegid,
}


def _numbers_in(header: Path) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s", header.read_text())}


@pytest.mark.parametrize("processor", kernel.ARCHITECTURES)
def test_the_numbers_are_those_of_the_systems_own_headers(processor: str) -> None:
    headers = [Path(name) for name in _HEADERS[processor] if Path(name).is_file()]
    if not headers:
        pytest.skip(f"the kernel's headers are not installed: {_HEADERS[processor]}")
    theirs, ours = _numbers_in(headers[0]), kernel.ARCHITECTURES[processor][1]
    theirs.pop("fstatat", None)
    known = {name: theirs[name] for name in ours if name in theirs}
    assert {name: ours[name] for name in known} == known
    assert set(ours) - set(known) <= {"newfstatat"} | ({"clone3"} if processor == "aarch64" else set())


@pytest.mark.parametrize("processor", kernel.ARCHITECTURES)
def test_no_two_calls_have_the_same_number(processor: str) -> None:
    numbers = kernel.ARCHITECTURES[processor][1].values()
    assert len(set(numbers)) == len(numbers)


def test_the_architectures_are_the_kernels_names_of_little_endian_64_bit_processors() -> None:
    machine_ids = {"x86_64": 62, "aarch64": 183}  # EM_X86_64, EM_AARCH64 of <elf.h>
    names = {name: architecture for name, (architecture, _) in kernel.ARCHITECTURES.items()}
    assert names == {name: 0x80000000 | 0x40000000 | number for name, number in machine_ids.items()}


@pytest.mark.parametrize("name", _ASKING)
def test_a_call_returns_what_the_kernel_does(name: str) -> None:
    assert kernel.call(name) == _ASKING[name]()


def test_a_call_takes_arguments_and_makes_descriptors() -> None:
    copy = kernel.call("dup3", 0, 777, os.O_CLOEXEC) if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 777 else os.dup(0)
    assert os.fstat(copy) == os.fstat(0)
    os.close(copy)


def test_a_refused_call_raises_with_the_kernels_reason() -> None:
    with pytest.raises(OSError, match="close: ") as caught:
        kernel.call("close", -1)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(ProcessLookupError):
        kernel.call("kill", 2**31 - 1, 0)


def test_integers_are_passed_as_64_bits() -> None:
    with Path("/proc/self/status").open("rb") as file, pytest.raises(OSError, match="lseek") as caught:
        kernel.call("lseek", file.fileno(), -(1 << 40), os.SEEK_SET)  # of which the low half is 0, which it would take
    assert caught.value.errno == errno.EINVAL


def test_an_unknown_processor_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="x86_64 and aarch64, and not riscv64"):
        kernel.machine()
    with pytest.raises(OSError, match="riscv64"):
        kernel.call("getpid")


def test_this_processors_entry_is_chosen() -> None:
    assert kernel.machine() == kernel.ARCHITECTURES[platform.machine()]


def test_options_of_a_process_are_set() -> None:
    code = """
import json
from pathlib import Path
from nasmith.executors.sandbox import kernel

def state():
    return dict(line.split(":\\t", 1) for line in Path("/proc/self/status").read_text().splitlines())["NoNewPrivs"]

before = state()
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
print(json.dumps([before, state()]))
"""
    assert run(code)[1] == "1"


def test_an_unknown_option_raises() -> None:
    with pytest.raises(OSError, match="prctl") as caught:
        kernel.prctl(123_456, 0)
    assert caught.value.errno == errno.EINVAL
