from __future__ import annotations

import pytest

from nasmith.errors import ConfigError, UnknownNameError
from nasmith.tasks.clrs.clrs_recipes import ALGORITHMS, PRESETS, ClrsRecipe, clrs_recipe


def test_there_are_thirty_algorithms():
    assert len(set(ALGORITHMS)) == 30 and list(ALGORITHMS) == sorted(ALGORITHMS)


def test_the_paper_preset_is_the_papers():
    paper = PRESETS["paper"]
    assert (paper.hidden, paper.features, paper.steps, paper.batch_size) == (128, 8, 2000, 32)
    assert paper.lengths == (4, 7, 11, 13, 16) and paper.learning_rate == 1e-3 and paper.clip == 1.0
    assert paper.evaluations == paper.steps // 50  # as often as the package's example


def test_matching_strings_is_trained_at_one_length():
    assert PRESETS["paper"].lengths_of("kmp_matcher") == (20,)
    assert PRESETS["paper"].lengths_of("bfs") == (4, 7, 11, 13, 16)


def test_there_are_as_many_samples_as_the_steps_need():
    assert PRESETS["paper"].samples_of("bfs") == 400 * 32
    assert PRESETS["paper"].samples_of("kmp_matcher") == 16_000  # 2,000 batches would be more
    assert clrs_recipe("paper", {"train_samples": 64}).samples_of("bfs") == 64
    assert clrs_recipe("paper", {"train_samples": 1}).samples_of("bfs") == 32  # a batch


def test_none_keeps_what_the_preset_says():
    assert clrs_recipe("small", {"hidden": None, "steps": 7, "evaluations": 1}).hidden == PRESETS["small"].hidden


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hidden": 0}, "hidden must be a whole number"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"lengths": []}, "lengths must be numbers from 4 to 64"),
        ({"lengths": [3]}, "lengths must be numbers from 4 to 64"),
        ({"steps": 3}, "evaluations must be at most steps"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"weight_decay": -1}, "weight_decay must be 0 or more"),
        ({"clip": 0}, "clip must be above 0"),
        ({"train_samples": 0}, "train_samples must be a whole number"),
    ],
)
def test_wrong_values_are_said(values, said):
    with pytest.raises(ConfigError, match=said):
        clrs_recipe("paper", values)


def test_unknown_names_are_said():
    with pytest.raises(UnknownNameError, match=r"small.*Valid: paper, small"):
        clrs_recipe("smal", {})
    with pytest.raises(UnknownNameError, match="steps"):
        clrs_recipe("paper", {"step": 1})


def test_lengths_are_sorted_and_each_once():
    assert ClrsRecipe(lengths=[16, 4, 4]).lengths == (4, 16)
