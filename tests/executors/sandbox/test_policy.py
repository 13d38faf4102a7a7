from __future__ import annotations

import json
import os
import platform
import select
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apart import needs_linux, run
from executor_workloads import holds

import nasmith
from nasmith.executors.sandbox import landlock, namespaces, policy
from nasmith.executors.sandbox.policy import THREAD_VARIABLES, Level, Sandbox, readable_paths

pytestmark = needs_linux


def _need(level: str) -> None:
    if not holds(level):
        pytest.skip(f"this machine cannot hold a sandbox of the level {level}")


def _covers(paths: Iterable[Path], file: Path) -> bool:
    real = file.resolve()
    return any(path.resolve() in (real, *real.parents) for path in paths)


def test_the_levels_are_those_that_users_write() -> None:
    assert [level.value for level in Level] == ["strict", "namespaces", "bwrap", "off"]
    assert Level("off") is Level.OFF
    with pytest.raises(ValueError, match="stricter"):
        Level("stricter")


# What can be read.


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages: a, b, and the module c."""
    folder = tmp_path / "environment" / "site-packages"
    _fill(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


def _fill(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name / "below").mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "below" / "data").touch()
    (folder / "c.py").touch()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / f"c.{sys.implementation.cache_tag}.pyc").touch()


def test_installed_packages_the_interpreter_and_nasmith_can_be_read(site: Path) -> None:
    paths = list(readable_paths())
    for file in (site / "a" / "__init__.py", site / "c.py", Path(np.__file__), Path(json.__file__), Path(nasmith.__file__)):
        assert _covers(paths, file)
    assert site in paths
    assert _covers(paths, Path(sysconfig.get_paths()["purelib"]))


@pytest.mark.parametrize("hidden", [("a",), ("a", "c"), ("b", "no such module"), ("c",), ("a", "b", "c")])
def test_hidden_modules_are_left_out_and_their_neighbours_kept(site: Path, hidden: tuple[str, ...]) -> None:
    paths = list(readable_paths(hidden))
    files = {"a": site / "a/below/data", "b": site / "b/__init__.py", "c": site / "c.py"}
    assert {name for name, file in files.items() if not _covers(paths, file)} == set(hidden) & set(files)
    assert _covers(paths, Path(np.__file__))
    assert not {site, *site.parents} & set(paths)


def test_a_hidden_modules_compiled_form_is_hidden_too(site: Path) -> None:
    assert not _covers(readable_paths(["c"]), site / "__pycache__" / f"c.{sys.implementation.cache_tag}.pyc")


def test_a_hidden_module_deep_below_a_system_folder_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "lib" / "python3" / "dist-packages"
    _fill(deep)
    (tmp_path / "lib" / "other").touch()
    monkeypatch.syspath_prepend(deep)
    monkeypatch.setattr(policy, "_SYSTEM", (str(tmp_path / "lib"),))
    paths = list(readable_paths(["a"]))
    assert not _covers(paths, deep / "a" / "__init__.py")
    assert _covers(paths, deep / "b" / "__init__.py")
    assert _covers(paths, tmp_path / "lib" / "other")


def test_a_second_copy_of_a_hidden_module_is_hidden_too(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path / "lib" / "python3" / "dist-packages")  # such as the packages of the Python that an environment was made by
    monkeypatch.setattr(policy, "_SYSTEM", (str(tmp_path / "lib"),))
    assert not _covers(readable_paths(["a"]), tmp_path / "lib/python3/dist-packages/a/__init__.py")


def test_a_hidden_module_is_hidden_behind_symbolic_links(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "linked").symlink_to(site / "a")  # imported by this name
    paths = list(readable_paths(["linked"]))
    assert not _covers(paths, site / "a" / "__init__.py")
    assert _covers(paths, site / "b" / "__init__.py")
    (tmp_path / "lib").symlink_to(site.parent)
    monkeypatch.setattr(policy, "_SYSTEM", (str(tmp_path / "lib"),))
    assert not _covers(readable_paths(["b"]), site / "b" / "__init__.py")


def test_looking_for_hidden_modules_imports_none(site: Path) -> None:
    (site / "a" / "__init__.py").write_text("raise SystemExit('imported')")
    list(readable_paths(["a"]))
    assert "a" not in sys.modules


def test_the_projects_folder_and_other_peoples_files_cannot_be_read(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "answers.csv").touch()
    monkeypatch.chdir(project)
    for entry in ("", str(project), "."):
        monkeypatch.syspath_prepend(entry)
    paths = list(readable_paths())
    private = [
        project / "answers.csv",
        Path.home() / ".ssh" / "id_rsa",
        Path(__file__),
        Path("/etc/passwd"),
        Path("/proc/1/environ"),
    ]
    assert [file for file in private if _covers(paths, file)] == []
    assert not {Path("/"), Path("/dev"), Path("/proc"), Path("/tmp"), Path("/usr"), Path()} & set(paths)


# What the system lacks.


def test_a_system_without_landlock_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    for level in (Level.STRICT, Level.NAMESPACES):
        with pytest.raises(OSError, match="this kernel has no Landlock"):
            Sandbox(level)


def test_an_unknown_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    for level in (Level.STRICT, Level.NAMESPACES, Level.BWRAP):
        with pytest.raises(OSError, match="riscv64"):
            Sandbox(level)
    assert Sandbox(Level.OFF).layers == []


def test_namespaces_are_needed_only_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 1)
    monkeypatch.setattr(landlock, "ruleset", lambda *arguments: os.open("/dev/null", os.O_RDONLY))
    monkeypatch.setattr(namespaces, "available", lambda: False)
    with pytest.raises(OSError, match="does not let a process make namespaces"):
        Sandbox(Level.NAMESPACES)
    sandbox = Sandbox(Level.STRICT)
    no_root = ["no root"] if os.geteuid() == 0 else []
    assert sandbox.layers == ["Landlock", "seccomp", *no_root]
    monkeypatch.setattr(namespaces, "available", lambda: True)
    assert Sandbox(Level.NAMESPACES).layers == ["Landlock", "seccomp", "namespaces", *no_root]


def test_devices_are_opened_only_where_a_gpu_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[Path], list[Path]]] = []

    def ruleset(readable: Iterable[Path], devices: Iterable[Path] = ()) -> int:
        asked.append((list(readable), list(devices)))
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(landlock, "version", lambda: 1)
    monkeypatch.setattr(landlock, "ruleset", ruleset)
    monkeypatch.setattr(namespaces, "available", lambda: False)
    monkeypatch.setattr(policy, "_GPU_DEVICES", ("zer*", "full"))
    Sandbox(Level.STRICT)
    Sandbox(Level.STRICT, devices=True)
    assert [sorted(map(str, devices)) for _, devices in asked] == [["/dev/null"], ["/dev/full", "/dev/null", "/dev/zero"]]
    assert [Path("/proc/driver") in readable for readable, _ in asked] == [False, True]


def test_bubblewraps_zygote_closes_what_proc_says_of_it() -> None:
    code = """
import json, os
from nasmith.executors.sandbox import kernel
from nasmith.executors.sandbox.policy import Level, Sandbox

before = kernel.call("prctl", 3, 0, 0, 0, 0)  # PR_GET_DUMPABLE
sandbox = Sandbox(Level.BWRAP)
print(json.dumps([before, kernel.call("prctl", 3, 0, 0, 0, 0), sandbox.layers, sandbox.enter()]))
"""
    layers = ["bubblewrap", "seccomp", *(["no root"] if os.geteuid() == 0 else [])]
    before, after, *rest = run(code)
    assert (after, rest) == (0, [layers, []])
    assert before == 1 or os.geteuid() != 0


# What a process is left with.

_CONFINED = """
import json, os, resource, sys, threading
from pathlib import Path
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.sandbox.policy import Level, Sandbox

threads, others, kept = int(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
os.environ["SECRET"] = "words"
resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
sandbox = Sandbox(Level(sys.argv[1]))
sandbox.enter()
(told, tell), (held, hold) = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    try:
        for number in others:
            os.dup2(0, number)
        limits = Limits(timeout_seconds=9, memory_bytes=1 << 30, output_bytes=1, threads=threads)
        sandbox.confine(limits, keep=[held, tell, *kept])
        found = {"open": [], "environment": dict(os.environ), "pipes": [held, tell]}
        for number in range(1024):
            try:
                os.fstat(number)
                found["open"].append(number)
            except OSError:
                pass
        try:
            thread = threading.Thread(target=bool)
            thread.start()
            thread.join()
            found["thread"] = True
        except RuntimeError:
            found["thread"] = False
        found["limits"] = [resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in ("FSIZE", "NOFILE")]
        os.write(tell, json.dumps(found).encode())
        os.read(held, 1)
    finally:
        os._exit(0)
os.close(tell)
found = json.loads(os.read(told, 100_000))
found["status"] = dict(line.split(":\\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
os.write(hold, b"x")
os.waitpid(pid, 0)
print(json.dumps(found))
"""


@cache
def _confined(
    level: str, threads: int = 1, others: tuple[int, ...] = (200, 201, 203, 255), kept: tuple[int, ...] = (201,)
) -> Any:
    return run(_CONFINED, level, threads, json.dumps(others), json.dumps(kept), stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("level", ["strict", "namespaces", "off"])
def test_only_the_kept_descriptors_stay_open(level: str) -> None:
    _need("strict" if level == "off" else level)
    found = _confined(level)
    assert found["open"] == sorted([0, 1, 2, 201, *found["pipes"]])


def test_descriptors_beyond_the_limit_on_open_files_are_closed_too() -> None:
    _need("strict")
    found = _confined("strict", others=(300, 700), kept=())
    assert found["open"] == sorted([0, 1, 2, *found["pipes"]])


@pytest.mark.parametrize("threads", [1, 3])
def test_the_environment_holds_the_number_of_threads_alone(threads: int) -> None:
    _need("strict")
    assert _confined("strict", threads)["environment"] == dict.fromkeys(THREAD_VARIABLES, str(threads))


def test_threads_can_be_started_only_where_several_are_allowed() -> None:
    _need("strict")
    assert [_confined("strict", threads)["thread"] for threads in (1, 3)] == [False, True]


def test_it_has_a_filter_another_user_than_root_and_no_way_to_gain_rights() -> None:
    _need("strict")
    found = _confined("strict")
    status = found["status"]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert status["Groups"].split() == [] or os.geteuid() != 0
    assert found["limits"] == [0, 256]


def test_it_has_no_capability_but_to_read() -> None:
    _need("strict")
    status = _confined("strict")["status"]
    sets = {name: int(status[name], 16) & ~4 for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}  # 4: CAP_DAC_READ_SEARCH
    assert sets == dict.fromkeys(sets, 0)


def test_two_runs_as_root_have_two_users() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    _need("strict")
    users = [_confined("strict", threads)["status"]["Uid"].split() for threads in (1, 3)]
    assert all(len(set(user)) == 1 for user in users)
    assert users[0] != users[1]


def test_switched_off_it_keeps_the_users_rights_and_environment() -> None:
    found = _confined("off")
    assert found["environment"]["SECRET"] == "words"
    assert found["thread"]
    mine = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    names = ("NoNewPrivs", "Seccomp", "CapEff", "Uid")
    assert {name: found["status"][name] for name in names} == {name: mine[name] for name in names}


def test_a_layer_that_cannot_be_put_on_is_an_error() -> None:
    _need("strict")
    code = """
import json, os, sys
from nasmith.executors.sandbox import landlock, seccomp
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.sandbox.policy import Level, Sandbox

def refuse(*arguments):
    raise OSError("refused by the kernel")

sandbox = Sandbox(Level.STRICT)
setattr(*{"landlock": (landlock, "restrict"), "seccomp": (seccomp, "install")}[sys.argv[1]], refuse)
try:
    sandbox.confine(Limits(timeout_seconds=9, memory_bytes=1 << 30, output_bytes=1, threads=1), keep=[])
except OSError as error:
    print(json.dumps(str(error)))
"""
    assert [run(code, layer) for layer in ("landlock", "seccomp")] == ["refused by the kernel"] * 2


_ORPHAN = """
import os, sys
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.sandbox.policy import Level, Sandbox

sandbox = Sandbox(Level(sys.argv[1]))
sandbox.enter()
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    sandbox.confine(Limits(timeout_seconds=9, memory_bytes=1 << 30, output_bytes=1, threads=1), keep=[read, write])
    os.write(1, b"confined\\n")
    os.read(read, 1)
    os._exit(0)
sys.stdin.readline()
os.write(1, f"{pid}\\n".encode())
sys.stdin.read()
"""


@pytest.mark.parametrize("level", ["strict", "off"])
def test_it_ends_with_the_process_that_watches_it(level: str) -> None:
    if level != "off":
        _need(level)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _ORPHAN, level], **pipes, text=True) as watcher:  # type: ignore[call-overload]
        try:
            assert watcher.stdout.readline() == "confined\n"
            watcher.stdin.write("\n")
            watcher.stdin.flush()
            end = os.pidfd_open(int(watcher.stdout.readline()))
            assert select.select([end], [], [], 0)[0] == []
        finally:
            watcher.send_signal(signal.SIGKILL)
        found = select.select([end], [], [], 30)[0]
        if not found:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        os.close(end)
        assert found == [end]
