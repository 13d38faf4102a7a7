"""Event files of searches, read back by TensorBoard's own reader."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nasmith
from nasmith.integrations import IntegrationWarning, TensorBoard
from toy_runs import toy_search
from tracked_searches import EVALUATIONS, stopped_search


def read(folder):
    (place,) = folder.iterdir()
    accumulator = EventAccumulator(str(place), size_guidance={"tensors": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def text_of(accumulator, name):
    (event,) = accumulator.Tensors(f"{name}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_a_search_is_logged(tmp_path):
    result = toy_search(tmp_path / "runs.sqlite3", observers=[TensorBoard(tmp_path / "board")])
    events = read(tmp_path / "board")
    candidates = events.Scalars("candidate")
    assert [event.step for event in candidates] == list(range(1, EVALUATIONS + 1))
    assert [int(event.value) for event in candidates] == [e.candidate for e in result.evaluations[:EVALUATIONS]]
    assert events.Scalars("best/fitness")[-1].value == pytest.approx(result.metrics(result.best())["fitness"])
    assert {"val_error", "status/ok", "verify/test_error", "verified/test_error"} <= set(events.Tags()["scalars"])
    assert text_of(events, "best_program.py").strip().startswith("def Model():")
    assert '"seed": 7' in text_of(events, "config")


def test_a_resumed_search_goes_on_in_the_same_folder(tmp_path):
    stopped_search(tmp_path / "runs.sqlite3", TensorBoard(tmp_path / "board"))
    nasmith.resume("run", tmp_path / "runs.sqlite3", observers=[TensorBoard(tmp_path / "board")])
    events = read(tmp_path / "board")
    assert [event.step for event in events.Scalars("candidate")] == list(range(1, EVALUATIONS + 1))
    assert '"seed": 7' in text_of(events, "config")  # once


def test_a_folder_that_cannot_be_written_is_warned_of(tmp_path):
    (tmp_path / "board").write_text("a file")
    with pytest.warns(IntegrationWarning, match="TensorBoard gets nothing more"):
        result = toy_search(tmp_path / "runs.sqlite3", observers=[TensorBoard(tmp_path / "board")])
    assert result.run.finished
