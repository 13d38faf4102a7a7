from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app
from nasmith.tasks.imagenet.training_files import TrainingFolder

GENIUS_329 = "[1,0,0,0,1,0 | 1,0,1,1,1,0 | 4,0,4,3,0,0 | 4,3,0,4,4,0 | 5,0,5,5,5,0]"
SMALL = "1" + "0" * 29
QUICK = ["--preset", "tiny", "--device", "cpu", "--set", "epochs=2", "--set", "resolution=32", "--set", "batch_size=16"]


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["imagenet", *arguments], env={"COLUMNS": "80"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "set"
    said = run("sample", str(folder), "--classes", "3", "--images", "20", "--size", "40")
    assert "3 classes of 20 training and 5 test images" in said
    return folder


def test_the_published_network_is_counted():
    assert run("count", GENIUS_329).splitlines() == [
        "7.0 M parameters (6,967,464)",
        "329 M FLOPs at 224 pixels (329,412,544 multiply-adds for one image)",
        "The network that was built has the same.",
    ]
    found = json.loads(run("count", GENIUS_329, "--resolution", "196", "--json"))
    assert found["params"] == 6967464 == found["built"]["params"] and found["flops"] == found["built"]["flops"] < 3e8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["count", "[1, 2, 3]"], "the list has 3 numbers; 30 are needed, one for each position."),
        (["count", SMALL[:-1]], "has 29 digits; 30 are needed"),
        (["count", "[7" + ", 0" * 29 + "]"], "'7' is no choice at position 1"),
        (["count", GENIUS_329, "--resolution", "8"], "resolution must be at least 32"),
        (["train", SMALL, "--data", "/nowhere"], "/nowhere"),
        (["finetune", "/nowhere", "--data", "/nowhere"], "/nowhere holds no model.py"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message):
    assert message in " ".join(run(*arguments, code=2).split())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epoch=3", "Did you mean 'epochs'"),
        ("epochs=many", "option 'epochs' of recipe"),
        ("epochs", "--set takes KEY=VALUE"),
        ("epochs=0", "epochs must be above 0"),
    ],
)
def test_a_wrong_setting_is_told(images, tmp_path, setting, message):
    said = run("train", SMALL, "--data", str(images), "--set", setting, "-o", str(tmp_path / "t"), code=2)
    assert message in " ".join(said.split()) and not (tmp_path / "t").exists()


def test_a_network_is_trained_then_moved_to_other_images(images, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    said = run("train", SMALL, "--data", str(images), *QUICK, "-o", str(first))
    assert "epoch 2/2, step 6/6, loss" in said and "% of the images held out right" in said
    assert "% of the test images right" in said and "1.8 M" not in said
    names = {"model.py", "weights.safetensors", "predict.py", "scores.json", "curve.csv"}
    assert names <= {path.name for path in first.iterdir()}
    other = tmp_path / "other"
    run("sample", str(other), "--classes", "5", "--images", "8", "--size", "40")
    said = run("finetune", str(first), "--data", str(other), *QUICK, "-o", str(second))
    assert "% of the test images right" in said
    assert TrainingFolder(second).training().start == str(first / "weights.safetensors")
    scores = json.loads((second / "scores.json").read_text())
    assert scores["params"] > json.loads((first / "scores.json").read_text())["params"]


def test_a_folder_with_another_training_is_left_alone(images, tmp_path):
    folder = TrainingFolder(tmp_path)
    run("train", SMALL, "--data", str(images), *QUICK, "-o", str(tmp_path))
    before = folder.training()
    said = run("train", SMALL, "--data", str(images), *QUICK, "--seed", "1", "-o", str(tmp_path), code=2)
    assert "holds another training" in said and folder.training() == before
