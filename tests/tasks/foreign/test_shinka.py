from foreign_folders import searched, shinka, whole
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
