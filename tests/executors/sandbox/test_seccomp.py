"""The filter is run by an interpreter of its own, for both processors; a few tests put it on in a process of their own."""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Sequence
from functools import cache

import pytest
from apart import needs_linux, run
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.executors.sandbox import kernel
from nasmith.executors.sandbox.seccomp import Freedom, Rule, assemble, rules

pytestmark = needs_linux

_PID = 4242
_ALLOW, _KILL = "allow", "kill"
_BOTH = tuple(kernel.ARCHITECTURES)
_each_processor = pytest.mark.parametrize("processor", _BOTH)
_HIGH = 1 << 32

_ONLY_X86 = {"open", "stat", "lstat", "access", "readlink", "dup2", "pipe", "poll", "select", "time", "alarm", "arch_prctl"}
_DANGEROUS = {
    "x86_64": {
        "sendfile": 40, "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "socketpair": 53,
        "fork": 57, "vfork": 58, "execve": 59, "shmget": 29, "shmat": 30, "semget": 64, "msgget": 68, "flock": 73,
        "truncate": 76, "ftruncate": 77, "chdir": 80, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86,
        "unlink": 87, "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92, "umask": 95, "ptrace": 101, "setuid": 105,
        "setpgid": 109, "setsid": 112, "capset": 126, "rt_sigqueueinfo": 129, "utime": 132, "mknod": 133, "setpriority": 141,
        "sched_setscheduler": 144, "prctl": 157, "setrlimit": 160, "chroot": 161, "mount": 165, "reboot": 169, "tkill": 200,
        "io_setup": 206, "mq_open": 240, "keyctl": 250, "inotify_init": 253, "unlinkat": 263, "renameat": 264, "fchmodat": 268,
        "unshare": 272, "splice": 275, "utimensat": 280, "signalfd": 282, "eventfd": 284, "fallocate": 285,
        "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
        "process_vm_writev": 311, "kcmp": 312, "sched_setattr": 314, "renameat2": 316, "seccomp": 317, "memfd_create": 319,
        "bpf": 321, "execveat": 322, "userfaultfd": 323, "pkey_alloc": 330, "pidfd_send_signal": 424, "io_uring_setup": 425,
        "open_tree": 428, "pidfd_open": 434, "openat2": 437, "pidfd_getfd": 438, "process_madvise": 440,
        "landlock_restrict_self": 446, "memfd_secret": 447, "fchmodat2": 452,
    },
    "aarch64": {
        "io_setup": 0, "setxattr": 5, "inotify_init1": 26, "flock": 32, "mknodat": 33, "mkdirat": 34, "unlinkat": 35,
        "symlinkat": 36, "linkat": 37, "renameat": 38, "mount": 40, "truncate": 45, "ftruncate": 46, "fallocate": 47,
        "chdir": 49, "chroot": 51, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "sendfile": 71, "signalfd4": 74,
        "splice": 76, "utimensat": 88, "capset": 91, "unshare": 97, "ptrace": 117, "sched_setscheduler": 119, "tkill": 130,
        "rt_sigqueueinfo": 138, "setpriority": 140, "setuid": 146, "setpgid": 154, "setsid": 157, "setrlimit": 164,
        "umask": 166, "mq_open": 180, "msgget": 186, "semget": 190, "shmget": 194, "socket": 198, "socketpair": 199,
        "bind": 200, "connect": 203, "sendto": 206, "sendmsg": 211, "keyctl": 219, "execve": 221, "rt_tgsigqueueinfo": 240,
        "perf_event_open": 241, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271,
        "sched_setattr": 274, "renameat2": 276, "seccomp": 277, "memfd_create": 279, "bpf": 280, "execveat": 281,
        "userfaultfd": 282, "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "openat2": 437,
        "pidfd_getfd": 438, "landlock_restrict_self": 446, "fchmodat2": 452,
    },
}  # fmt: skip


def _interpret(program: bytes, architecture: int, number: int, arguments: Sequence[int] = ()) -> str | int:
    """Run the program as the kernel does, and return "allow", "kill" or the error."""
    words = [*arguments, *[0xA5A5A5A5A5A5A5A5] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, architecture, 0x7F0000001000, *(word % (1 << 64) for word in words))
    steps = list(struct.iter_unpack("<HBBI", program))
    place = accumulator = 0
    while True:
        assert place < len(steps), "ran past the end of the program"
        code, when_true, when_false, value = steps[place]
        place += 1
        if code == 0x20:  # load a word
            assert value % 4 == 0
            assert value + 4 <= len(data)
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x15:  # equal
            place += when_true if accumulator == value else when_false
        elif code == 0x35:  # at least
            place += when_true if accumulator >= value else when_false
        elif code == 0x54:  # and
            accumulator &= value
        elif code == 0x06:  # return
            return _action(value)
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def _action(value: int) -> str | int:
    if value == 0x7FFF0000:
        return _ALLOW
    if value == 0x80000000:
        return _KILL
    assert value >> 16 == 5, f"neither an error nor an action that is used here: {value:#x}"
    return value & 0xFFFF


@cache
def _program(processor: str, threads: int = 1, devices: bool = False) -> bytes:
    return assemble(rules(_PID, threads, devices), *kernel.ARCHITECTURES[processor])


def _decide(processor: str, name: str, *arguments: int, threads: int = 1, devices: bool = False) -> str | int:
    architecture, numbers = kernel.ARCHITECTURES[processor]
    return _interpret(_program(processor, threads, devices), architecture, numbers[name], arguments)


def _expected(rule: Rule | None, arguments: Sequence[int]) -> str | int:
    """Say by the words of `Rule` what the filter must do."""
    if rule is None:
        return errno.EPERM
    held = all(arguments[place] & 0xFFFFFFFF & mask in values for place, mask, values in rule.conditions)
    return _ALLOW if held and all(arguments[place] == 0 for place in rule.null) else rule.otherwise


@_each_processor
@pytest.mark.parametrize(("threads", "devices"), [(1, False), (4, False), (1, True), (4, True)])
def test_calls_without_conditions_are_allowed_and_numbers_without_rules_refused(
    processor: str, threads: int, devices: bool
) -> None:
    architecture, numbers = kernel.ARCHITECTURES[processor]
    allowed = rules(_PID, threads, devices)
    by_number = {numbers[name]: rule for name, rule in allowed.items() if name in numbers}
    free = {number for number, rule in by_number.items() if rule == Rule()}
    program = _program(processor, threads, devices)
    for arguments in ((), (0,) * 6, ((1 << 64) - 1,) * 6):
        found = {number: _interpret(program, architecture, number, arguments) for number in range(601)}
        assert {number for number, action in found.items() if action == _ALLOW and number not in by_number} == set()
        assert {number: found[number] for number in free} == dict.fromkeys(free, _ALLOW)
        refused = {action for number, action in found.items() if number not in by_number}
        assert refused == {errno.EPERM}
    assert len(free) > 50


@_each_processor
@pytest.mark.parametrize("devices", [False, True])
def test_what_an_attack_needs_is_refused(processor: str, devices: bool) -> None:
    architecture = kernel.ARCHITECTURES[processor][0]
    program = _program(processor, threads=4, devices=devices)
    found = {name: _interpret(program, architecture, number) for name, number in _DANGEROUS[processor].items()}
    assert {name: action for name, action in found.items() if action != errno.EPERM} == {}


@_each_processor
def test_every_name_has_a_number_and_none_is_a_typo(processor: str) -> None:
    names = set(rules(_PID, 4, True)) | set(rules(_PID, 1))
    missing = names - set(kernel.ARCHITECTURES[processor][1])
    assert missing == (set() if processor == "x86_64" else _ONLY_X86)


@_each_processor
def test_every_number_in_the_tables_serves_a_rule_or_the_sandbox_itself(processor: str) -> None:
    own = {"seccomp", "capset", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    numbers, workshop = set(kernel.ARCHITECTURES[processor][1]), Freedom(signals=True, modes=True)
    assert numbers - set(rules(_PID, 1, False, workshop)) == own


@_each_processor
def test_another_architecture_ends_the_process(processor: str) -> None:
    own = kernel.ARCHITECTURES[processor][0]
    strangers = {architecture for architecture, _ in kernel.ARCHITECTURES.values()} - {own}
    strangers |= {0x40000003, 0x40000028, 0, 0xFFFFFFFF, own & 0x7FFFFFFF, own & 0xBFFFFFFF, own + 1}  # 32-bit x86, ARM, …
    program = _program(processor)
    found = {(a, n): _interpret(program, a, n) for a in strangers for n in (*range(300), 0xFFFFFFFF)}
    assert set(found.values()) == {_KILL}


@_each_processor
def test_numbers_of_the_other_abi_of_x86_64_end_the_process(processor: str) -> None:
    architecture = kernel.ARCHITECTURES[processor][0]
    numbers = [*(0x40000000 | n for n in range(601)), 0x80000000, 0xC0000000, 0xFFFFFFFF]
    assert {_interpret(_program(processor), architecture, number) for number in numbers} == {_KILL}
    assert _interpret(_program(processor), architecture, 0x3FFFFFFF) == errno.EPERM


@_each_processor
@pytest.mark.parametrize("name", ["kill", "tgkill"])
def test_signals_reach_nobody_but_itself(processor: str, name: str) -> None:
    assert _decide(processor, name, _PID, 9) == _ALLOW
    assert _decide(processor, name, _PID | 0xDEADBEEF00000000, 9) == _ALLOW  # the kernel takes the low word: the same process
    for other in (0, 1, -1, -_PID, _PID + 1, _PID - 1, 0xFFFFFFFF, _HIGH, _PID << 32, (1 << 31) | _PID):
        assert _decide(processor, name, other, 9) == errno.EPERM, other


@_each_processor
def test_limits_can_be_asked_for_and_never_set(processor: str) -> None:
    for pid in (0, _PID, _PID | _HIGH):
        assert _decide(processor, "prlimit64", pid, 7, 0, 0x7FFF1234) == _ALLOW
        for new in (1, 0x7FFF5678, _HIGH, 0x7FFF_0000_0000, 1 << 63, -1):
            assert _decide(processor, "prlimit64", pid, 7, new, 0) == errno.EPERM, new
    for pid in (1, -1, _PID + 1, _PID << 32 | 1):
        assert _decide(processor, "prlimit64", pid, 7, 0, 0x7FFF1234) == errno.EPERM, pid


@_each_processor
def test_the_processors_are_chosen_for_itself_alone(processor: str) -> None:
    assert {_decide(processor, "sched_setaffinity", pid, 8, 1) for pid in (0, _PID)} == {_ALLOW}
    assert {_decide(processor, "sched_setaffinity", pid, 8, 1) for pid in (1, -1, _PID + 1)} == {errno.EPERM}


@_each_processor
def test_descriptors_are_copied_and_asked_about_and_nothing_else(processor: str) -> None:
    commands = {"F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_DUPFD_CLOEXEC": 1030}
    assert {name: _decide(processor, "fcntl", 5, command, 1) for name, command in commands.items()} == dict.fromkeys(
        commands, _ALLOW
    )
    refused = {
        "F_SETFL": 4, "F_GETLK": 5, "F_SETLK": 6, "F_SETLKW": 7, "F_SETOWN": 8, "F_GETOWN": 9, "F_SETSIG": 10,
        "F_SETOWN_EX": 15, "F_OFD_SETLK": 37, "F_SETLEASE": 1024, "F_NOTIFY": 1026, "F_SETPIPE_SZ": 1031,
        "F_ADD_SEALS": 1033, "F_SET_RW_HINT": 1036, "-1": -1,
    }  # fmt: skip
    found = {name: _decide(processor, "fcntl", 5, command, 1) for name, command in refused.items()}
    assert found == dict.fromkeys(refused, errno.EPERM)
    assert _decide(processor, "fcntl", 5, 8 | _HIGH, 1) == errno.EPERM


@_each_processor
def test_options_of_the_process_are_names_only(processor: str) -> None:
    allowed = {option for option in range(100) if _decide(processor, "prctl", option) == _ALLOW}
    assert allowed == {15, 16}  # PR_SET_NAME, PR_GET_NAME
    assert _decide(processor, "prctl", 0x53564D41) == _ALLOW  # PR_SET_VMA
    others = {"PR_SET_PTRACER": 0x59616D61, "PR_SET_MDWE": 65, "-1": -1}
    assert {name: _decide(processor, "prctl", option) for name, option in others.items()} == dict.fromkeys(others, errno.EPERM)


_VM, _SIGHAND, _THREAD = 0x100, 0x800, 0x10000
_OF_GLIBC = 0x3D0F00  # what pthread_create asks for
_NAMESPACES = {
    "time": 0x80, "mount": 0x20000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip


@_each_processor
def test_with_one_thread_none_can_be_started(processor: str) -> None:
    for flags in (0, signal.SIGCHLD, _VM | _THREAD | _SIGHAND, _OF_GLIBC, -1):
        assert _decide(processor, "clone", flags) == errno.EAGAIN


@_each_processor
@pytest.mark.parametrize(("threads", "devices"), [(2, False), (1, True)])
def test_with_several_threads_no_process_and_no_namespace_can_be_started(processor: str, threads: int, devices: bool) -> None:
    def clone(flags: int) -> str | int:
        return _decide(processor, "clone", flags, threads=threads, devices=devices)

    assert clone(_OF_GLIBC) == clone(_VM | _THREAD | _SIGHAND) == _ALLOW
    wanted = (_VM, _THREAD, _SIGHAND)
    lacking = [0, signal.SIGCHLD, _OF_GLIBC << 32, *(_OF_GLIBC & ~flag for flag in wanted), *wanted]
    assert {flags: clone(flags) for flags in lacking} == dict.fromkeys(lacking, errno.EPERM)
    found = {name: clone(_OF_GLIBC | flag) for name, flag in _NAMESPACES.items()}
    assert found == dict.fromkeys(_NAMESPACES, errno.EPERM)


@_each_processor
@pytest.mark.parametrize(("threads", "devices"), [(1, False), (8, False), (8, True)])
def test_the_newer_clone_looks_as_if_the_kernel_had_none(processor: str, threads: int, devices: bool) -> None:
    assert _decide(processor, "clone3", 0, 88, threads=threads, devices=devices) == errno.ENOSYS


@_each_processor
def test_only_where_a_gpu_is_used_drivers_are_spoken_to(processor: str) -> None:
    for request in (0, 0x5401, 0x5412, -1):  # TCGETS, which isatty() asks, and TIOCSTI among them
        assert _decide(processor, "ioctl", 0, request) == errno.ENOTTY
        assert _decide(processor, "ioctl", 0, request, devices=True) == _ALLOW


_VALUES = st.sampled_from([0, 1, 2, 8, _PID, _PID + 1, 1030, _OF_GLIBC, 0x11, _HIGH, _PID | _HIGH, (1 << 64) - 1])
_ARGUMENTS = st.lists(_VALUES | st.integers(0, (1 << 64) - 1), min_size=6, max_size=6)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(_BOTH),
    st.sampled_from(sorted(rules(_PID, 1))) | st.integers(0, 1023) | st.integers(0, (1 << 32) - 1),
    _ARGUMENTS,
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_whatever_is_called_the_program_ends_as_its_rules_say(
    processor: str, call: str | int, arguments: list[int], threads: int, devices: bool
) -> None:
    architecture, numbers = kernel.ARCHITECTURES[processor]
    number = call if isinstance(call, int) else numbers.get(call, 599)
    names = {number: name for name, number in numbers.items()}
    found = _interpret(_program(processor, threads, devices), architecture, number, arguments)
    rule = rules(_PID, threads, devices).get(names.get(number, ""))
    assert found == (_KILL if number >= 0x40000000 else _expected(rule, arguments))


_CONDITIONS = st.tuples(
    st.integers(0, 5),
    st.sampled_from([0xFFFFFFFF, 0xFF, 0xF0, 1]),
    st.lists(st.integers(0, 255) | st.just(0xFFFFFFFF), max_size=5).map(tuple),
)
_RULES = st.builds(
    Rule, st.lists(_CONDITIONS, max_size=3), st.lists(st.integers(0, 5), max_size=2), st.sampled_from([1, 11, 25])
)
_SMALL = st.lists(st.integers(0, 255) | st.sampled_from([0xFFFFFFFF, _HIGH, _HIGH | 1]), min_size=6, max_size=6)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(["read", "write", "close"]), _RULES, max_size=3), _SMALL, st.sampled_from([0, 1, 3]))
def test_any_rules_are_assembled_into_what_they_say(allowed: dict[str, Rule], arguments: list[int], number: int) -> None:
    architecture, numbers = kernel.ARCHITECTURES["x86_64"]
    name = {0: "read", 1: "write", 3: "close"}[number]
    found = _interpret(assemble(allowed, architecture, numbers), architecture, number, arguments)
    assert found == _expected(allowed.get(name), arguments)


@_each_processor
def test_the_program_is_short_enough_for_the_kernel(processor: str) -> None:
    assert len(_program(processor, 4, True)) // 8 < 4096
    assert len(_program(processor, 4, True)) % 8 == 0


_LIVE = """
import ctypes, errno, json, os, signal, socket, sys, threading
from nasmith.executors.sandbox import kernel, seccomp

threads = int(sys.argv[1])
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install(seccomp.filter_for(threads, False))
found = {}

def note(name, attempt):
    try:
        attempt()
        found[name] = "done"
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error))
    except RuntimeError as error:
        found[name] = str(error)

def thread():
    started = threading.Thread(target=bool)
    started.start()
    started.join()

note("socket", lambda: socket.socket(socket.AF_INET))
note("fork", lambda: os.fork() or os._exit(0))
note("exec", lambda: os.execv("/bin/true", ["true"]))
note("parent", lambda: os.kill(os.getppid(), 0))
note("itself", lambda: os.kill(os.getpid(), 0))
note("chmod", lambda: os.chmod("/", 0o755))
note("terminal", lambda: os.get_terminal_size(0))
note("listing", lambda: os.listdir("/"))
note("thread", thread)
print(json.dumps(found))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_the_kernel_decides_as_the_interpreter_does(threads: int) -> None:
    assert run(_LIVE, threads) == {
        "socket": "EPERM",
        "fork": "EAGAIN" if threads == 1 else "EPERM",
        "exec": "EPERM",
        "parent": "EPERM",
        "itself": "done",
        "chmod": "EPERM",
        "terminal": "ENOTTY",
        "listing": "done",
        "thread": "can't start new thread" if threads == 1 else "done",
    }


def test_a_program_that_is_none_is_refused_by_the_kernel() -> None:
    code = """
import json
from nasmith.executors.sandbox import kernel, seccomp

kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
try:
    seccomp.install(b"\\xff" * 8)
except OSError as error:
    print(json.dumps(error.errno))
"""
    assert run(code) == errno.EINVAL


def test_a_call_of_the_other_abi_ends_a_process() -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("only x86-64 has another ABI of 64 bits")
    code = """
import ctypes, json, os
from nasmith.executors.sandbox import kernel, seccomp

pid = os.fork()
if pid == 0:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(seccomp.filter_for(1, False))
    ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))
    os._exit(0)
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
"""
    assert run(code) == -signal.SIGSYS


# What a job with a workshop may ask for.

_FREEDOMS = [Freedom(signals, modes) for signals in (False, True) for modes in (False, True)]
_STILL_REFUSED = {
    "socket", "connect", "accept", "bind", "shmget", "semget", "msgget", "chown", "fchownat", "ptrace", "setuid", "capset",
    "mknod", "mknodat", "rt_sigqueueinfo", "setpriority", "sched_setscheduler", "chroot", "mount", "reboot", "tkill",
    "io_setup", "mq_open", "keyctl", "unshare", "perf_event_open", "open_by_handle_at", "setns", "process_vm_readv",
    "process_vm_writev", "kcmp", "seccomp", "memfd_create", "bpf", "execveat", "userfaultfd", "pidfd_send_signal",
    "io_uring_setup", "pidfd_open", "openat2", "pidfd_getfd", "process_madvise", "landlock_restrict_self", "memfd_secret",
}  # fmt: skip


_FREE = Freedom(signals=True, modes=True)


def _in_a_workshop(processor: str, name: str, *arguments: int, freedom: Freedom = _FREE) -> str | int:
    architecture, numbers = kernel.ARCHITECTURES[processor]
    known = numbers | _DANGEROUS[processor]
    program = assemble(rules(_PID, 1, False, freedom), architecture, numbers)
    return _interpret(program, architecture, known[name], (*arguments, *(0,) * (6 - len(arguments))))


@_each_processor
def test_a_workshop_gives_no_sockets_no_tracing_and_nothing_of_the_kernels_depths(processor: str) -> None:
    names = sorted(_STILL_REFUSED & set(_DANGEROUS[processor]))
    assert len(names) > 20
    assert {name: _in_a_workshop(processor, name) for name in names} == dict.fromkeys(names, errno.EPERM)


@_each_processor
def test_a_workshop_gives_processes_and_files(processor: str) -> None:
    for name in ("execve", "mkdirat", "unlinkat", "renameat2", "ftruncate", "setsid", "pwrite64", "epoll_create1"):
        assert _in_a_workshop(processor, name) == _ALLOW
    assert _in_a_workshop(processor, "clone", 17) == _ALLOW  # SIGCHLD: a fork
    hidden = {"new user namespace": 0x10000000, "parent": 0x8000, "traced": 0x2000, "untraced": 0x800000}
    assert {_in_a_workshop(processor, "clone", 17 | flag) for flag in hidden.values()} == {errno.EPERM}


@_each_processor
def test_pairs_of_sockets_are_local_streams(processor: str) -> None:
    local, internet, stream, datagram, closing = 1, 2, 1, 2, 0o2000000
    assert _in_a_workshop(processor, "socketpair", local, stream | closing) == _ALLOW
    assert _in_a_workshop(processor, "socketpair", local, datagram) == errno.EPERM
    assert _in_a_workshop(processor, "socketpair", internet, stream) == errno.EPERM


@_each_processor
@pytest.mark.parametrize("freedom", _FREEDOMS)
def test_signals_and_modes_are_as_free_as_the_other_layers_make_them_harmless(processor: str, freedom: Freedom) -> None:
    others = _ALLOW if freedom.signals else errno.EPERM
    assert [_in_a_workshop(processor, "kill", pid, freedom=freedom) for pid in (_PID, 0, 1, _PID + 1)] == [
        _ALLOW,
        _ALLOW,
        others,
        others,
    ]
    assert _in_a_workshop(processor, "fchmodat", freedom=freedom) == (_ALLOW if freedom.modes else 0)
    assert _in_a_workshop(processor, "utimensat", freedom=freedom) == 0  # it claims success and does nothing


@_each_processor
def test_the_program_of_a_workshop_is_short_enough_for_the_kernel(processor: str) -> None:
    program = assemble(rules(_PID, 1, True, _FREE), *kernel.ARCHITECTURES[processor])
    assert len(program) // 8 < 4096
