"""Every attack is contained: as root and as an ordinary user, with namespaces and under Docker's denials, and by bubblewrap.

Each attack is also run without a sandbox, where it must do its harm: what cannot be seen to work proves nothing.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from attacks import ATTACKS, CALLS, MARK, NEEDS_ROOT, NO_CONTROL

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux"),
    pytest.mark.skipif(platform.machine() not in CALLS, reason="the attacks are written for x86-64 and aarch64"),
]

_NOBODY = 65_534
_SECRET = "a-secret-in-the-environment-9f31"
_HERE = Path(__file__).parent
SETTINGS = {
    "as root": ("strict", True, False),
    "as root, where Docker's profile denies": ("strict", True, True),
    "as a user": ("strict", False, False),
    "as a user, where Docker's profile denies": ("strict", False, True),
    "as root, in bubblewrap": ("bwrap", True, False),
    "as a user, in bubblewrap": ("bwrap", False, False),
}
WORKSHOPS = {
    "as root": ("strict", True, False),
    "as a user, where Docker's profile denies": ("strict", False, True),
    "as a user, in bubblewrap": ("bwrap", False, False),
}
ALLOWED_IN_A_WORKSHOP = {  # harms that are none there: its processes are counted and ended, its limits can only be lowered
    "fork bomb",
    "vfork through the C library",
    "a pair of sockets",
    "raising its own limits",
    "locking a library",
}


@cache
def _python(root: bool) -> tuple[str, str]:
    """Return an interpreter that the runner's user may run, and the folder of packages for it."""
    packages = sysconfig.get_paths()["purelib"]
    if root or os.getuid() != 0:
        return sys.executable, packages
    for python in (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin") or ""):
        command = [python, "-c", "import numpy, psutil, nasmith.types"]
        if python and not _call(command, root=False, packages=packages).returncode:
            return python, packages
    pytest.skip("no Python of this version can be run by an ordinary user here, with the packages of this environment")


def _call(command: list[str], *, root: bool, packages: str, **options: Any) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, [_HERE.parent / "src", _HERE, _HERE / "executors", packages]))
    environment = {"PYTHONPATH": path, "NASMITH_TEST_SECRET": _SECRET, "PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1"}
    if not root and os.getuid() == 0:
        options |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, cwd="/", check=False, **options
        )
    except PermissionError as error:
        return subprocess.CompletedProcess(command, 126, "", str(error))


@cache
def _results(level: str, root: bool, deny: bool, workshop: bool = False) -> dict[str, Any]:
    """Run all attacks under one setting."""
    if root and os.getuid() != 0:
        pytest.skip("needs root")
    if level == "bwrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    python, packages = _python(root)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        command = [python, str(_HERE / "attack_runner.py"), level, folder, *(["--deny"] if deny else [])]
        command += ["--workshop"] if workshop else []
        names = [name for name in ATTACKS if "{fork}" not in ATTACKS[name] or platform.machine() == "x86_64"]
        done = _call([*command, *names], root=root, packages=packages)
    if "SandboxError" in done.stderr:
        pytest.skip(f"this machine cannot hold it: {done.stderr.strip().splitlines()[-1][:300]}")
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.xdist_group("attacks")
def test_every_attack_is_contained(setting: str) -> None:
    results = _results(*SETTINGS[setting])["results"]
    assert {name: result for name, result in results.items() if result["harmed"] or result["left"]} == {}
    assert len(results) > 50


@pytest.mark.parametrize("setting", WORKSHOPS)
@pytest.mark.xdist_group("attacks")
def test_every_attack_is_contained_in_a_workshop(setting: str) -> None:
    results = _results(*WORKSHOPS[setting], workshop=True)["results"]
    harmed = {name: result for name, result in results.items() if result["harmed"] and name not in ALLOWED_IN_A_WORKSHOP}
    assert harmed == {}
    assert {name: result for name, result in results.items() if result["left"]} == {}
    assert len(results) > 50


@pytest.mark.xdist_group("attacks")
def test_every_attack_does_its_harm_where_nothing_holds_it() -> None:
    root = os.getuid() == 0
    results = _results("off", root, deny=False)["results"]
    assert [name for name, result in results.items() if not result["harmed"] and name not in NO_CONTROL | NEEDS_ROOT] == []
    if root:
        assert all(results[name]["harmed"] for name in NEEDS_ROOT)


@pytest.mark.xdist_group("attacks")
def test_the_layers_are_those_of_the_setting() -> None:
    denied = _results("strict", os.getuid() == 0, deny=True)["layers"]
    assert denied[:2] == ["Landlock", "seccomp"]
    assert "namespaces" not in denied


def test_no_attack_leaves_a_process() -> None:
    import psutil

    marked = [process for process in psutil.process_iter(["cmdline"]) if MARK in " ".join(process.info["cmdline"] or [])]
    assert marked == []
