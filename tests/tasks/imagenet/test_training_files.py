from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.recipes import recipe
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

TRAINING = Training((1,) * 30, "/images", recipe("tiny", {}), seed=3, predicts=("val", "test"))


@pytest.fixture
def folder(tmp_path) -> TrainingFolder:
    found = TrainingFolder(tmp_path / "a" / "b")
    found.begin(TRAINING)
    return found


def test_what_is_to_be_trained_is_read_as_it_was_written(folder):
    assert folder.training() == TRAINING


def test_a_folder_takes_up_its_own_training_and_no_other(folder):
    folder.begin(replace(TRAINING, device="cuda", checkpoint_steps=7))
    assert folder.training().checkpoint_steps == 7
    for other in (replace(TRAINING, seed=4), replace(TRAINING, recipe=recipe("tiny", {"epochs": 3}))):
        with pytest.raises(UsageError, match="holds another training: name another folder"):
            folder.begin(other)


def test_how_images_are_loaded_does_not_make_it_another_training():
    loaded = replace(TRAINING, recipe=recipe("tiny", {"loaders": 3, "cache_mb": 0.0}))
    assert loaded.identity == TRAINING.identity


def test_an_empty_folder_holds_no_training(tmp_path):
    with pytest.raises(UsageError, match="holds no training"):
        TrainingFolder(tmp_path).training()


def test_a_result_takes_the_place_of_checkpoints(folder):
    assert folder.checkpoint() is None and folder.result() is None and folder.progress() == {}
    folder.save({"done": 3, "weight": torch.ones(2)})
    folder.report(steps=9, done=3)
    assert folder.checkpoint()["done"] == 3 and folder.progress() == {"steps": 9, "done": 3}
    folder.finish({"facts": {"steps": 9.0}})
    assert folder.checkpoint() is None and folder.progress() == {} and folder.result()["facts"] == {"steps": 9.0}


def test_why_it_failed_is_kept_until_it_begins_again(folder):
    assert folder.failure() is None
    folder.fail("training", "the loss is not finite")
    assert folder.failure() == ("training", "the loss is not finite")
    folder.begin(TRAINING)
    assert folder.failure() is None
