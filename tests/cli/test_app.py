from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app

runner = CliRunner()
COMMANDS = ["search", "resume", "runs", "show", "report", "export", "tasks", "lms", "strategies", "executors", "doctor"]


def test_help_names_every_command() -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = runner.invoke(app, [command, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80


def test_version_is_printed() -> None:
    result = runner.invoke(app, ["--version"])
    assert result.exit_code == 0 and result.output.startswith("nasmith ")


def test_a_misspelt_command_names_the_nearest() -> None:
    result = runner.invoke(app, ["serach"])
    assert result.exit_code == 2 and "'search'" in result.output


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = runner.invoke(app, ["runs", "--storage", str(tmp_path / "none.sqlite3")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: there are no runs at") and "nasmith search" in result.stderr
    assert result.stdout == "" and len(result.stderr.splitlines()) == 1


def test_help_does_not_wait_for_heavy_packages() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from nasmith.cli.app import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([m for m in ('torch', 'numpy', 'sqlalchemy', 'matplotlib', 'transformers', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
