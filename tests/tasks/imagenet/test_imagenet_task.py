from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from nasmith.errors import ConfigError, MissingDependencyError, UnknownNameError, UsageError
from nasmith.registry import create, describe
from nasmith.tasks.imagenet.imagenet_task import ImageNetMobile
from nasmith.types import Outcome, Status

OPTIONS = {"preset": "tiny", "resolution": 32, "batch_size": 16, "device": "cpu", "held_out": 0.1}
GENIUS_329 = (1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 4, 0, 4, 3, 0, 0, 4, 3, 0, 4, 4, 0, 5, 0, 5, 5, 5, 0)


@pytest.fixture
def task(images) -> ImageNetMobile:
    return ImageNetMobile(folder=str(images), **OPTIONS)


def outcome(arrays, **facts) -> Outcome:
    return Outcome(Status.OK, arrays, {"params": 7e6, "flops": 329e6, **facts})


def test_it_is_found_by_its_name_and_made_again_from_its_options(images):
    made = create("tasks", "imagenet-mobile", {"folder": str(images), "flops": "370..430", "preset": "proxy", "epochs": 3})
    again = create("tasks", "imagenet-mobile", describe("tasks", made)["options"])
    assert again.flops == "370..430" and again.epochs == 3 and again.space.limits == made.space.limits


def test_the_space_knows_the_range(task):
    (limit,) = task.space.limits
    assert limit == ("flops", 269.5e6, 330.5e6) and task.space.stated == ("flops",)
    small, large = (0,) * 30, (6,) * 30
    assert task.space.admits(np.array([GENIUS_329, small, large])).tolist() == [True, False, False]


def test_any_number_of_flops_is_allowed_where_it_is_said(images):
    assert ImageNetMobile(folder=str(images), flops="any", **OPTIONS).space.admits is None


def test_what_is_searched_is_told_with_the_table_and_the_range(task):
    statement = task.describe().statement
    assert "images of 3 classes, 32x32 pixels" in statement
    assert "- stage 1, layer 1: 1.5, 23.8, 27.0, 31.8, 35.5, 40.3, 47.6\n" in statement
    assert "- stage 5, layers 2 to 6: 0.0, 15.4, 16.0, 16.9, 23.3, 24.2, 25.6\n" in statement
    assert statement.endswith("A network must have 270 to 330 M FLOPs.")


def test_what_a_search_takes_is_told(task):
    assert task.notes() == [
        "54 images to train on, 6 to judge by, 3 classes, 18 test images.",
        "Each network is trained for 20 epochs at 32 pixels, 60 steps of 16 images.",
    ]


def test_the_accuracy_is_that_of_the_second_account(task):
    labels = np.array([0, 0, 1, 1, 2, 2], dtype=np.int16)
    right, wrong = labels, np.array([0, 0, 1, 1, 2, 0], dtype=np.int16)
    test = np.zeros(18, dtype=np.int16)
    examined = outcome({"predictions/val": wrong, "predictions/test": test})
    metrics = task.score(outcome({"predictions/val": right}, unreadable_images=2.0), examined, "verify")
    assert metrics == {
        "val_accuracy": pytest.approx(500 / 6),
        "test_accuracy": pytest.approx(100 / 3),
        "params": 7e6,
        "flops": 329e6,
        "unreadable_images": 2.0,
    }
    assert "test_accuracy" not in task.score(outcome({"predictions/val": right}), examined, "search")
    assert task.fitness(metrics) == metrics["val_accuracy"]


def test_accounts_that_differ_are_not_believed(task):
    right = np.array([0, 0, 1, 1, 2, 2], dtype=np.int16)
    with pytest.raises(ValueError, match=r"another one 33\.33%"):
        task.score(outcome({"predictions/val": right}), outcome({"predictions/val": right * 0}), "search")
    with pytest.raises(ValueError, match="no predictions for 6 images of 'val'"):
        task.score(outcome({}), outcome({"predictions/val": right}), "search")


def test_a_range_that_no_network_keeps_to_is_refused_before_anything_is_read():
    with pytest.raises(UsageError, match=r"no network of this space has 1000 to 2000 M FLOPs: they have 23 to 885 M"):
        ImageNetMobile(folder="/nowhere", flops="1000..2000").check()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"flops": "330..270"}, ConfigError, r"The smaller number comes first: 270\.\.330"),
        ({"preset": "serch"}, UnknownNameError, "Did you mean 'search'"),
        ({"held_out": 0.0}, ConfigError, "held_out must be above 0"),
        ({"gpus": 0}, ConfigError, "gpus must be at least 1"),
        ({"epochs": -1}, ConfigError, "epochs must be above 0"),
    ],
)
def test_options_that_break_a_rule_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ImageNetMobile(folder="/nowhere", **options)


def test_without_images_it_says_what_is_needed(images, tmp_path):
    with pytest.raises(UsageError, match=r"say where the images are: --data FOLDER"):
        ImageNetMobile().check()
    one = tmp_path / "one"
    shutil.copytree(images, one)
    for part in ("train", "val"):
        for folder in sorted((one / part).iterdir())[1:]:
            shutil.rmtree(folder)
    with pytest.raises(UsageError, match="one class"):
        ImageNetMobile(folder=str(one), **OPTIONS).check()
    twice = tmp_path / "twice"
    shutil.copytree(images, twice)
    victim = sorted((twice / "train").rglob("*.jpg"))[0]
    shutil.copy(victim, twice / "val" / victim.parent.name / "copy.jpg")
    with pytest.raises(UsageError, match=r"copy\.jpg"):
        ImageNetMobile(folder=str(twice), **OPTIONS).check()


def test_the_fingerprint_follows_the_images(task, images, tmp_path):
    copied = tmp_path / "set"
    shutil.copytree(images, copied)
    same = ImageNetMobile(folder=str(copied), **OPTIONS)
    assert same.fingerprint() == task.fingerprint()
    next((copied / "train").rglob("*.jpg")).unlink()
    assert ImageNetMobile(folder=str(copied), **OPTIONS).fingerprint() != task.fingerprint()


def test_an_export_has_a_script_that_names_the_classes(task):
    script = task.companions()["predict.py"].decode()
    assert f"CLASSES = {list(task._sets.train.classes)}" in script and "RESOLUTION, CANVAS = 32, 37" in script
    assert "return Network((1, 0, 0" in task.program(task.space.write(GENIUS_329))


def test_weights_at_the_end_are_the_best_ones(task):
    found = task.best_state(replace(outcome({"state/a": np.ones(2), "predictions/val": np.zeros(6)})))
    assert list(found) == ["a"]


def test_a_run_can_be_looked_at_where_the_images_are_not():
    task = ImageNetMobile(folder="/nowhere", preset="tiny")
    assert "images of 1000 classes" in task.describe().statement and task.space.read(task.space.write(GENIUS_329)) == GENIUS_329
    with pytest.raises(UsageError, match="there is no folder '/nowhere'"):
        task.check()


def test_without_kornia_it_says_how_to_install_it(task, monkeypatch):
    monkeypatch.setattr("nasmith.tasks.imagenet.imagenet_task.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "nasmith\[imagenet\]"'):
        task.check()
