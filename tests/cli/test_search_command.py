from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app

runner = CliRunner()
REPLIES = [
    "    return nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(10))\n",
    "    return nn.LazyLinear(10)\n",
    "    return (\n",
]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search") / "runs.sqlite3"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "search.yaml"
    path.write_text(
        "task: {name: mnist1d, options: {evaluations: 1}}\n"
        f"lm: {{name: scripted, options: {{replies: {json.dumps(REPLIES)}}}}}\n"
        "strategy: {name: evoprompting, options: {error_threshold: 1.0}}\n"
        "executor: inline\n"
        "verify: {best: 1, front: 0, seeds: 2, baselines: false}\n"
    )
    return path


@pytest.fixture(scope="module")
def searched(storage: Path, config: Path) -> str:
    words = ["search", "--config", str(config), "--rounds", "1", "--prompts", "1", "--samples", "3", "--steps", "5"]
    result = runner.invoke(app, [*words, "--storage", str(storage), "--name", "small"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_search_runs_to_its_summary(searched: str) -> None:
    for words in ("starting run small", "seed mlp:", "new best #", "verifying 1 model", "nasmith report small"):
        assert words in searched
    assert "Traceback" not in searched


def test_a_finished_search_is_not_resumed(searched: str, storage: Path) -> None:
    result = runner.invoke(app, ["resume", "small", "--storage", str(storage)])
    assert result.exit_code == 2 and "is finished" in result.stderr


def test_a_name_is_not_taken_twice(searched: str, storage: Path, config: Path) -> None:
    result = runner.invoke(app, ["search", "--config", str(config), "--name", "small", "--storage", str(storage)])
    assert result.exit_code == 2 and "nasmith resume small" in result.stderr


def test_json_goes_to_standard_output_alone_and_quiet_shows_no_progress(tmp_path: Path, config: Path) -> None:
    words = ["search", "--config", str(config), "--rounds", "1", "--prompts", "1", "--samples", "1", "--steps", "2"]
    words += ["--set", "verify.best=0", "--storage", str(tmp_path / "runs.sqlite3"), "--json", "--quiet"]
    result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["run"] == "mnist1d-1" and sum(found["statuses"].values()) == 1 and result.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mnist1"], "Did you mean 'mnist1d'?"),
        (["mnist1d", "--strategy", "evoprompt"], "Did you mean 'evoprompting'?"),
        (["mnist1d", "--lm", "smolm2"], "Did you mean 'smollm2'?"),
        (["mnist1d", "--set", "roundz=3"], "Did you mean 'rounds'?"),
        (["mnist1d", "--rounds", "0"], "rounds must be at least 1"),
        (["--config", "missing.yaml"], "cannot read the configuration missing.yaml"),
        ([], "no task was named. Valid: "),
    ],
)
def test_mistakes_are_explained_before_anything_starts(words: list[str], said: str, tmp_path: Path) -> None:
    result = runner.invoke(app, ["search", *words, "--storage", str(tmp_path / "runs.sqlite3")])
    assert result.exit_code == 2 and said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_search_that_is_interrupted_says_how_to_go_on(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nasmith import api
    from nasmith.events import Started
    from nasmith.types import Run

    def interrupted(**options: object) -> None:
        for observer in options["observers"]:  # type: ignore[attr-defined]
            observer(Started(Run("half", {}, "0", {}, "2026-01-01T00:00:00+00:00"), False, 1))
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "search", interrupted)
    result = runner.invoke(app, ["search", "--config", str(config), "--quiet", "--storage", "x.sqlite3"])
    assert result.exit_code == 130
    assert "nasmith resume half --storage x.sqlite3" in result.stderr


def test_a_run_that_was_broken_off_is_resumed_to_the_same_children(
    searched: str, storage: Path, tmp_path: Path, config: Path
) -> None:
    from nasmith import analysis, api
    from nasmith.config import resolve
    from nasmith.events import Evaluated, Event
    from nasmith.registry import PARTS, create
    from nasmith.storage.sql import Sql

    def pull_the_plug(event: Event) -> None:
        if isinstance(event, Evaluated) and event.candidate.operator != "seed":
            raise KeyboardInterrupt

    sizes = {"strategy.rounds": 1, "strategy.prompts": 1, "strategy.samples": 3, "task.steps": 5}
    chosen = resolve(file=config, flags=sizes)
    parts = {part: create(kind, chosen.component(part).name, chosen.component(part).options) for part, kind in PARTS.items()}
    broken = tmp_path / "runs.sqlite3"
    with pytest.raises(KeyboardInterrupt):
        api.search(**parts, storage=broken, name="small", verify=chosen.verify, observers=[pull_the_plug])
    result = runner.invoke(app, ["resume", "--storage", str(broken)])
    assert result.exit_code == 0, result.output
    assert "resuming run small" in result.stdout
    texts = []
    for path in (broken, storage):
        opened = Sql(path, read_only=True)
        texts.append([candidate.text for candidate in analysis.read(opened, "small").candidates.values()])
        opened.close()
    assert texts[0] == texts[1] and len(texts[0]) == 7


def test_a_second_resume_is_refused_with_the_first_ones_process(searched: str, storage: Path) -> None:
    from nasmith.storage.sql import Sql

    first = Sql(storage)
    first.finish_run("small", "")
    with first.claim("small"):
        result = runner.invoke(app, ["resume", "small", "--storage", str(storage), "--quiet"])
        shown = runner.invoke(app, ["show", "small", "--storage", str(storage)])
    first.finish_run("small", "2026-01-01T00:00:00+00:00")
    first.close()
    assert result.exit_code == 2
    assert f"process {os.getpid()} on host" in result.stderr and "since 2" in result.stderr
    assert shown.exit_code == 0, shown.output


def test_a_network_drive_is_warned_of_on_standard_error(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasmith.storage.sql.network_drive", lambda path: "nfs4")
    words = ["search", "--config", str(config), "--rounds", "1", "--prompts", "1", "--samples", "1", "--steps", "2", "--quiet"]
    result = runner.invoke(app, [*words, "--set", "verify.best=0", "--storage", str(tmp_path / "runs.sqlite3")])
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("warning: ") and result.stderr.count("is on a network drive (nfs4)") == 1


PAID = ["search", "nasmith.testing:ToyTask", "--lm", "toy_runs:Paid", "--executor", "inline", "--rounds", "1", "--prompts", "2"]


def test_a_search_that_costs_money_is_not_begun_where_nobody_can_be_asked(tmp_path: Path) -> None:
    result = runner.invoke(app, [*PAID, "--storage", str(tmp_path / "runs.sqlite3"), "--budget-usd", "3"])
    assert result.exit_code == 2
    assert "up to 32 programs" in result.stderr and "It ends at $3.00" in result.stderr and "--yes" in result.stderr
    assert not (tmp_path / "runs.sqlite3").exists()


def test_yes_begins_it_and_its_cost_is_shown(tmp_path: Path) -> None:
    storage = ["--storage", str(tmp_path / "runs.sqlite3")]
    result = runner.invoke(app, [*PAID, *storage, "--yes", "--set", "choice.by=weights"])
    assert result.exit_code == 0, result.output
    assert "$" in result.stdout
    assert "$" in runner.invoke(app, ["show", "--cost", *storage]).stdout


@pytest.mark.parametrize(("answer", "begun"), [(b"n\n", False), (b"y\n", True)])
def test_a_person_is_asked(tmp_path: Path, answer: bytes, begun: bool) -> None:
    import pty

    master, slave = pty.openpty()
    os.write(master, answer)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [
        sys.executable,
        "-c",
        "from nasmith.cli import main; main()",
        *PAID,
        "--storage",
        str(tmp_path / "r.sqlite3"),
        "-q",
    ]
    try:
        ran = subprocess.run(command, env=environment, stdin=slave, capture_output=True, text=True, timeout=120)
    finally:
        os.close(master)
        os.close(slave)
    assert ran.returncode == 0, ran.stderr
    assert "Begin?" in ran.stderr
    assert (tmp_path / "r.sqlite3").exists() is begun


def test_a_recorded_run_is_played_again_by_its_name_alone(searched: str, storage: Path) -> None:
    result = runner.invoke(app, ["search", "--lm", "replay:small", "--storage", str(storage), "--name", "again", "-q"])
    assert result.exit_code == 0, result.output
    first, again = (
        json.loads(runner.invoke(app, ["show", name, "--json", "--storage", str(storage)]).stdout)
        for name in ("small", "again")
    )
    assert first["config"] == again["config"]
    assert first["statuses"] == again["statuses"]


def test_several_language_models_are_an_ensemble(tmp_path: Path) -> None:
    replies = tmp_path / "replies.json"
    replies.write_text(json.dumps(["\n    return [3]\n", "\n    return [4, 5]\n"]))
    words = ["search", "nasmith.testing:ToyTask", "--lm", f"scripted:{replies}", "--lm", "nasmith.testing:ToyLM"]
    small = ["--executor", "inline", "--rounds", "1", "--prompts", "6", "--samples", "2", "--set", "verify.best=0"]
    result = runner.invoke(app, [*words, *small, "--storage", str(tmp_path / "runs.sqlite3"), "-q"])
    assert result.exit_code == 0, result.output
    shown = json.loads(runner.invoke(app, ["show", "--cost", "--json", "--storage", str(tmp_path / "runs.sqlite3")]).stdout)
    assert {row["model"] for row in shown["by_model"]} == {"scripted", "toy"}


def test_an_operator_that_the_model_lacks_is_said_before_anything_is_begun(tmp_path: Path) -> None:
    words = ["search", "nasmith.testing:ToyTask", "--lm", "nasmith.testing:ToyLM", "--executor", "inline"]
    result = runner.invoke(app, [*words, "--set", "operators=edit", "--storage", str(tmp_path / "runs.sqlite3")])
    assert result.exit_code == 2
    assert "unknown operator of toy 'edit'" in result.stderr and "crossover, infill, regrow" in result.stderr


def test_a_key_that_is_withdrawn_in_the_middle_of_a_run_ends_it_with_the_way_to_go_on(tmp_path: Path) -> None:
    from nasmith.testing import EchoServer

    def answer(body: object) -> str:
        return "```python\ndef Model():\n    return [7]\n```"

    with EchoServer(answer, faults=lambda number, body: "401" if number > 3 else None) as server:
        words = ["search", "nasmith.testing:ToyTask", "--lm", f"vllm/toy@{server.url}", "--executor", "inline"]
        small = ["--rounds", "1", "--prompts", "4", "--samples", "4", "--set", "batch=1", "--set", "concurrency=1"]
        result = runner.invoke(app, [*words, *small, "--storage", str(tmp_path / "runs.sqlite3"), "--name", "cut", "-q"])
    assert result.exit_code == 2
    assert "nasmith resume cut" in result.stderr and "NASMITH_API_KEY" in result.stderr
