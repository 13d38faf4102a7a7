import pytest

from folder_toys import TASK, YAML, write_folder
from nasmith.tasks.folder import Folder


def said(tmp_path, **parts):
    return Folder(str(write_folder(tmp_path / "t", **parts))).describe().statement


def test_a_language_model_is_told_shapes_aims_limits_and_training(tmp_path):
    text = said(tmp_path, yaml=YAML + "bounds: {params: {at_most: 900}}\nnotes: Heaps are round.\n")
    for part in (
        "type float32 and shape (batch, 4) to one of type float32 and shape (batch, 3)",
        "low validation error, low the number of parameters",
        "Their product counts",
        "At most 900 is allowed for the number of parameters.",
        "40 steps of AdamW, batches of 32",
        "Heaps are round.",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("selection", "words"),
    [("weighted", "weighted sum"), ("lexicographic", "count in this order"), ("pareto", "no other program beats")],
)
def test_how_objectives_count_is_told(tmp_path, selection, words):
    assert words in said(tmp_path, yaml=YAML + f"selection: {selection}\n")


def test_tokens_are_told_with_their_range(tmp_path):
    task = TASK.replace("x = random.normal(size=(300, 4)) + np.eye(3, 4)[y] * 2", "x = random.integers(0, 50, (300, 4))")
    assert "whole numbers from 0 to 49, type int64" in said(tmp_path, task=task)


def test_of_ones_own_way_of_training_nothing_is_told(tmp_path):
    text = said(tmp_path, task=TASK + "\n\ndef fit(model, train, budget):\n    pass\n")
    assert "AdamW" not in text and "Training is fixed" in text
