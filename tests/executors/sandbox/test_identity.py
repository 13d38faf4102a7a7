from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from apart import needs_linux, needs_root, run

from nasmith.executors.sandbox.identity import readable_by_all, unused_uid

pytestmark = needs_linux

_FIRST, _LAST = 61_184, 65_279

_NOBODY = """
import errno, json, os, sys
from pathlib import Path
from nasmith.executors.sandbox.identity import become_nobody

def attempts(*names):
    found = []
    for name in names:
        try:
            found.append(eval(name))
        except OSError as error:
            found.append(errno.errorcode[error.errno])
    return [value if isinstance(value, str) else "done" for value in found]

secret, keep = Path(sys.argv[1]), sys.argv[2] == "True"
become_nobody(61_999, keep)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
kept = {name: status[name].split() for name in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb")}
again = attempts("os.setuid(0)", "os.seteuid(0)", "os.setresuid(0, 0, 0)", "os.setgid(0)", "os.setgroups([0])",
    "os.setresuid(61_184, -1, -1)")
files = attempts(
    "secret.read_text()", "secret.write_text('forged')", "secret.with_name('new').touch()", "os.chmod(secret, 0o666)",
    "secret.unlink()", "os.kill(os.getppid(), 0)",
)
print(json.dumps([kept, again, files]))
"""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("words")
    path.chmod(0o600)
    tmp_path.chmod(0o700)
    return path


@needs_root
@pytest.mark.parametrize("keep_reading", [False, True])
def test_nobody_has_no_rights_but_reading_where_that_is_kept(secret: Path, keep_reading: bool) -> None:
    kept, again, files = run(_NOBODY, secret, keep_reading, extra_groups=[0, 4])
    assert kept["Uid"] == kept["Gid"] == ["61999"] * 4
    assert kept["Groups"] == []
    capability = "0000000000000004" if keep_reading else "0" * 16  # CAP_DAC_READ_SEARCH
    assert (kept["CapPrm"], kept["CapEff"]) == ([capability], [capability])
    assert kept["CapInh"] == kept["CapAmb"] == ["0" * 16]
    assert again == ["EPERM"] * 6
    assert files == [
        "words" if keep_reading else "EACCES",
        *["EACCES"] * 2,
        *(["EPERM"] if keep_reading else ["EACCES"]),
        *files[4:],
    ]
    assert files[4:] == ["EACCES", "EPERM"]
    assert secret.read_text() == "words"


@needs_root
@pytest.mark.parametrize("keep_reading", [False, True])
def test_what_nobody_starts_has_no_rights_at_all(keep_reading: bool) -> None:
    code = """
import json, os, sys
from nasmith.executors.sandbox.identity import become_nobody

become_nobody(61_999, sys.argv[1] == "True")
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    os.dup2(write, 1)
    line = "while read -r name value; do [ $name = CapEff: ] && echo $value; done < /proc/self/status"
    os.execv("/bin/sh", ["sh", "-c", line])
os.waitpid(pid, 0)
print(json.dumps(os.read(read, 100).decode().split()))
"""
    assert run(code, keep_reading) == ["0" * 16]


def test_who_is_not_root_cannot_become_another() -> None:
    code = """
import json, os
from nasmith.executors.sandbox.identity import become_nobody

if os.geteuid() == 0:
    become_nobody(61_999, False)
try:
    become_nobody(62_000, False)
except PermissionError:
    print(json.dumps("refused"))
"""
    assert run(code) == "refused"


def test_the_user_is_one_that_has_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {_FIRST, _FIRST + 1, _LAST}

    def getpwuid(uid: int) -> Any:
        if uid not in taken:
            raise KeyError(uid)
        return object()

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    assert unused_uid(0) == _FIRST + 2
    assert unused_uid(2) == _FIRST + 2
    assert unused_uid(3) == _FIRST + 3
    assert unused_uid(4095) == _FIRST + 2  # the last is taken: from the first again
    assert unused_uid(4096) == _FIRST + 2


def test_processes_with_neighbouring_ids_get_different_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def getpwuid(uid: int) -> Any:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    users = {unused_uid(pid) for pid in range(100_000, 104_096)}
    assert (len(users), min(users), max(users)) == (4096, _FIRST, _LAST)


def test_a_system_whose_users_are_all_taken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: object())
    with pytest.raises(OSError, match="every user id from 61184 to 65279 has an account"):
        unused_uid(os.getpid())


def test_this_systems_unused_user_is_not_this_process() -> None:
    uid = unused_uid(os.getpid())
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shut in (tmp_path, *tmp_path.parents):
        if not shut.stat().st_mode & 0o001:
            try:
                shut.chmod(shut.stat().st_mode | 0o001)
            except PermissionError:
                pytest.skip(f"{shut} cannot be entered by all")
    below = tmp_path / "above" / "below"
    below.mkdir(parents=True)
    for made in (below, below.parent):
        made.chmod(0o755)
    (below / "file").touch(0o600)
    return below


def test_folders_that_all_may_enter_are_readable_by_all(folder: Path) -> None:
    assert readable_by_all([folder, Path("/")])
    assert readable_by_all([])


def test_a_folder_that_only_its_owner_may_enter_is_not(folder: Path) -> None:
    folder.chmod(0o754)
    assert not readable_by_all([Path("/"), folder])


def test_a_folder_below_one_that_only_its_owner_may_enter_is_not(folder: Path) -> None:
    folder.parent.chmod(0o700)
    assert not readable_by_all([folder])
    assert not readable_by_all([folder / "file"])
    folder.parent.chmod(0o755)


def test_folders_that_do_not_exist_are_not_in_the_way(folder: Path) -> None:
    assert readable_by_all([folder / "no such folder" / "below"])
    assert not readable_by_all([folder / "no such folder", Path("/root")]) or Path("/root").stat().st_mode & 1


@needs_linux
@needs_root
def test_programs_that_nobody_starts_may_keep_the_right_to_read(secret: Path) -> None:
    code = """
import json, os, subprocess, sys
from nasmith.executors.sandbox.identity import become_nobody
from nasmith.executors.sandbox import kernel

become_nobody(61_999, True, programs=True)
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
status = subprocess.run(["cat", "/proc/self/status", sys.argv[1]], capture_output=True, text=True)
rights = [line.split()[1] for line in status.stdout.splitlines() if line.startswith(("CapEff", "CapPrm"))]
print(json.dumps([rights, status.returncode]))
"""
    assert run(code, secret) == [["0000000000000004"] * 2, 0]
