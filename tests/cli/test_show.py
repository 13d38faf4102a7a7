from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app
from nasmith.cli.show import candidate_of
from nasmith.errors import UnknownNameError
from nasmith.protocols import Storage

runner = CliRunner()


def invoke(*words: str, storage: Path) -> str:
    result = runner.invoke(app, [*words, "--storage", str(storage)], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_runs_are_listed(recorded: Path) -> None:
    text = invoke("runs", storage=recorded)
    assert "quiet-otter" in text and "12:00" in text and "40" in text
    (entry,) = json.loads(invoke("runs", "--json", storage=recorded))
    assert entry["name"] == "quiet-otter" and entry["children"] == 40 and entry["best_fitness"] < 0


def test_a_run_is_shown_with_its_best_its_winners_and_its_failures(recorded: Path) -> None:
    text = invoke("show", "quiet-otter", storage=recorded)
    for words in (
        "evoprompting with scripted",
        "reference_cnn",
        "Verified",
        "output has shape",
        "loss 1.31 → 0.95",
        "not taken over",
    ):
        assert words in text


def test_a_run_is_shown_as_json(recorded: Path) -> None:
    shown = json.loads(invoke("show", "--json", storage=recorded))
    assert shown["run"] == "quiet-otter" and sum(shown["statuses"].values()) == 40
    assert shown["lm"]["completions"] == 40 and shown["lm"]["calls_without_reply"] == 0
    assert len(shown["seeds"]) == 4 and shown["front"] and len(shown["verified"]) == 9


def test_a_candidate_is_shown_with_its_whole_story(recorded: Path) -> None:
    shown = json.loads(invoke("show", "quiet-otter", "13", "--json", storage=recorded))
    assert shown["completion"]["model"] == "smollm2" and shown["lineage"][0] == {"generations": 0, "candidate": 13}
    text = invoke("show", "quiet-otter", "13", storage=recorded)
    for words in (
        "Candidate 13",
        "crossover in round 1",
        "Prompt (smollm2)",
        "Reply (130 tokens",
        "def Model():",
        "Changes against #",
        "val error",
    ):
        assert words in text
    assert f"from #{shown['parents'][0]}" in text


def test_a_seed_has_no_prompt(recorded: Path) -> None:
    text = invoke("show", "quiet-otter", "1", storage=recorded)
    assert "the seed gru" in text and "Prompt" not in text


def test_what_a_candidate_wrote_is_never_read_as_markup(recorded: Path) -> None:
    assert "<script>alert('candidate')</script>" in invoke("show", "quiet-otter", "9", storage=recorded)


def test_an_unknown_run_or_candidate_says_which_exist(recorded: Path, recorded_storage: Storage) -> None:
    result = runner.invoke(app, ["show", "quiet-oter", "--storage", str(recorded)])
    assert result.exit_code == 2 and "Did you mean 'quiet-otter'?" in result.stderr
    result = runner.invoke(app, ["show", "quiet-otter", "99", "--storage", str(recorded)])
    assert result.exit_code == 2 and "Valid: 1 to 44" in result.stderr
    from nasmith import analysis

    with pytest.raises(UnknownNameError):
        candidate_of(analysis.read(recorded_storage, "quiet-otter"), 0)


def test_what_a_run_cost_is_shown_by_operator_and_outcome(recorded: Path) -> None:
    text = invoke("show", "quiet-otter", "--cost", storage=recorded)
    assert "by operator" in text and "by outcome" in text and "by model" not in text
    assert "In all: 40 calls, 1,100 tokens in, 5,200 out, 44.0 s" in text and "$" not in text
    found = json.loads(invoke("show", "--cost", "--json", storage=recorded))
    assert found["total"]["tokens_out"] == 5_200
    assert [row["model"] for row in found["by_model"]] == ["smollm2"]
    assert found["per_trained_child"]["children"] == next(r["calls"] for r in found["by_outcome"] if r["outcome"] == "ok")


def test_what_one_candidate_cost_is_not_asked_for(recorded: Path) -> None:
    result = runner.invoke(app, ["show", "quiet-otter", "13", "--cost", "--storage", str(recorded)])
    assert result.exit_code == 2 and "leave out the candidate 13" in result.stderr


def test_looking_changes_nothing(recorded: Path) -> None:
    before = recorded.read_bytes()
    invoke("show", storage=recorded)
    invoke("show", "--cost", storage=recorded)
    assert recorded.read_bytes() == before


def test_a_replay_shows_what_the_recorded_run_shows_but_for_its_times(tmp_path: Path) -> None:
    from nasmith.lms.replay import Replay
    from toy_runs import toy_search

    toy_search(tmp_path / "runs.sqlite3")
    toy_search(tmp_path / "other.sqlite3", lm=Replay("run", storage=str(tmp_path / "runs.sqlite3")))
    shown = [invoke("show", "run", "--json", storage=tmp_path / name) for name in ("runs.sqlite3", "other.sqlite3")]
    first, again = (re.sub(r'"(created|finished|seconds|\w+_seconds)": [^,\n]*', "", text) for text in shown)
    assert first == again
    assert "with a replay of nasmith.testing" in invoke("show", "run", storage=tmp_path / "other.sqlite3")
