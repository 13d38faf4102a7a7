from __future__ import annotations

import pytest

from nasmith.errors import ConfigError, UnknownNameError
from nasmith.tasks.imagenet.recipes import PRESETS, recipe


def test_the_recipe_of_the_search_is_the_papers():
    search = PRESETS["search"]
    assert (search.epochs, search.resolution, search.batch_size, search.learning_rate) == (20, 196, 1024, 0.5)
    assert (search.weight_decay, search.momentum, search.held_out) == (1e-4, 0.9, 0.01)


def test_the_recipe_of_the_retraining_is_the_papers():
    retrain = PRESETS["retrain"]
    assert (retrain.epochs, retrain.batch_size, retrain.learning_rate, retrain.weight_decay) == (500, 2048, 0.8, 4e-5)
    assert (retrain.warmup_epochs, retrain.dropout, retrain.randaugment, retrain.magnitude) == (5, 0.2, 2, 9)
    assert (retrain.label_smoothing, retrain.erasing, retrain.ema) == (0.1, 0.2, 0.99998)


def test_a_smaller_batch_has_a_lower_learning_rate_unless_one_is_given():
    assert recipe("search", {"batch_size": 256}).learning_rate == pytest.approx(0.125)
    assert recipe("search", {"batch_size": 256, "learning_rate": 0.3}).learning_rate == 0.3
    assert recipe("search", {"batch_size": None}).learning_rate == 0.5


def test_fewer_epochs_have_a_shorter_warm_up():
    assert recipe("retrain", {"epochs": 10}).warmup_epochs == 1
    assert recipe("retrain", {"epochs": 500}).warmup_epochs == 5


def test_a_batch_holds_no_more_than_there_are_images():
    fitted = PRESETS["search"].fitted(256)
    assert (fitted.batch_size, fitted.learning_rate, fitted.steps_per_epoch(256)) == (256, 0.125, 1)
    assert PRESETS["search"].fitted(5000) == PRESETS["search"]
    assert recipe("search", {"accumulate": 4}).fitted(250).batch_size == 248
    assert PRESETS["search"].fitted(251, processes=8).batch_size == 248
    with pytest.raises(ConfigError, match="7 training images are too few for 4 parts of a batch"):
        recipe("search", {"accumulate": 4}).fitted(7)
    with pytest.raises(ConfigError, match="a batch of 1024 cannot be cut into 3 equal parts: change batch_size"):
        PRESETS["search"].fitted(5000, processes=3)


def test_of_the_decoded_image_seven_eighths_are_seen():
    assert [recipe("search", {"resolution": side}).canvas for side in (196, 224, 64)] == [224, 256, 74]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be above 0, got 0"),
        ({"resolution": 16}, "resolution must be at least 32"),
        ({"held_out": 1.0}, "held_out must be at least 0 and below 1"),
        ({"data_share": 0}, "data_share must be above 0"),
        ({"precision": "fp8"}, "precision must be"),
        ({"batch_size": 100, "accumulate": 3}, r"batch_size \(100\) must be a multiple of accumulate"),
        ({"randaugment": 2, "magnitude": 30}, "magnitude must be above 0 and below 30"),
        ({"erasing": 1.5}, "erasing must be from 0 to 1"),
        ({"loaders": -1}, "loaders must be at least 0"),
        ({"epochs": 3, "warmup_epochs": 3}, r"warmup_epochs \(3\) must be fewer than epochs"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        recipe("search", changes)


def test_names_that_do_not_exist_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'retrain'"):
        recipe("retrian", {})
    with pytest.raises(UnknownNameError, match="Did you mean 'epochs'"):
        recipe("search", {"epoch": 3})
