from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apart import needs_linux, needs_root, run
from executor_workloads import holds

from nasmith.executors.sandbox.canary import ATTEMPTS, IN_A_WORKSHOP, main, try_out
from nasmith.executors.sandbox.policy import Level, Sandbox

pytestmark = needs_linux
_needs_a_sandbox = pytest.mark.skipif(not holds(), reason="this machine cannot hold a sandbox")

_WEAKENED = """
import json, os, sys, tempfile
from nasmith.executors.sandbox import canary, identity, landlock, policy, seccomp
from nasmith.executors.sandbox.policy import Level, Sandbox

tempfile._candidate_tempdir_list = lambda: [sys.argv[1]]  # what cannot be removed any more is left there
weak, without_namespaces = json.loads(sys.argv[2]), sys.argv[3] == "True"
places = {"landlock": (landlock, "restrict"), "seccomp": (seccomp, "install"), "identity": (identity, "become_nobody"),
          "limits": (policy, "set_limits")}
sandbox = Sandbox(Level.STRICT)
if without_namespaces:
    sandbox.namespaces = False
for name in weak:
    setattr(*places[name], lambda *arguments, **options: None)
print(json.dumps(canary.try_out(sandbox)))
"""

_FILES, _ENVIRONMENT, _WRITE, _MODES, _NETWORK, _PROCESSES, _SIGNALS = ATTEMPTS


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which everybody may write, as /tmp is."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def _found(folder: Path, *weak: str, without_namespaces: bool = False) -> set[str]:
    found: Any = run(_WEAKENED, folder, json.dumps(weak), without_namespaces)
    assert len(found) == len(set(found))
    return set(found)


@_needs_a_sandbox
def test_a_whole_sandbox_holds(folder: Path) -> None:
    assert _found(folder) == set()
    assert _found(folder, without_namespaces=True) == set()


def test_switched_off_it_forbids_nothing() -> None:
    assert try_out(Sandbox(Level.OFF)) == list(ATTEMPTS)
    assert len(ATTEMPTS) == 7


@_needs_a_sandbox
def test_without_landlock_files_can_be_read(folder: Path) -> None:
    found = _found(folder, "landlock")
    assert _FILES in found
    assert not found & {_MODES, _NETWORK, _PROCESSES, _SIGNALS}


@_needs_a_sandbox
def test_without_landlock_files_can_be_written(folder: Path) -> None:
    assert _WRITE in _found(folder, "landlock")


@_needs_a_sandbox
@pytest.mark.parametrize("without_namespaces", [False, True])
def test_without_the_filter_connections_and_processes_are_found(folder: Path, without_namespaces: bool) -> None:
    found = _found(folder, "seccomp", without_namespaces=without_namespaces)
    assert {_NETWORK, _PROCESSES} <= found
    assert not found & {_FILES, _ENVIRONMENT, _WRITE}


@_needs_a_sandbox
@needs_root
def test_with_roots_rights_and_nothing_else_everything_is_found(folder: Path) -> None:
    found = _found(folder, "landlock", "seccomp", "identity", "limits", without_namespaces=True)
    assert found == set(ATTEMPTS)


@_needs_a_sandbox
@needs_root
def test_one_layer_that_is_missing_is_made_up_for_by_the_others(folder: Path) -> None:
    assert _found(folder, "identity") == set()
    found = _found(folder, "identity", "seccomp", without_namespaces=True)
    assert {_MODES, _NETWORK, _PROCESSES} <= found
    assert not found & {_FILES, _ENVIRONMENT, _WRITE}


_FAILING = """
import json, os, sys, tempfile
from nasmith.executors.sandbox import canary
from nasmith.executors.sandbox.policy import Level, Sandbox

first = tempfile.mkdtemp() if "once" in sys.argv[1] else ""

def die_once():
    if os.path.isdir(first):
        os.rmdir(first)
        os._exit(0)

class Weak(Sandbox):
    def __init__(self):
        self.level, self.workshop, self._place = Level.STRICT, False, None
    def enter(self):
        if sys.argv[1] == "enter":
            raise OSError("refused at the door")
        if sys.argv[1] == "dies early":
            os._exit(0)
        if sys.argv[1] == "dies early, once":
            die_once()
    def confine(self, limits, keep, folder=None):
        if sys.argv[1] == "confine":
            raise OSError("refused inside")
        if sys.argv[1] == "crashes":
            raise LookupError

def succeed():
    pass

def refused():
    raise PermissionError

def die():
    os._exit(0)

ends = {"dies late": die, "dies late, once": die_once}
canary.ATTEMPTS = {"one": succeed, "two": refused, "three": ends.get(sys.argv[1], succeed)}
descriptors = os.listdir("/proc/self/fd")
try:
    found = canary.try_out(Weak())
except OSError as error:
    found = str(error)
try:
    os.waitpid(-1, os.WNOHANG)
    found = "a child was left"
except ChildProcessError:
    pass
print(json.dumps([found, os.listdir("/proc/self/fd") == descriptors]))
"""


@pytest.mark.parametrize(
    ("failing", "found"),
    [
        ("nothing", ["one", "three"]),
        ("enter", "refused at the door"),
        ("confine", "refused inside"),
        ("dies early", "the process that tries the sandbox died"),
        ("crashes", "the process that tries the sandbox died"),
        ("dies early, once", ["one", "three"]),
        ("dies late, once", ["one", "three"]),
        ("dies late", "the process that tries the sandbox was ended before it had tried everything"),
    ],
)
def test_what_cannot_be_tried_is_never_taken_to_hold(failing: str, found: object) -> None:
    assert run(_FAILING, failing) == [found, True]


def test_every_attempt_succeeds_for_one_that_nothing_holds() -> None:
    code = """
import json
from nasmith.executors.sandbox.canary import ATTEMPTS

done = []
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        done.append(name)
    except OSError:
        pass
print(json.dumps(done))
"""
    mine = os.stat(sys.modules[try_out.__module__].__file__ or "").st_uid  # noqa: PTH116 - whose modes this process may change
    expected = [name for name in ATTEMPTS if name != _MODES or os.geteuid() in (0, mine)]
    assert run(code) == expected


def _program(level: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "nasmith.executors.sandbox.canary", level]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_program_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    main("off")
    assert json.loads(capsys.readouterr().out) == {"layers": [], "leaks": list(ATTEMPTS), "refused": ""}


@_needs_a_sandbox
def test_the_program_names_the_layers_of_a_sandbox_that_holds() -> None:
    found = _program("strict")
    assert (found["leaks"], found["refused"], found["layers"][:2]) == ([], "", ["Landlock", "seccomp"])
    assert ("no root" in found["layers"]) == (os.geteuid() == 0)


def test_the_program_gives_the_reason_of_a_refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from nasmith.executors.sandbox import landlock

    monkeypatch.setattr(landlock, "version", lambda: 0)
    main("strict")
    found = json.loads(capsys.readouterr().out)
    assert (found["layers"], found["leaks"]) == ([], [])
    assert "no Landlock" in found["refused"]


# In a workshop.

_WORKSHOP = """
import json, sys
from nasmith.executors.sandbox import canary, identity, landlock, namespaces, seccomp
from nasmith.executors.sandbox.policy import Level, Sandbox

weak, spaces = json.loads(sys.argv[1]), json.loads(sys.argv[2])
if not spaces:
    namespaces.available = lambda **options: False
for name in weak:
    place = {"restrict": landlock, "install": seccomp, "become_nobody": identity}[name]
    setattr(place, name, lambda *arguments, **options: None)
sandbox = Sandbox(Level.STRICT, workshop=True)
try:
    print(json.dumps(canary.try_out(sandbox)))
except OSError as error:
    print(json.dumps(str(error)))
finally:
    sandbox.close()
"""


@_needs_a_sandbox
@pytest.mark.parametrize("spaces", [True, False])
def test_in_a_workshop_network_files_keys_and_other_processes_are_out_of_reach(spaces: bool) -> None:
    assert run(_WORKSHOP, "[]", json.dumps(spaces)) == []


@_needs_a_sandbox
def test_in_a_workshop_a_layer_that_is_missing_is_found() -> None:
    assert "read files outside the libraries" in run(_WORKSHOP, '["restrict"]', "false")
    assert {"open network connections", "open connections to other programs"} <= set(run(_WORKSHOP, '["install"]', "false"))


@_needs_a_sandbox
@needs_root
def test_in_a_workshop_with_no_layer_everything_is_found() -> None:
    found = run(_WORKSHOP, '["restrict", "install", "become_nobody"]', "false")
    assert set(found) == set(IN_A_WORKSHOP)


@_needs_a_sandbox
def test_a_workshop_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    code = _WORKSHOP.replace("sandbox = Sandbox", "canary._use_the_workshop = lambda: open('/proc/1/mem')\nsandbox = Sandbox")
    assert "Permission denied" in run(code, "[]", "true")
