from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nasmith.errors import ConfigError, UsageError
from nasmith.tasks.imagenet.sample_images import CLASSES, write_sample


def test_the_files_are_there_and_follow_from_the_seed(tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        write_sample(tmp_path / name, classes=8, train=3, test=2, size=32, seed=seed)
    found = {}
    for name in ("one", "two", "three"):
        paths = (tmp_path / name).rglob("*.jpg")
        found[name] = {path.relative_to(tmp_path / name): path.read_bytes() for path in paths}
    assert len(found["one"]) == 8 * 5 == len(set(found["one"].values()))
    assert found["one"] == found["two"] and found["one"].keys() == found["three"].keys()
    assert not set(found["one"].values()) & set(found["three"].values())
    with Image.open(tmp_path / "one" / "train" / CLASSES[0] / "0000.jpg") as image:
        assert image.size == (32, 32) and image.mode == "RGB"


def test_colours_do_not_tell_the_classes_apart(tmp_path):
    write_sample(tmp_path / "set", classes=8, train=40, test=1)
    means = []
    for name in CLASSES:
        pictures = [np.asarray(Image.open(path)).mean((0, 1)) for path in sorted((tmp_path / "set" / "train" / name).iterdir())]
        means.append(np.array(pictures))
    between = np.array([each.mean(0) for each in means]).std(0)
    within = np.concatenate([each - each.mean(0) for each in means]).std(0)
    assert (between < 0.5 * within).all()


@pytest.mark.parametrize("options", [{"classes": 1}, {"classes": 9}, {"train": 0}, {"test": 0}, {"size": 8}])
def test_numbers_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(ConfigError):
        write_sample(tmp_path / "set", **options)
    assert not (tmp_path / "set").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty: name a new folder"):
        write_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_sample(tmp_path / "file" / "set")
