from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clrs_toys import TINY, V1, needs_clrs
from nasmith.cli.app import app


def run(*arguments):
    return CliRunner().invoke(app, ["clrs", *map(str, arguments)])


@pytest.fixture
def function(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(V1.replace("jnp.max", "jnp.sum"))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "no.py"], "no.py cannot be read: No such file"),
        (["evaluate", "--tasks", "bsf"], "Did you mean 'bfs'"),
        (["evaluate", "--set", "hiden=3"], "Did you mean 'hidden'"),
        (["evaluate", "--set", "hidden=many"], "hidden"),
        (["evaluate", "--preset", "tiny"], "Valid: paper, small"),
        (["evaluate", "--seeds", "0"], "a seed at least"),
        (["count", "--tasks", ""], "needs a"),
    ],
)
def test_mistakes_are_said_without_a_traceback(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2 and said in " ".join(result.stderr.split()), result.stderr
    assert "Traceback" not in result.stderr


def test_two_functions_need_two_names(function, tmp_path):
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text(V1)
    result = run("evaluate", function, other)
    assert result.exit_code == 2 and "Rename the file" in result.stderr


@needs_clrs
def test_sizes_are_counted(function):
    result = run("count", function, "--tasks", "bfs,clrs-heapsort", "--json")
    assert json.loads(result.stdout) == {"mine": {"bfs": 523_963, "heapsort": 659_654}}
    assert "523,963" in run("count", "--tasks", "bfs").stdout


@needs_clrs
@pytest.mark.slow
def test_a_table_is_made_and_goes_on(function, tmp_path):
    settings = [part for key, value in TINY.items() if key not in {"preset", "steps"} for part in ("--set", f"{key}={value}")]
    line = ["evaluate", function, "--tasks", "bfs", "--seeds", "1", "--preset", "small", "--steps", "6", *settings]
    first = run(*line, "--output", tmp_path / "table")
    assert first.exit_code == 0, first.stderr
    assert "mine: above both others on 0 of 1 tasks" in first.stdout and "99.73" in first.stdout
    again = run(*line, "--output", tmp_path / "table", "--json")
    (row,) = json.loads(again.stdout)
    assert row["function"] == "mine" and len(row["accuracies"]) == len(row["baseline"]) == 1 and not row["wins"]
    assert "seed 0" not in again.stderr  # nothing was trained again
