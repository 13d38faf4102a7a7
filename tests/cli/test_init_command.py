import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app
from scaffold_data import write_images, write_table, write_text_folder, write_texts

runner = CliRunner()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("nasmith.cli.init_command._is_terminal", lambda: True)


def test_from_nothing_to_a_sound_folder(tmp_path):
    data = write_table(tmp_path / "wine.csv")
    result = runner.invoke(app, ["init", str(tmp_path / "mine"), "--template", "table", "--data", str(data)])
    assert result.exit_code == 0, result.output
    for name in ("task.yaml", "task.py", "preamble.py", "README.md", "seeds/mlp.py"):
        assert name in result.stdout and (tmp_path / "mine" / name).is_file()
    assert "quality, one of 3 classes, from a table of 178 rows" in result.stdout
    assert result.stdout.endswith(f"  nasmith check {tmp_path / 'mine'}\n")
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


def test_a_terminal_is_asked_and_what_is_found_is_offered(tmp_path, terminal):
    data = write_table(tmp_path / "wine.csv")
    result = runner.invoke(app, ["init", str(tmp_path / "mine")], input=f"table\n{data}\n\n")
    assert result.exit_code == 0, result.output
    assert "Column that is predicted [quality]" in result.stdout and "one of 3 classes" in result.stdout


def test_few_numbers_are_classes_or_quantities_as_the_user_says(tmp_path, terminal):
    (tmp_path / "t.csv").write_text("a,stars\n" + "".join(f"{n},{n % 5}\n" for n in range(60)))
    asked = ["init", str(tmp_path / "mine"), "-t", "table", "--data", str(tmp_path / "t.csv")]
    result = runner.invoke(app, asked, input="stars\nn\n")
    assert "stars holds 5 different numbers. Are these classes" in result.stdout and "stars, a quantity," in result.stdout
    answered = runner.invoke(app, [*asked[:1], str(tmp_path / "yes"), *asked[2:], "--yes"])
    assert answered.exit_code == 0 and "Are these" not in answered.stdout and "one of 5 classes" in answered.stdout


def test_of_texts_the_label_is_offered_and_a_folder_has_no_columns(tmp_path, terminal):
    arguments = ["init", str(tmp_path / "mine"), "-t", "text", "--data"]
    result = runner.invoke(app, [*arguments, str(write_texts(tmp_path / "t.csv"))], input="\n")
    assert "Column that is predicted [mood]" in result.stdout and result.exit_code == 0
    arguments[1] = str(tmp_path / "other")
    result = runner.invoke(app, [*arguments, str(write_text_folder(tmp_path / "texts"))])
    assert result.exit_code == 0 and "Column" not in result.stdout and "Texts of 2 classes" in result.stdout


def test_an_option_that_the_template_does_not_take_is_refused(tmp_path):
    images = str(write_images(tmp_path / "digits"))
    result = runner.invoke(app, ["init", str(tmp_path / "mine"), "-t", "images", "--data", images, "--target", "x"])
    assert result.exit_code == 2 and "--target means nothing for the template 'images'" in result.stderr
    assert not (tmp_path / "mine").exists()


def test_what_is_printed_fits_into_80_columns(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "wine.csv")
    result = runner.invoke(app, ["init", "mine", "-t", "table", "--data", "wine.csv"])
    assert result.exit_code == 0 and max(map(len, result.stdout.splitlines())) <= 80
