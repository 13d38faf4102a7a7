from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.image_checks import check_classes, check_overlap, split, subset
from nasmith.tasks.imagenet.image_sources import ImageSets, open_images

LABELS = np.repeat([0, 1, 2], [100, 50, 7])
NAMES = ("ant", "bee", "cat")


def test_the_same_share_of_each_class_is_held_out_but_at_least_one_image():
    trained, held = split(LABELS, 0.1, 0, NAMES)
    assert np.bincount(LABELS[held]).tolist() == [10, 5, 1]
    assert sorted([*trained, *held]) == list(range(157)) and (np.diff(held) > 0).all() and (np.diff(trained) > 0).all()


def test_what_is_held_out_follows_from_the_seed():
    first, same, other = (split(LABELS, 0.1, seed, NAMES)[1].tolist() for seed in (3, 3, 4))
    assert first == same != other


def test_one_image_of_each_class_is_left_to_train_on():
    trained, held = split(np.array([0, 0, 1, 1]), 0.9, 0, NAMES)
    assert np.bincount(np.array([0, 0, 1, 1])[trained]).tolist() == [1, 1] and len(held) == 2


def test_a_class_with_one_image_is_named():
    with pytest.raises(UsageError, match="the class 'bee' has one image"):
        split(np.array([0, 0, 1, 2, 2]), 0.1, 0, NAMES)


def test_a_smaller_part_is_within_a_larger_one():
    index = np.arange(20, 157)
    parts = [subset(index, LABELS, share, seed=1) for share in (0.05, 0.2, 1.0)]
    assert [np.bincount(LABELS[part]).tolist() for part in parts] == [[4, 2, 1], [16, 10, 1], [80, 50, 7]]
    assert set(parts[0]) < set(parts[1]) < set(parts[2]) == set(index)


def source(labels, classes=NAMES):
    images = [f"{label} {number}".encode() for number, label in enumerate(labels)]
    return SimpleNamespace(
        classes=classes, labels=np.array(labels), read=lambda place: images[place], name=lambda place: f"row {place}"
    )


def test_a_data_set_of_one_class_is_refused():
    with pytest.raises(UsageError, match="the images have one class, 'ant': a classifier needs two"):
        check_classes(ImageSets(source([0, 0], NAMES[:1]), None, "folder"))


def test_a_class_without_images_is_named():
    with pytest.raises(UsageError, match="there are no images of bee to train on"):
        check_classes(ImageSets(source([0, 2]), None, "folder"))


def test_a_sound_data_set_passes(images):
    sets = open_images(str(images))
    check_classes(sets)
    check_overlap(sets)
    check_overlap(ImageSets(sets.train, None, "folder"))


@pytest.mark.parametrize("how", [shutil.copy, lambda one, other: other.symlink_to(one)])
def test_a_test_image_that_is_trained_on_is_named(images, tmp_path, how):
    shutil.copytree(images, tmp_path / "set")
    how(tmp_path / "set" / "train" / "disc" / "0003.jpg", tmp_path / "set" / "val" / "cross" / "zz.jpg")
    with pytest.raises(UsageError, match=r"overlap, .*: train/disc/0003\.jpg is val/cross/zz\.jpg\."):
        check_overlap(open_images(str(tmp_path / "set")))


def test_a_set_that_is_tested_on_itself_is_refused(images):
    sets = open_images(str(images))
    with pytest.raises(UsageError, match=r"is train/cross/0002\.jpg and 57 more"):
        check_overlap(ImageSets(sets.train, sets.train, "folder"))


def test_of_many_test_images_some_are_looked_for(images):
    sets = open_images(str(images))
    with pytest.raises(UsageError, match="and 7 more"):
        check_overlap(ImageSets(sets.train, sets.train, "folder"), most=10)


def test_other_sources_are_compared_image_by_image():
    train, test = source([0, 1, 2]), source([5, 1, 9])
    with pytest.raises(UsageError, match="training row 1 is test row 1"):
        check_overlap(ImageSets(train, test, "datasets"))
    check_overlap(ImageSets(train, source([7, 8, 9]), "datasets"))
