import pytest

from foreign_folders import searched, shinka, whole
from nasmith.errors import ConfigError
from nasmith.executors.processes import Processes
from nasmith.tasks.foreign import OpenEvolve, Shinka
from nasmith.types import Status


def test_a_task_runs_unchanged_in_the_sandbox(tmp_path):
    folder = shinka(tmp_path / "circle")
    _, found = searched(folder, tmp_path / "runs.sqlite3", whole("return 0.5, 0.25"), executor=Processes(workers=1))
    assert found[1].metrics["combined_score"] == -5.0 and found[2].metrics["combined_score"] == -0.75, found
    assert "value" in found[2].metrics


def test_what_is_not_correct_has_no_score(tmp_path):
    folder = shinka(tmp_path / "circle")
    _, found = searched(folder, tmp_path / "runs.sqlite3", whole("return -1, 0"), executor=Processes(workers=1))
    assert found[2].status is not Status.OK and "x is negative" in found[2].message and not found[2].metrics


def test_folders_are_told_apart(tmp_path):
    folder = shinka(tmp_path / "circle")
    assert Shinka.fits(folder) and not OpenEvolve.fits(folder)


_WITH_SHINKA = """
import argparse

from shinka.core import run_shinka_eval


def main(program_path, results_dir):
    run_shinka_eval(
        program_path=program_path,
        results_dir=results_dir,
        experiment_fn_name="run_search",
        num_runs=2,
        get_experiment_kwargs=lambda run: {},
        validate_fn=lambda found: (found[0] < 9, "x is too large"),
        aggregate_metrics_fn=lambda found: {"combined_score": -found[0][0], "public": {"runs": len(found)}},
    )


parser = argparse.ArgumentParser()
parser.add_argument("--program_path")
parser.add_argument("--results_dir")
GUARD
"""
_WORK = "arguments = parser.parse_args()\nmain(arguments.program_path, arguments.results_dir)"
_GUARDED = "if __name__ == '__main__':\n    " + _WORK.replace("\n", "\n    ")


@pytest.mark.parametrize("work", [_WORK, _GUARDED])
def test_what_an_evaluator_imports_of_shinka_is_there(tmp_path, work):
    folder = shinka(tmp_path / "circle")
    (folder / "evaluate.py").write_text(_WITH_SHINKA.replace("GUARD", work))
    replies = [whole("return 0.5, 0.25"), whole("raise KeyError('lost')"), whole("return 9.5, 0")]
    _, found = searched(folder, tmp_path / "runs.sqlite3", *replies, executor=Processes(workers=1))
    assert found[1].metrics["combined_score"] == -3.0
    assert found[2].metrics["combined_score"] == -0.5 and found[2].metrics["runs"] == 2
    assert found[3].status is Status.INVALID and "lost" in found[3].message
    assert found[4].status is Status.INVALID and "x is too large" in found[4].message


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("print('nothing')\n", Status.INVALID, "wrote no correct.json"),
        ("import sys\nsys.exit(3)\n", Status.INVALID, "ended with 3"),
        ("raise RuntimeError('broken')\n", Status.FAILED, "RuntimeError: broken"),
    ],
)
def test_a_script_that_gives_no_result_is_told_why(tmp_path, script, status, words):
    folder = shinka(tmp_path / "circle")
    (folder / "evaluate.py").write_text(script)
    _, found = searched(folder, tmp_path / "runs.sqlite3", whole("return 1, 1"), executor=Processes(workers=1))
    assert found[1].status is status and words in found[1].message


def test_what_a_run_file_says_of_the_task_is_read_and_nothing_of_it_run(tmp_path):
    folder = shinka(tmp_path / "circle")
    (folder / "run_evo.py").write_text("MESSAGE = 'Pack circles.'\nEvolutionConfig(task_sys_msg=MESSAGE, num_generations=40)\n")
    task = Shinka(str(folder))
    assert task.describe().statement.startswith("Pack circles.") and task.defaults["budget"] == {"evaluations": 40}
    assert "run_evo.py" in " ".join(task.notes())


def test_an_evaluator_that_is_no_python_is_told_with_its_line(tmp_path):
    folder = shinka(tmp_path / "circle")
    (folder / "evaluate.py").write_text("import json\nif:\n")
    with pytest.raises(ConfigError, match=r"evaluate\.py:2: "):
        Shinka(str(folder)).check()
