from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app

runner = CliRunner()
SPACE = ["compare", "nasmith.testing:ToySpaceTask", "--evaluations", "12", "--workers", "1"]
BOTH = ["--strategies", "toy_strategies:Guess, toy_strategies:Climb"]


def invoke(*words: str, code: int = 0):
    result = runner.invoke(app, [*words], env={"COLUMNS": "80"})
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare") / "runs.sqlite3"


@pytest.fixture(scope="module")
def compared(storage: Path) -> str:
    return invoke(*SPACE, *BOTH, "--seeds", "4", "--storage", str(storage)).stdout


def test_a_comparison_is_shown_in_80_columns_and_written_beside_the_storage(compared: str, storage: Path) -> None:
    assert "8 of 8 runs" in compared and "toy_strategies:Climb" in compared and "p (Holm)" in compared
    path = compared.rpartition("Written: ")[2].partition(",")[0]
    table = compared[compared.index("toy space:") : compared.index("Written:")]
    assert max(map(len, table.splitlines())) <= 80
    folder = Path(path).parent
    assert folder.parent == storage.parent and folder.name.startswith("compare-toy-space-")
    assert {each.name for each in folder.iterdir()} == {f"comparison.{kind}" for kind in ("json", "md", "svg", "png")}


def test_the_same_again_is_read_and_told_as_json(compared: str, storage: Path, tmp_path: Path) -> None:
    result = invoke(*SPACE, *BOTH, "--seeds", "4", "--storage", str(storage), "--json", "--out", str(tmp_path / "out"))
    told = json.loads(result.stdout)
    assert "8 runs, 8 of them are there" in result.stderr
    assert told == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [len(runs) for runs in told["curves"].values()] == [4, 4] and told["checkpoints"] == [10, 12]


def test_the_runs_of_a_comparison_are_one_line(compared: str, storage: Path) -> None:
    text = invoke("runs", "--storage", str(storage)).stdout
    assert text.count("compare-toy-space-") == 1 and "8 runs of" in " ".join(text.split())
    every = invoke("runs", "--all", "--storage", str(storage)).stdout
    assert every.count("compare-toy-space-") == 8
    assert len(json.loads(invoke("runs", "--json", "--storage", str(storage)).stdout)) == 8


def test_one_run_of_it_can_be_shown_and_the_newest_is_another(compared: str, storage: Path, tmp_path: Path) -> None:
    names = [run["name"] for run in json.loads(invoke("runs", "--json", "--storage", str(storage)).stdout)]
    assert names[0] in invoke("show", names[0], "--storage", str(storage)).stdout
    mixed = tmp_path / "runs.sqlite3"
    small = ["--set", "evaluations=3", "--set", "verify.best=0", "--storage", str(mixed), "-q"]
    invoke("search", "nasmith.testing:ToySpaceTask", "--strategy", "toy_strategies:Guess", "--name", "mine", *small)
    invoke(*SPACE, *BOTH, "--seeds", "1", "--storage", str(mixed), "-q")
    assert invoke("show", "--storage", str(mixed)).stdout.split()[:2] == ["run", "mine,"]


def test_checkpoints_reference_and_settings_are_taken(storage: Path, compared: str, tmp_path: Path) -> None:
    words = ["--checkpoints", "3,6", "--against", "toy_strategies:Climb", "--seeds", "2", "--set", "batch=2", "--json", "-q"]
    told = json.loads(invoke(*SPACE, *BOTH, *words, "--storage", str(tmp_path / "r.sqlite3")).stdout)
    assert told["checkpoints"] == [3, 6, 12] and told["reference"] == "toy_strategies:Climb"
    assert told["strategies"][1]["test"] is None and told["strategies"][0]["test"] is not None
    assert told["strategies"][0]["config"]["strategy"]["options"]["batch"] == 2


def test_a_disguise_doubles_the_strategies(tmp_path: Path) -> None:
    words = ["compare", "toy_strategies:Masked", "--strategies", "toy_strategies:Guess", "--evaluations", "12", "--json", "-q"]
    told = json.loads(invoke(*words, "--seeds", "2", "--disguise", "--storage", str(tmp_path / "r.sqlite3")).stdout)
    assert list(told["curves"]) == ["toy_strategies:Guess", "toy_strategies:Guess, disguised"] and told["optimum"] == 91.0
    assert told["strategies"][1]["config"]["task"]["options"]["disguise"] == 0


def test_an_interrupted_comparison_says_that_the_same_command_goes_on(
    compared: str, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasmith.cli import compare_progress

    class Impatient(compare_progress.Watch):
        def __call__(self, progress: object) -> None:
            super().__call__(progress)  # type: ignore[arg-type]
            if self.done == 3:
                signal.raise_signal(signal.SIGINT)

    words = [*SPACE, *BOTH, "--seeds", "4", "--storage", str(tmp_path / "runs.sqlite3"), "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patched:
        patched.setattr(compare_progress, "watcher", lambda console, quiet: Impatient())
        result = invoke(*words, code=130)
    assert "3 of 8 runs are finished and stored. The same command goes on" in result.stderr
    assert not (tmp_path / "out").exists()
    again = json.loads(invoke(*words, "--json", "-q").stdout)
    assert again == json.loads(invoke(*SPACE, *BOTH, "--seeds", "4", "--storage", str(storage), "--json", "-q").stdout)


def test_programs_are_compared_too(tmp_path: Path) -> None:
    words = ["compare", "nasmith.testing:ToyTask", "--strategies", "evoprompting,few-shot", "--lm", "nasmith.testing:ToyLM"]
    small = [
        "--executor",
        "inline",
        "--seeds",
        "2",
        "--evaluations",
        "6",
        "--set",
        "rounds=1",
        "--set",
        "evoprompting.prompts=1",
    ]
    text = invoke(*words, *small, "--storage", str(tmp_path / "runs.sqlite3")).stdout
    assert "Fitness of the best so far" in text and "4 of 4 runs" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*SPACE, "--strategies", "nobody"], "unknown strategy 'nobody'"),
        ([*SPACE, "--strategies", "few-shot"], "Strategies for it: "),
        ([*SPACE, *BOTH, "--seeds", "0"], "must be at least 1, got 0"),
        ([*SPACE, *BOTH, "--checkpoints", "a"], "--checkpoints takes numbers such as 10,30,100, got 'a'"),
        ([*SPACE, *BOTH, "--disguise"], "no option `disguise`"),
        ([*SPACE, "--strategies", " , "], "no strategy was named"),
    ],
)
def test_mistakes_are_explained_before_anything_starts(words: list[str], said: str, tmp_path: Path) -> None:
    result = invoke(*words, "--storage", str(tmp_path / "runs.sqlite3"), code=2)
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(compared: str, storage: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = [*SPACE, *BOTH, "--seeds", "4", "--storage", str(storage), "-q", "--out", str(tmp_path / "file" / "out")]
    assert "Name another folder with --out" in invoke(*words, code=2).stderr


PAID = ["compare", "nasmith.testing:ToyTask", "--strategies", "few-shot", "--lm", "toy_runs:Paid", "--executor", "inline"]


def test_a_comparison_that_costs_money_is_not_begun_where_nobody_can_be_asked(tmp_path: Path) -> None:
    words = [*PAID, "--seeds", "2", "--evaluations", "4", "--storage", str(tmp_path / "runs.sqlite3"), "-q"]
    result = invoke(*words, code=2)
    assert "2 runs of up to 4 candidates" in result.stderr and "$" in result.stderr and "--yes" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert "one run" not in invoke(*words, "--yes").stdout
