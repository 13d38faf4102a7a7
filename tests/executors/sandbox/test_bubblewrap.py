from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from apart import needs_linux

from nasmith.executors.sandbox import bubblewrap

pytestmark = needs_linux


def _bound(line: list[str]) -> list[tuple[str, str]]:
    """Return what is bound from where to where."""
    return [(line[i + 1], line[i + 2]) for i, word in enumerate(line) if word == "--ro-bind"]


def _follows(line: list[str], *words: str) -> bool:
    return any(tuple(line[i : i + len(words)]) == words for i in range(len(line)))


def test_the_program_and_its_arguments_come_last_in_a_root_folder_of_their_own(tmp_path: Path) -> None:
    line = bubblewrap.wrapped(["python", "-c", "--ro-bind"], [tmp_path], "/opt/bwrap")
    assert line[0] == "/opt/bwrap"
    assert line[-5:] == ["--chdir", "/", "python", "-c", "--ro-bind"]
    assert "--die-with-parent" in line
    assert _follows(line, "--proc", "/proc")
    assert _follows(line, "--dev", "/dev")


def test_each_path_that_exists_is_bound_once_and_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").touch()
    readable = [tmp_path / name for name in ("b", "a", "b", "no such file", "a")]
    line = bubblewrap.wrapped(["true"], readable, "bwrap")
    assert _bound(line) == [(str(tmp_path / name), str(tmp_path / name)) for name in ("b", "a")]
    assert not {"--bind", "--bind-try", "--dev-bind", "--overlay", "--share-net"} & set(line)


def test_symbolic_links_are_bound_by_what_they_lead_to_under_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "broken").symlink_to("nowhere")
    line = bubblewrap.wrapped(["true"], [tmp_path / "link", tmp_path / "broken", tmp_path / "real"], "bwrap")
    real = str((tmp_path / "real").resolve())
    assert _bound(line) == [(real, str(tmp_path / "link")), (real, str(tmp_path / "real"))]


def test_devices_and_processes_are_its_own() -> None:
    line = bubblewrap.wrapped(["true"], map(Path, ["/dev/null", "/dev/zero", "/proc/self/environ", "/usr"]), "bwrap")
    assert [there for _, there in _bound(line)] == ["/usr"]


def test_temporary_folders_are_empty_and_shut_once_all_is_bound(tmp_path: Path) -> None:
    line = bubblewrap.wrapped(["true"], [tmp_path], "bwrap")
    for place in ("/tmp", "/dev/shm"):
        assert _follows(line, "--tmpfs", place)
        assert _follows(line, "--remount-ro", place)
    last = len(line) - 1 - line[::-1].index("--tmpfs")
    assert last < line.index("--ro-bind") < line.index("--remount-ro")


def test_a_user_gets_every_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    line = bubblewrap.wrapped(["true"], [], "bwrap")
    assert "--unshare-all" in line
    assert "--cap-add" not in line


def test_root_keeps_only_what_it_needs_to_become_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    line = bubblewrap.wrapped(["true"], [], "bwrap")
    assert not {"--unshare-all", "--unshare-user", "--unshare-user-try"} & set(line)
    assert {"--unshare-ipc", "--unshare-net", "--unshare-pid", "--unshare-uts"} <= set(line)
    kept = {line[i + 1] for i, word in enumerate(line) if word == "--cap-add"}
    assert kept == {"CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_DAC_READ_SEARCH"}


def test_where_it_is_not_installed_there_is_no_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    assert bubblewrap.command() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bubblewrap.command() is None
    (tmp_path / "bwrap").touch(0o644)
    assert bubblewrap.command() is None
    (tmp_path / "bwrap").chmod(0o755)
    assert bubblewrap.command() == str(tmp_path / "bwrap")


_LIBRARIES = tuple(map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/bin", "/usr/bin")))


def _bubblewrapped(script: str, *readable: Path, inherited: tuple[int, ...] = ()) -> str:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("bubblewrap is not installed")
    found = []
    for line in ("true", script):
        command = bubblewrap.wrapped(["/bin/sh", "-c", line], [*_LIBRARIES, *readable], bwrap)
        found.append(subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, pass_fds=inherited))
        if found[0].returncode:
            pytest.skip(f"bubblewrap does not run here: {found[0].stderr.strip()}")
    return found[1].stdout


def test_inside_there_is_what_was_named_to_read_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown/file").write_text("words\n")
    (tmp_path / "secret").write_text("secret\n")
    script = f"""
cat {tmp_path}/shown/file
cat {tmp_path}/secret || echo no secret
cat /etc/passwd || echo no accounts
ls {tmp_path}
pwd
for place in {tmp_path}/shown/file {tmp_path}/new /tmp/new /dev/shm/new /usr/lib/new; do
    (echo forged > $place) 2> /dev/null && echo wrote $place
done
echo bits > /dev/null && echo null
"""
    found = _bubblewrapped(script, tmp_path / "shown")
    assert found.splitlines() == ["words", "no secret", "no accounts", "shown", "/", "null"]
    assert (tmp_path / "shown/file").read_text() == "words\n"


def test_inside_there_are_no_other_processes_and_open_descriptors_stay_open() -> None:
    read, write = os.pipe()
    script = f"echo words > /dev/fd/{write}; kill -0 {os.getpid()} 2> /dev/null || echo alone; cat /proc/net/dev"
    try:
        found = _bubblewrapped(script, inherited=(write,))
        os.set_blocking(read, False)
        assert os.read(read, 100) == b"words\n"
    finally:
        os.close(read)
        os.close(write)
    first, *networks = found.splitlines()
    assert first == "alone" or os.getpid() < 10
    assert [line.split(":")[0].strip() for line in networks[2:] if "eth" in line or "en" in line.split(":")[0]] == []


def test_python_runs_in_it_with_its_libraries_alone(tmp_path: Path) -> None:
    import sysconfig

    stdlib = [Path(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib")]
    program = Path(sys.executable).resolve()
    libraries = (Path(sys.base_prefix) / "lib").glob("libpython*")
    script = f"{program} -I -S -c 'import json, os; print(os.path.exists(\"{tmp_path}\"))'"
    assert _bubblewrapped(script, program, *stdlib, *libraries) == "False\n"


@pytest.mark.parametrize(("user", "written"), [(0, True), (1000, False)])
def test_in_a_workshop_root_writes_temporary_files_and_another_user_mounts_a_place(
    monkeypatch: pytest.MonkeyPatch, user: int, written: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    line = bubblewrap.wrapped(["true"], [], "bwrap", workshop=True)
    assert ("--remount-ro" not in line) is written
    assert ("CAP_CHOWN" in line) is written
