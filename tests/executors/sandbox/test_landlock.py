from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

import pytest
from apart import needs_linux, run

from nasmith.executors.sandbox import kernel, landlock

pytestmark = needs_linux
_needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")

_CONFINED = """
import ctypes, errno, json, os, socket, sys
from pathlib import Path
from nasmith.executors.sandbox import kernel, landlock

def attempts(names):
    found = {}
    for name in names:
        try:
            found[name] = eval(name)
        except OSError as error:
            found[name] = errno.errorcode[error.errno]
    return {name: value if isinstance(value, (str, list)) else "done" for name, value in found.items()}

os.chdir(sys.argv[1])
readable, devices, tried = json.loads(sys.argv[2])
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
rules = landlock.ruleset(map(Path, readable), map(Path, devices))
before = Path("open/file").read_text()
landlock.restrict(rules)
print(json.dumps([before, attempts(tried)]))
"""


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for folder in ("open/below", "open/hidden", "shut"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("open/file", "open/below/file", "open/hidden/file", "shut/file", "alone"):
        (tmp_path / file).write_text(f"words of {file}")
    (tmp_path / "open/out").symlink_to(tmp_path / "shut/file")
    (tmp_path / "open/folder out").symlink_to(tmp_path / "shut")
    (tmp_path / "in").symlink_to(tmp_path / "open/file")
    return tmp_path


def _try(places: Path, readable: list[str], *attempts: str, devices: list[str] | None = None) -> dict[str, object]:
    import json

    before, found = run(_CONFINED, places, json.dumps([readable, devices or [], attempts]))
    assert before == "words of open/file"
    return dict(found)


def _read(name: str) -> str:
    return f"Path({name!r}).read_text()"


@_needs_landlock
def test_what_is_named_can_be_read_with_all_below_it_and_nothing_else(places: Path) -> None:
    found = _try(
        places,
        ["open", "alone"],
        *map(_read, ["open/file", "open/below/file", "alone", "shut/file", "/etc/passwd", "/proc/self/environ"]),
        "sorted(os.listdir('open/below'))",
        "os.listdir('shut')",
        "os.listdir('.')",
        "os.listdir('/')",
    )
    assert list(found.values()) == [
        *("words of open/file", "words of open/below/file", "words of alone", "EACCES", "EACCES", "EACCES"),
        *(["file"], "EACCES", "EACCES", "EACCES"),
    ]


@_needs_landlock
def test_a_symbolic_link_out_of_an_open_folder_leads_nowhere(places: Path) -> None:
    found = _try(
        places, ["open"], _read("open/out"), _read("open/folder out/file"), "os.listdir('open/folder out')", _read("in")
    )
    assert list(found.values()) == ["EACCES", "EACCES", "EACCES", "words of open/file"]  # a link from outside leads in


@_needs_landlock
def test_a_folder_that_is_not_named_beside_those_that_are_stays_hidden(places: Path) -> None:
    found = _try(
        places,
        ["open/file", "open/below", "open/no such file", "open/file/no such folder"],
        *map(_read, ["open/file", "open/below/file", "open/hidden/file", "open/below/../hidden/file"]),
        "os.listdir('open/hidden')",
        "os.listdir('open')",
    )
    assert list(found.values()) == ["words of open/file", "words of open/below/file", *["EACCES"] * 4]


@_needs_landlock
@pytest.mark.parametrize("folder", ["open", "shut"])
def test_nothing_can_be_written_made_moved_or_removed(places: Path, folder: str) -> None:
    attempts = [
        f"open('{folder}/file', 'w').close()",
        f"open('{folder}/file', 'r+').close()",
        f"open('{folder}/file', 'a').close()",
        f"open('{folder}/new', 'x').close()",
        f"os.mkdir('{folder}/new')",
        f"os.symlink('file', '{folder}/new')",
        f"os.link('{folder}/file', '{folder}/new')",
        f"os.mkfifo('{folder}/new')",
        f"os.rename('{folder}/file', '{folder}/new')",
        f"os.unlink('{folder}/file')",
        f"socket.socket(socket.AF_UNIX).bind('{folder}/new')",
    ]
    if landlock.version() >= 2:
        attempts.append(f"os.rename('{folder}/file', 'moved')")
    if landlock.version() >= 3:
        attempts.append(f"os.truncate('{folder}/file', 0)")
    found = _try(places, ["open"], *attempts)
    assert {name: result for name, result in found.items() if result not in ("EACCES", "EXDEV")} == {}
    assert (places / folder / "file").read_text() == f"words of {folder}/file"
    assert sorted(path.name for path in places.iterdir()) == ["alone", "in", "open", "shut"]
    assert not (places / folder / "new").exists()


@_needs_landlock
def test_devices_can_be_written_and_other_files_only_read(places: Path) -> None:
    attempts = ["os.close(os.open('/dev/null', os.O_RDWR))", "os.close(os.open('/dev/null', os.O_RDONLY))"]
    assert list(_try(places, ["open"], *attempts, devices=["/dev/null", "/dev/no such device"]).values()) == ["done", "done"]
    assert list(_try(places, ["open", "/dev/null"], *attempts).values()) == ["EACCES", "done"]
    assert list(_try(places, ["open"], *attempts).values()) == ["EACCES", "EACCES"]


@_needs_landlock
def test_the_rules_bind_processes_started_afterwards_and_cannot_be_widened(places: Path) -> None:
    again = "landlock.restrict(landlock.ruleset([Path('/')]))"
    child = "os.waitstatus_to_exitcode(os.system('cat shut/file 2>&1')) and 'refused'"
    found = _try(places, ["open", "/bin", "/usr", "/lib", "/lib64"], again, child, _read("shut/file"))
    assert list(found.values()) == ["done", "refused", "EACCES"]  # more rules only take away


@_needs_landlock
def test_tcp_is_refused_where_the_kernel_can(places: Path) -> None:
    if landlock.version() < 4:
        pytest.skip("this kernel's Landlock does not know networks (Linux 6.7)")
    bind = "socket.socket().bind(('127.0.0.1', 0))"
    connect = "socket.socket().connect(('127.0.0.1', 9))"
    assert list(_try(places, ["open"], bind, connect).values()) == ["EACCES", "EACCES"]


@_needs_landlock
def test_processes_outside_get_no_signals_where_the_kernel_can(places: Path) -> None:
    if landlock.version() < 6:
        pytest.skip("this kernel's Landlock does not know signals (Linux 6.12)")
    assert list(_try(places, ["open"], "os.kill(os.getppid(), 0)", "os.kill(os.getpid(), 0)").values()) == ["EPERM", "done"]


def _open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.exists()}  # not that of the listing itself


@_needs_landlock
def test_making_rules_leaves_no_descriptor_but_their_own() -> None:
    before = _open_descriptors()
    rules = landlock.ruleset([Path("/usr"), Path("/no such folder"), Path("/etc/passwd")], [Path("/dev/null")])
    assert _open_descriptors() - before == {str(rules)}
    os.close(rules)


@_needs_landlock
def test_rules_are_refused_for_what_is_no_ruleset() -> None:
    code = """
import json
from nasmith.executors.sandbox import kernel, landlock

kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
try:
    landlock.restrict(0)
except OSError as error:
    print(json.dumps("refused"))
"""
    assert run(code) == "refused"


def test_a_kernel_without_it_has_version_0_and_takes_no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(name: str, *arguments: object) -> int:
        raise OSError(38, f"{name}: Function not implemented")

    monkeypatch.setattr(kernel, "call", call)
    assert landlock.version() == 0
    with pytest.raises(OSError, match="not implemented"):
        landlock.ruleset([Path("/")])
    with pytest.raises(OSError, match="not implemented"):
        landlock.restrict(0)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (1, [0x1FFF]),
        (2, [0x3FFF]),
        (3, [0x7FFF]),
        (4, [0x7FFF, 3]),
        (5, [0xFFFF, 3]),
        (6, [0xFFFF, 3, 3]),
        (99, [0xFFFF, 3, 3]),
    ],
)
def test_each_kernel_is_asked_for_all_that_it_knows_and_no_more(
    monkeypatch: pytest.MonkeyPatch, known: int, words: list[int]
) -> None:
    asked, allowed = [], []

    def call(name: str, *arguments: object) -> int:
        if name == "landlock_create_ruleset" and arguments == (None, 0, 1):
            return known
        if name == "landlock_create_ruleset":
            attributes, size, flags = arguments
            assert isinstance(attributes, ctypes.c_char_p)
            assert isinstance(size, int)
            assert flags == 0
            asked.append(list(struct.unpack(f"={size // 8}Q", ctypes.string_at(attributes, size))))
            return 1000
        rule = arguments[2]
        assert isinstance(rule, ctypes.c_char_p)
        allowed.append(struct.unpack("=Qi", ctypes.string_at(rule, 12))[0])
        return 0

    monkeypatch.setattr(kernel, "call", call)
    assert landlock.version() == known
    assert landlock.ruleset([Path("/usr"), Path("/dev/zero")], [Path("/dev/null"), Path("/dev")]) == 1000
    assert asked == [words]
    device = 0b110 | (1 << 15 if known >= 5 else 0)
    assert allowed == [0b1100, 0b100, device, device]  # a folder's entries are listed, a file has none
    assert all(rights & ~words[0] == 0 for rights in allowed)


@pytest.mark.skipif(landlock.version() < 3, reason="this kernel's Landlock does not guard truncating")
def test_what_may_be_written_may_be_changed_and_run_and_nothing_else_may(places: Path) -> None:
    code = """
import json, os, sys
from pathlib import Path
from nasmith.executors.sandbox import kernel, landlock

os.chdir(sys.argv[1])
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
(Path("open") / "program").write_text("#!/bin/true")
(Path("open") / "program").chmod(0o755)
readable = map(Path, ["/bin", "/lib", "/lib64", "/usr", "shut"])
landlock.restrict(landlock.ruleset(readable, writable=[Path("open")], programs=True))
found = {}
for name, attempt in {
    "write": lambda: Path("open/new").write_text("x"),
    "truncate": lambda: os.truncate("open/file", 1),
    "make": lambda: Path("open/made").mkdir(),
    "remove": lambda: Path("open/file").unlink(),
    "move": lambda: Path("open/new").rename("open/made/new"),
    "run": lambda: os.waitpid(os.posix_spawn("open/program", ["program"], {}), 0),
    "run the system's": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "read elsewhere": lambda: Path("shut/file").read_text(),
    "write elsewhere": lambda: Path("shut/new").write_text("x"),
    "truncate elsewhere": lambda: os.truncate("shut/file", 1),
    "move elsewhere": lambda: Path("open/made/new").rename("shut/new"),
    "link from elsewhere": lambda: os.link("shut/file", "open/linked"),
    "read what nothing is said of": lambda: Path("alone").read_text(),
    "a socket": lambda: os.mknod("open/socket", 0o140600),
}.items():
    try:
        attempt()
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(sorted(name for name, done in found.items() if done)))
"""
    allowed = ["make", "move", "read elsewhere", "remove", "run", "run the system's", "truncate", "write"]
    assert run(code, places) == allowed
