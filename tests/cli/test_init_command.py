from typer.testing import CliRunner

from nasmith.cli.app import app
from scaffold_data import write_table

runner = CliRunner()


def test_from_nothing_to_a_sound_folder(tmp_path):
    data = write_table(tmp_path / "wine.csv")
    result = runner.invoke(app, ["init", str(tmp_path / "mine"), "--template", "table", "--data", str(data)])
    assert result.exit_code == 0, result.output
    for name in ("task.yaml", "task.py", "preamble.py", "seeds/mlp.py"):
        assert name in result.stdout and (tmp_path / "mine" / name).is_file()
    assert "nasmith check" in result.stdout
    checked = runner.invoke(app, ["check", str(tmp_path / "mine")])
    assert checked.exit_code == 0, checked.output
    assert "178" not in checked.stdout.split("Seeds")[1] and "Ready" in checked.stdout


def test_without_a_terminal_what_is_missing_is_named(tmp_path):
    result = runner.invoke(app, ["init", str(tmp_path / "mine")])
    assert result.exit_code == 2 and "--template images|table|series|text|module" in result.stderr
    result = runner.invoke(app, ["init", str(tmp_path / "mine"), "--template", "table"])
    assert result.exit_code == 2 and "Add: --data PATH" in result.stderr
    result = runner.invoke(app, ["init", str(tmp_path / "mine"), "--from", "a:B"])
    assert result.exit_code == 2 and "Add: --data my_package.data:loaders" in result.stderr
    assert not (tmp_path / "mine").exists()


def test_names_that_do_not_exist(tmp_path):
    result = runner.invoke(app, ["init", str(tmp_path / "mine"), "--template", "tabel", "--data", "x"])
    assert result.exit_code == 2 and "Did you mean 'table'?" in result.stderr
    result = runner.invoke(app, ["init", str(tmp_path / "mine"), "-t", "table", "--data", "x", "--kind", "clustering"])
    assert result.exit_code == 2 and "unknown kind 'clustering'" in result.stderr
