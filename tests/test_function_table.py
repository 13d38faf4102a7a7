from __future__ import annotations

import json

import pytest

from clrs_toys import TINY, V1, needs_clrs
from nasmith.errors import UnknownNameError, UsageError
from nasmith.executors.processes import Processes
from nasmith.function_table import BASELINE, Row, Table, evaluate, parameters
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES
from nasmith.tasks.clrs.published import PUBLISHED

V8 = TRIPLET_MESSAGES.seeds["v8"]


def row(accuracies, baseline, published):
    return Row("f", "bfs", 10, accuracies, baseline, published)


@pytest.mark.parametrize(
    ("accuracies", "baseline", "published", "wins"),
    [
        ([80, 90], [84], (84.9, 1.0), True),
        ([80, 90], [84], (85.1, 1.0), False),
        ([80, 90], [86], (10.0, 1.0), False),
        ([80], [], (70.0, 1.0), True),
        ([80], [70], None, True),
        ([80], [], None, False),
        ([], [70], (60.0, 1.0), False),
        ([80], [80], None, False),
    ],
)
def test_a_win_is_above_both_baselines(accuracies, baseline, published, wins):
    assert row(accuracies, baseline, published).wins is wins


def table(folder, functions=None, **options):
    return Table(folder, functions or {"v8": V8}, ["bfs"], 2, {**TINY, **options})


def test_what_is_kept_is_found_again(tmp_path):
    first = table(tmp_path)
    first.keep("v8", "bfs", 0, {"test_error": 0.25, "params": 7})
    first.keep(BASELINE, "bfs", 0, {"test_error": 0.5, "params": 9})
    (found,) = table(tmp_path).rows("bfs")
    assert (found.params, found.accuracies, found.baseline, found.published) == (7, [75.0], [50.0], PUBLISHED["bfs"])


def test_what_belongs_to_other_settings_is_not_taken(tmp_path):
    table(tmp_path).keep("v8", "bfs", 0, {"test_error": 0.25, "params": 7})
    assert table(tmp_path, steps=5).known("v8", "bfs", 0) is None
    assert table(tmp_path, {"v8": V1}).known("v8", "bfs", 0) is None


def test_a_line_that_was_cut_off_and_what_failed_are_tried_again(tmp_path):
    first = table(tmp_path)
    first.keep("v8", "bfs", 0, {"failed": "no"})
    first.keep("v8", "bfs", 1, {"test_error": 0.25, "params": 7})
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text()[:-9])
    assert table(tmp_path).known("v8", "bfs", 0) is None and table(tmp_path).known("v8", "bfs", 1) is None


def test_the_table_is_written_with_a_picture(tmp_path):
    one = table(tmp_path)
    one.keep("v8", "bfs", 0, {"test_error": 0.25, "params": 7})
    one.keep("v8", "bfs", 1, {"test_error": 0.35, "params": 7})
    assert [path.name for path in one.write()] == ["results.jsonl", "table.csv", "table.png"]
    assert (tmp_path / "table.csv").read_text().splitlines()[1] == "v8,bfs,7,70.0,7.07,,,99.73,0.04,0"
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_do_is_said(tmp_path):
    with pytest.raises(UsageError, match="a seed at least"):
        Table(tmp_path, {"v8": V8}, ["bfs"], 0)
    with pytest.raises(UnknownNameError):
        Table(tmp_path, {"v8": V8}, ["no"], 1)


def executor():
    return Processes(workers=2, memory_mb=6000)


@needs_clrs
@pytest.mark.slow
def test_functions_are_trained_once_and_failures_are_told(tmp_path):
    functions = {"v8": V8, "broken": V8.replace("return", "x =")}
    made, told, notes = [], [], []

    def make():
        made.append(1)
        return executor()

    for _ in range(2):
        one = Table(tmp_path, functions, ["bfs"], 1, TINY)
        evaluate(one, make, told.append, notes.append)
        functions.pop("broken", None)  # what failed would be tried again
    assert made == [1]
    good, bad = told[0]
    assert len(good.accuracies) == len(good.baseline) == 1 and 0 <= good.mean <= 100 and good.params > 0
    assert not bad.accuracies and "not an array" in bad.failures[0]
    assert told[1][0].accuracies == good.accuracies
    assert any("test accuracy" in note for note in notes) and any("not an array" in note for note in notes)
    kept = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {line["function"] for line in kept} == {BASELINE, "v8", "broken"}


@needs_clrs
def test_parameters_of_whole_networks():
    functions = {name: TRIPLET_MESSAGES.seeds[name] for name in ("v1", "v9")}
    found = parameters(functions, ["articulation_points", "heapsort"], {}, executor())
    assert found["v1"] == {"articulation_points": 531_913, "heapsort": 659_654}
    assert found["v9"]["heapsort"] == 659_654 + 226_424


@needs_clrs
def test_a_function_that_cannot_be_counted_is_said():
    with pytest.raises(UsageError, match="mine: line 1: imports os"):
        parameters({"mine": "import os\n" + V1}, ["bfs"], {}, executor())
