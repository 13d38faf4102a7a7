import pytest

from foreign_folders import EVALUATOR, FIXED, PROGRAM, STAGES, openevolve, searched, whole
from nasmith.errors import ConfigError, SeedError
from nasmith.executors.processes import Processes
from nasmith.tasks.foreign import OpenEvolve
from nasmith.types import Status


def test_a_folder_runs_unchanged_in_the_sandbox(tmp_path):
    """Its evaluator reads a file of the folder, writes one, and starts a thread and a program."""
    folder = openevolve(tmp_path / "function minimisation")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result, found = searched(folder, tmp_path / "runs.sqlite3", whole("return 0.5, 0.25"), executor=Processes(workers=1))
    assert found[1].metrics["combined_score"] == -3.5 and found[2].metrics["combined_score"] == 0.75, found[2]
    assert found[2].metrics["answer"] == 42.0 and "fine" not in found[2].metrics
    assert result.best().id == 2 and result.run.config["task"]["name"] == "openevolve"
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_what_may_not_change_is_kept_whatever_the_reply_does(tmp_path):
    reply = whole("return 0.1, 0.1").replace("math.sin(x) * math.cos(y)", "99.0").replace("import math", "import os")
    result, found = searched(openevolve(tmp_path / "f"), tmp_path / "runs.sqlite3", reply, executor=Processes(workers=1))
    text = result.candidates[2].text
    assert text.startswith(FIXED[0]) and text.endswith(FIXED[1]) and "return 0.1, 0.1" in text
    assert found[2].status is Status.OK and found[2].metrics["value"] != 99.0


def test_programs_that_fail_are_rows_with_their_true_status(tmp_path):
    replies = [
        whole("raise KeyError('lost')"),
        whole("import os; os._exit(3)"),
        whole("return open('/etc/hostname').read(), 1"),
        whole("import socket; socket.create_connection(('127.0.0.1', 9)); return 1, 1"),
        whole("while True: pass"),
        whole("import os; [os.fork() for _ in range(3)]; return 0.0, 0.1"),
    ]
    folder = openevolve(tmp_path / "f", config="evaluator: {timeout: 2}\n")
    _, found = searched(folder, tmp_path / "runs.sqlite3", *replies, executor=Processes(workers=1, timeout_seconds=15))
    statuses = {number: evaluation.status for number, evaluation in found.items()}
    assert statuses[2] is Status.FAILED and "lost" in found[2].message
    assert statuses[3] is Status.KILLED
    assert statuses[4] is Status.FAILED and "Permission" in found[4].message
    assert statuses[5] is Status.FAILED and "Permission" in found[5].message
    assert statuses[6] is Status.TIMEOUT
    assert all("combined_score" not in found[number].metrics for number in (2, 3, 4, 5, 6))


def test_stages_are_climbed_and_one_that_times_out_never_scores(tmp_path):
    config = "evaluator: {timeout: 2, cascade_evaluation: true, cascade_thresholds: [0.5, 0.99]}\n"
    folder = openevolve(tmp_path / "f", STAGES, config)
    replies = [whole("return 'good', 0"), whole("return 'slow good', 0")]
    _, found = searched(folder, tmp_path / "runs.sqlite3", *replies, executor=Processes(workers=1, timeout_seconds=20))
    assert found[1].metrics["combined_score"] == 0.1 and "second" not in found[1].metrics
    assert found[2].metrics["combined_score"] == 0.95 and (found[2].metrics["first"], found[2].metrics["second"]) == (1.0, 2.0)
    assert found[3].status is not Status.OK and not found[3].metrics


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("None", "return"),
        ("{'combined_score': 'high'}", "high"),
        ("{'combined_score': float('nan')}", "nan"),
        ("{'note': 'nothing'}", "no number"),
        ("3.0", "float"),
    ],
)
def test_an_evaluator_that_returns_no_score_is_told_why(tmp_path, returned, reason):
    evaluator = f"def evaluate(path):\n    return {returned}\n"
    folder = openevolve(tmp_path / "f", evaluator)
    _, found = searched(folder, tmp_path / "runs.sqlite3", whole("return 1, 1"), executor=Processes(workers=1))
    assert found[1].status is not Status.OK and reason in found[1].message, found[1]


def test_an_evaluator_that_prints_without_end_is_ended(tmp_path):
    evaluator = "def evaluate(path):\n    while True:\n        print('x' * 100_000)\n"
    executor = Processes(workers=1, output_mb=8, timeout_seconds=60)
    _, found = searched(openevolve(tmp_path / "f", evaluator), tmp_path / "r.sqlite3", whole("return 1, 1"), executor=executor)
    assert found[1].status is Status.INVALID
    assert "printed more than the 8 MB that it may" in found[1].message and "output_mb" in found[1].message


def test_what_is_ignored_of_the_configuration_is_listed(tmp_path):
    config = "max_iterations: 7\nllm: {primary_model: x}\ndatabase: {num_islands: 3}\nprompt: {system_message: Minimise.}\n"
    task = OpenEvolve(str(openevolve(tmp_path / "f", config=config)))
    said = " ".join(task.notes())
    assert "llm" in said and "database.num_islands" in said and "max_iterations" not in said
    assert "Minimise." in task.describe().statement and task.defaults["budget"] == {"evaluations": 7}


@pytest.mark.parametrize(
    ("files", "error", "reason"),
    [
        ({"evaluator.py": "def evaluate(:\n"}, ConfigError, r"evaluator\.py:1"),
        ({"evaluator.py": "x = 1\n"}, ConfigError, r"evaluator\.py.*evaluate"),
        ({"config.yaml": "evaluator: {timeout: soon}\n"}, ConfigError, r"config\.yaml:1.*timeout"),
        ({"config.yaml": "a: [1\n"}, ConfigError, r"config\.yaml:2.*not valid YAML"),
        ({"initial_program.py": "# EVOLVE-BLOCK-START\n"}, SeedError, r"initial_program"),
    ],
)
def test_files_that_are_wrong_are_told_before_anything_runs(tmp_path, files, error, reason):
    folder = openevolve(tmp_path / "f")
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(error, match=f"(?s){reason}"):
        OpenEvolve(str(folder)).check()


def test_a_program_without_marks_may_change_as_a_whole(tmp_path):
    plain = PROGRAM.replace("# EVOLVE-BLOCK-START\n", "").replace("# EVOLVE-BLOCK-END\n", "")
    folder = openevolve(tmp_path / "f", EVALUATOR, program=plain)
    reply = f"```python\n{plain.replace('3.0, 2.0', '0.0, 0.5')}```"
    _, found = searched(folder, tmp_path / "runs.sqlite3", reply, executor=Processes(workers=1))
    assert OpenEvolve(str(folder)).describe().fixed == () and found[2].metrics["combined_score"] == 1.0


def test_files_are_found_by_relative_names_and_new_ones_go_to_a_place_of_their_own(tmp_path):
    evaluator = (
        "from pathlib import Path\n\n\ndef evaluate(path):\n    goal = float(Path('goal.txt').read_text())\n"
        "    Path('trace').write_text('x')\n    return {'combined_score': goal, 'files': len(list(Path().glob('trace')))}\n"
    )
    folder = openevolve(tmp_path / "f", evaluator)
    _, found = searched(folder, tmp_path / "runs.sqlite3", whole("return 1, 1"), executor=Processes(workers=1))
    assert found[1].metrics["combined_score"] == found[2].metrics["combined_score"] == 1.5
    assert found[2].metrics["files"] == 1 and not (folder / "trace").exists()


def test_keys_in_the_folder_cannot_be_read_by_programs(tmp_path):
    folder = openevolve(tmp_path / "f", config="llm: {api_key: sk-planted}\nevaluator: {timeout: 10}\n")
    (folder / ".env").write_text("KEY=sk-planted")
    replies = [whole(f"return len(open({str(folder / name)!r}).read()), 0") for name in ("config.yaml", ".env", "goal.txt")]
    task = OpenEvolve(str(folder))
    _, found = searched(folder, tmp_path / "runs.sqlite3", *replies, executor=Processes(workers=1))
    assert [found[number].status for number in (2, 3, 4)] == [Status.FAILED, Status.FAILED, Status.OK]
    assert any("API key" in note for note in task.notes())


def test_a_result_object_may_be_returned_and_its_texts_are_told_where_there_is_no_score(tmp_path):
    evaluator = (
        "from openevolve.evaluation_result import EvaluationResult\n\n\ndef evaluate(path):\n"
        "    fine = '3.0, 2.0' in open(path).read()\n    metrics = {'combined_score': 1.0} if fine else {}\n"
        "    return EvaluationResult(metrics=metrics, artifacts={'stderr': 'first\\nthe last line'})\n"
    )
    folder = openevolve(tmp_path / "f", evaluator)
    _, found = searched(folder, tmp_path / "runs.sqlite3", whole("return 1, 1"), executor=Processes(workers=1))
    assert found[1].metrics["combined_score"] == 1.0
    assert found[2].status is Status.INVALID and "the last line" in found[2].message


def test_where_a_program_fails_is_told_by_its_own_lines(tmp_path):
    folder = openevolve(tmp_path / "f")
    reply = whole("number = 0\n    return 1 / number, 0")
    _, found = searched(folder, tmp_path / "runs.sqlite3", reply, executor=Processes(workers=1))
    assert found[2].message.startswith("ZeroDivisionError: division by zero")
    assert "in search: return 1 / number, 0" in found[2].message


def test_an_executor_in_this_process_works_too_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    evaluator = "def evaluate(path):\n    with open(path) as file:\n        return {'combined_score': len(file.read())}\n"
    folder = openevolve(tmp_path / "f", evaluator)
    before = set(tmp_path.iterdir())
    workload = OpenEvolve(str(folder)).workload()
    workload.warm()
    arrays, facts = workload.fit(PROGRAM, 0, {})
    assert facts == {"metric/combined_score": len(PROGRAM)} and not arrays
    assert set(tmp_path.iterdir()) == before
