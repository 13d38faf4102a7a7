import json

from typer.testing import CliRunner

from folder_toys import YAML, write_folder
from nasmith.cli.app import app

runner = CliRunner()


def test_a_sound_folder_is_shown_with_what_to_do_next(tmp_path):
    folder = write_folder(tmp_path / "t")
    result = runner.invoke(app, ["check", str(folder)])
    assert result.exit_code == 0, result.output
    for said in ("Three heaps", "train.x", "180 x 4 float32", "large", "small", "def Model():", "nasmith search"):
        assert said in result.stdout
    assert max(map(len, result.stdout.splitlines())) < 120


def test_mistakes_are_said_and_end_with_an_error_code(tmp_path):
    folder = write_folder(tmp_path / "t", yaml=YAML.replace("error: minimize", "accuracy: minimize"))
    result = runner.invoke(app, ["check", str(folder)])
    assert result.exit_code == 2
    assert "error:" in result.stdout and "nobody returns 'accuracy'" in result.stdout
    assert "Traceback" not in result.output and "nasmith search" not in result.stdout


def test_as_json(tmp_path):
    folder = write_folder(tmp_path / "t")
    found = json.loads(runner.invoke(app, ["check", str(folder), "--json"]).stdout)
    assert found["sound"] is True and {seed["label"] for seed in found["seeds"]} == {"small", "large"}


def test_a_folder_that_is_not_there(tmp_path):
    result = runner.invoke(app, ["check", str(tmp_path / "none")])
    assert result.exit_code == 2 and "there is no folder" in result.stderr and "nasmith init" in result.stderr
    (tmp_path / "empty").mkdir()
    result = runner.invoke(app, ["check", str(tmp_path / "empty")])
    assert result.exit_code == 2 and "holds no task" in result.stderr
