"""What the README shows is run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.lm
def test_the_python_example_runs_as_it_stands(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(example.strip().splitlines()) <= 12
    (tmp_path / "example.py").write_text(example)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "def Model" in ran.stdout
    assert "test_error" in ran.stdout


def test_the_commands_that_the_readme_names_exist():
    from nasmith.cli.app import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    named = set(re.findall(r"nasmith ([a-z]+)", README)) - {"searches", "reports", "trains"}
    assert named <= known | {"and"}, named - known


def test_the_example_of_a_space_runs(capsys):
    text = (Path(__file__).parents[1] / "docs" / "spaces.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example, "spaces.md", "exec"), {})
    assert capsys.readouterr().out == "[16, 32, 64] 27\n"
