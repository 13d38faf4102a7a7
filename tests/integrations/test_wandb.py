"""Searches logged by wandb offline, read back from its files."""

import json
import struct
import time

import pytest

import nasmith
from nasmith.integrations import IntegrationWarning, WandB
from toy_runs import toy_search
from tracked_searches import EVALUATIONS, stopped_search


def records(folder):
    """The records of an offline run: protocol buffers in a LevelDB log of 32 KiB blocks, behind a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("run-*.wandb")
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def history(folder):
    """What was logged, a dictionary a step; the end of a run is written a moment after it is said to be finished."""
    deadline = time.monotonic() + 30
    while "exit" not in (record.WhichOneof("record_type") for record in records(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    rows = [record.history for record in records(folder) if record.WhichOneof("record_type") == "history"]
    return [{".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item} for row in rows]


def folders(path):
    return sorted((path / "wandb").glob("offline-run-*"))


def test_a_search_is_logged(tmp_path):
    result = toy_search(tmp_path / "runs.sqlite3", observers=[WandB("digits", folder=tmp_path)])
    (folder,) = folders(tmp_path)
    (run,) = (record.run for record in records(folder) if record.WhichOneof("record_type") == "run")
    assert (run.project, run.display_name) == ("digits", "run")
    assert run.run_id.startswith("run-") and run.resumed is False
    config = {update.key: json.loads(update.value_json) for update in run.config.update}
    assert config["seed"] == 7 and config["strategy"]["name"] == "evoprompting"
    rows = history(folder)
    searched = [row for row in rows if "candidate" in row]
    assert [row["_step"] for row in searched] == list(range(1, EVALUATIONS + 1))
    assert [row["candidate"] for row in searched] == [e.candidate for e in result.evaluations[:EVALUATIONS]]
    assert searched[-1]["best/fitness"] == result.metrics(result.best())["fitness"]
    verified = [each["test_error"] for each in result.verified(result.best())]
    assert rows[-1]["verified/test_error"] == pytest.approx(sum(verified) / len(verified))
    assert {path.name for path in (folder / "files").iterdir()} == {"best_program.py"}  # nothing of this machine
    assert (folder / "files" / "best_program.py").read_text() == result.best().text


def test_a_resumed_search_has_the_same_id_and_logs_what_was_not_logged(tmp_path):
    stopped_search(tmp_path / "runs.sqlite3", WandB(folder=tmp_path))
    nasmith.resume("run", tmp_path / "runs.sqlite3", observers=[WandB(folder=tmp_path)])
    first, second = folders(tmp_path)
    assert next(first.glob("run-*.wandb")).name == next(second.glob("run-*.wandb")).name
    steps = [row["_step"] for folder in (first, second) for row in history(folder) if "candidate" in row]
    assert steps == list(range(1, EVALUATIONS + 1))


def test_a_run_of_the_users_own_in_the_same_process_is_left_alone(tmp_path):
    import wandb

    own = wandb.init(project="mine", dir=tmp_path, settings=wandb.Settings(console="off", silent=True))
    toy_search(tmp_path / "runs.sqlite3", observers=[WandB(folder=tmp_path)], budget=nasmith.Budget(evaluations=3))
    own.log({"mine": 1})
    own.finish()
    mine = next(folder for folder in folders(tmp_path) if own.id in folder.name)
    assert [set(row) - {"_step", "_runtime", "_timestamp"} for row in history(mine)] == [{"mine"}]


def test_wandb_that_fails_is_warned_of(tmp_path, monkeypatch):
    import wandb

    def gone(**options):
        raise wandb.errors.CommError("the server is gone")

    monkeypatch.setattr(wandb, "init", gone)
    with pytest.warns(IntegrationWarning, match="WandB gets nothing more of this search.*the server is gone"):
        result = toy_search(tmp_path / "runs.sqlite3", observers=[WandB(folder=tmp_path)])
    assert result.run.finished
