"""What a run has come to, for people who work in Python: tables, pictures, pages, and the words of a notebook."""

import builtins
import math
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import nasmith
from nasmith.errors import MissingDependencyError, StorageError, UnknownNameError, UsageError
from nasmith.events import Evaluated
from nasmith.result import Result
from nasmith.storage.memory import Memory
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.testing import ToyTask
from nasmith.types import Candidate, Evaluation, Run, Status
from toy_runs import toy_search


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("result") / "runs.sqlite3"
    toy_search(path)
    return path


@pytest.fixture
def result(path):
    return nasmith.load("run", path)


def made(candidates, evaluations, run="run"):
    """A result of records that were never searched for."""
    storage = Memory()
    storage.add_run(
        Run(run, {"task": {"name": "toy", "options": {}}, "verify": {"best": 0}}, "0", {}, "2026-01-01T00:00:00+00:00")
    )
    storage.add_candidates(run, candidates)
    for evaluation in evaluations:
        storage.add_evaluation(run, evaluation)
    return Result(storage.run(run), storage, ToyTask())


class Cells(HTMLParser):
    """The texts and the tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.tags = [], set()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_it_has_its_former_names():
    from nasmith import api

    assert nasmith.Result is api.Result is Result


def test_a_stored_run_is_opened_with_its_task(result):
    assert isinstance(result.task, ToyTask)
    assert result.best().step >= 0
    assert result.run.finished


def test_a_run_or_a_storage_that_is_not_there_is_said(path, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown run 'rum'.*run"):
        nasmith.load("rum", path)
    with pytest.raises(StorageError, match="there is no database at"):
        nasmith.load("run", tmp_path / "none.sqlite3")
    assert not (tmp_path / "none.sqlite3").exists()


def test_a_result_stays_as_it_was_read_and_a_run_that_goes_on_is_opened_anew(tmp_path):
    sizes = []

    def look(event):
        if isinstance(event, Evaluated) and event.evaluation.purpose == "search" and event.candidate.id in (4, 12):
            now = nasmith.load("run", tmp_path / "runs.sqlite3")
            sizes.append((len(now.evaluations), len(now.candidates), now))

    toy_search(tmp_path / "runs.sqlite3", observers=[look])
    (first, _, old), (second, known, _) = sizes
    assert first < second <= known
    assert len(old.evaluations) == first
    assert all(evaluation.candidate in old.candidates for evaluation in old.evaluations)


def test_metrics_and_verifications_are_found_by_candidate_and_by_id(result):
    best = result.best()
    assert result.metrics(best) == result.metrics(best.id) != {}
    assert result.verified(best) == result.verified(best.id)
    assert len(result.verified(best)) == 3
    assert result.metrics(999) == {} and result.verified(999) == []


def test_the_table_has_a_row_for_each_candidate(result):
    table = result.to_dataframe().set_index("id")
    assert list(table.index) == list(result.candidates)
    best = result.best()
    row = table.loc[best.id]
    assert (row["operator"], row["parents"], row["status"], row["round"]) == (best.operator, best.parents, "ok", best.round)
    assert row["val_error"] == result.metrics(best)["val_error"] and row["fitness"] == result.metrics(best)["fitness"]
    verified = result.verified(best)
    assert row["verified"] == 3
    assert math.isclose(row["verified_test_error"], sum(each["test_error"] for each in verified) / 3)
    broken = table[table["status"] == "invalid"].iloc[0]
    assert broken["message"] and math.isnan(broken["val_error"]) and broken["verified"] == 0
    assert table.loc[1, "label"] == "narrow" and table.loc[1, "seed"] == result.evaluations[0].seed
    assert list(table.columns[:5]) == ["label", "operator", "parents", "round", "status"]


def test_a_metric_that_is_called_as_a_column_is_keeps_its_own():
    told = Evaluation(1, Status.OK, {"seconds": 7.0, "fitness": 1.0}, seconds=2.0)
    row = made([Candidate(1, "x"), Candidate(2, "y")], [told]).to_dataframe().iloc[0]
    assert (row["seconds"], row["metric_seconds"]) == (2.0, 7.0)


def test_a_table_of_nothing_has_its_columns():
    table = made([], []).to_dataframe()
    assert len(table) == 0 and "status" in table.columns


def test_without_pandas_the_command_that_installs_it_is_said(result, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r'pip install "nasmith\[dataframe\]"'):
        result.to_dataframe()


def test_the_trade_off_is_drawn_with_seeds_and_front(recorded_storage):
    result = Result(recorded_storage.run("quiet-otter"), recorded_storage, Mnist1d())
    figure = result.plot()
    (axes,) = figure.axes
    labels = {text.get_text() for text in axes.get_legend().get_texts()}
    assert {"seed", "front of the search"} <= labels
    assert axes.get_xlabel() == "parameters"
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook asks for


def test_other_drawings_are_chosen_by_name(result, recorded_storage):
    result = Result(recorded_storage.run("quiet-otter"), recorded_storage, Mnist1d())
    assert result.plot("progress").axes[0].get_ylabel().startswith("fitness")
    with pytest.raises(UnknownNameError, match=r"'progres'.*Did you mean 'progress'"):
        result.plot("progres")
    with pytest.raises(UsageError, match="nothing to draw yet"):
        made([Candidate(1, "x")], []).plot()


def test_a_drawing_leaves_the_processs_own_settings_and_figures_alone(result):
    import matplotlib

    before = dict(matplotlib.rcParams)
    result.plot()
    assert dict(matplotlib.rcParams) == before
    code = "import nasmith.result, sys; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_report_is_written_and_its_path_returned(result, tmp_path):
    page = result.report(tmp_path / "report")
    assert page == tmp_path / "report" / "report.html"
    assert f"#{result.best().id}" in page.read_text()
    assert (tmp_path / "report" / "pareto.png").stat().st_size


def test_a_verified_model_is_exported(recorded_storage, tmp_path):
    result = Result(recorded_storage.run("quiet-otter"), recorded_storage, Mnist1d())
    exported = result.export(tmp_path / "model", onnx=False)
    assert {"model.py", "weights.safetensors", "README.md"} <= {file.name for file in exported.files}
    assert result.candidates[exported.candidate].text in (tmp_path / "model" / "model.py").read_text()
    seed = result.export(tmp_path / "seed", result.candidates[1], onnx=False)
    assert seed.candidate == 1
    with pytest.raises(UnknownNameError, match="999"):
        result.export(tmp_path / "none", 999, onnx=False)


def test_a_run_without_verification_has_nothing_to_export(tmp_path):
    with pytest.raises(UsageError, match="verifies nothing"):
        made([Candidate(1, "x")], []).export(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_notebook_shows_a_small_table(result):
    cells = Cells(result._repr_html_())
    best = result.best()
    assert {"table", "tr", "th", "td"} <= cells.tags <= {"table", "caption", "tbody", "tr", "th", "td"}
    assert "nasmith run run" in cells.texts and "finished" in cells.texts
    assert any(text.startswith(f"#{best.id} ") and "val error" in text for text in cells.texts)
    assert "seed narrow" in cells.texts and "seed wide" in cells.texts
    assert any(text.startswith("ok ") and "invalid" in text for text in cells.texts)
    assert any("test_error" in text and "mean of 3 new seeds" in text for text in cells.texts)


def test_what_others_wrote_is_escaped_and_many_seeds_are_cut_short():
    hostile = "<script>alert(1)</script>"
    page = made(
        [Candidate(number, "x", label=hostile, index=number) for number in range(1, 9)], [], f"a{hostile}"
    )._repr_html_()
    cells = Cells(page)
    assert "script" not in cells.tags and f"seed {hostile}" in cells.texts
    assert "and 3 seeds more" in cells.texts
    assert "not evaluated yet" in cells.texts and "no child was trained" in cells.texts


def test_its_words_are_one_line(result):
    assert repr(result).startswith(f"<Result of run: 38 candidates, best #{result.best().id}: ")
    empty = repr(made([], []))
    assert empty == "<Result of run: 0 candidates, no child was trained, unfinished>"
