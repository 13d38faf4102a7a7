import pytest

from folder_toys import LARGE, SMALL, TASK, YAML, write_folder
from nasmith.checkup import check_task
from nasmith.executors.inline import Inline
from nasmith.executors.processes import Processes
from nasmith.lms.nobody import Nobody
from nasmith.lms.smollm2 import SmolLM2
from nasmith.tasks.folder import Folder
from nasmith.types import Status


def checked(tmp_path, *, executor=None, **parts):
    folder = write_folder(tmp_path / "t", **parts)
    return check_task(Folder(str(folder)), Nobody(), executor or Inline())


def errors(checkup):
    return [finding.text for finding in checkup.findings if finding.level == "error"]


def test_a_sound_folder_shows_shapes_sizes_time_and_the_prompt(tmp_path):
    checkup = check_task(Folder(str(write_folder(tmp_path / "t"))), SmolLM2(), Inline())
    assert checkup.sound and checkup.findings == () and checkup.title == "Three heaps"
    assert checkup.shapes == {
        "train.x": "180 x 4 float32", "train.y": "180 int64", "val.x": "60 x 4 float32", "test.x": "60 x 4 float32",
    }  # fmt: skip
    large, small = checkup.seeds
    assert (large.label, large.status, large.steps) == ("large", Status.OK, 30)
    assert large.metrics["params"] > small.metrics["params"] and "test_error" in small.metrics
    assert small.expected_seconds > 0 and small.memory_mb > 50
    assert "def Model():" in checkup.prompt and f"{large.metrics['val_error']:.4g}" in checkup.prompt


def test_nothing_is_trained_where_the_folder_is_wrong(tmp_path):
    checkup = checked(tmp_path, yaml="objectives: [{error: minimize}]\nobjectivs: 1\n")
    assert not checkup.sound and checkup.seeds == ()
    assert "task.yaml:2: unknown key 'objectivs'. Did you mean 'objectives'?" in errors(checkup)[0]


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (TASK.replace("    random =", "    open('/not/there')\n    random ="), "task.py:9: data() raised FileNotFoundError"),
        (TASK.replace("* 2\n", "* 2\n    x[5] = np.nan\n"), "NaN"),
        (TASK.replace("    return Splits", "    y = np.array(['cat', 'dog', 'cow'])[y]\n    return Splits"), "np.unique"),
        (TASK.replace("Splits.random(x, y", "Splits.random(x, y / 2"), "task.py:8: "),
        ("import numpy as np\n", "defines no `data`"),
    ],
)
def test_data_that_nothing_can_be_learned_from(tmp_path, task, reason):
    (text,) = errors(checked(tmp_path, task=task))
    assert reason in text and "task.py" in text


@pytest.mark.parametrize(
    ("seed", "reason"),
    [
        ("class Model(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n", "needs the argument 'width'"),
        ("def Model():\n    return nn.Linear(4, 7)\n", "the output has shape (3, 7) for a batch of 3; it must be (3, 3)"),
        ("def Model(:\n    pass\n", "seed 'odd'"),
        ("x = 1\n", "defines no Model"),
    ],
)
def test_a_seed_that_cannot_be_used(tmp_path, seed, reason):
    (text,) = errors(checked(tmp_path, odd=seed))
    assert reason in text and "'odd'" in text


def test_two_seeds_that_are_the_same(tmp_path):
    (text,) = errors(checked(tmp_path, one=SMALL, two=SMALL.replace("Sequential(\n", "Sequential(  # same\n")))
    assert "seeds 'one' and 'two'" in text and "are the same program" in text


def test_a_seed_that_is_slower_than_the_time_limit(tmp_path):
    yaml = YAML.replace("steps: 40", "steps: 4000000").replace("timeout_seconds: 60", "timeout_seconds: 20")
    folder = write_folder(tmp_path / "t", yaml=yaml, large=LARGE)
    (text,) = errors(check_task(Folder(str(folder)), Nobody(), Processes(workers=1, timeout_seconds=20)))
    assert "seed 'large' takes about" in text and "the limit is 20 s" in text and "training.steps" in text


def test_labels_in_the_memory_of_candidates_are_found(tmp_path):
    module_level = TASK.replace("def data() -> Splits:\n", "def made():\n").replace("problem =", "problem =", 1)
    module_level += "\n\nSPLITS = made()\n\n\ndef data():\n    return SPLITS\n\n\ndef fit(model, train, budget):\n    pass\n"
    folder = write_folder(tmp_path / "t", task=module_level)
    found = errors(check_task(Folder(str(folder)), Nobody(), Processes(workers=1)))
    assert len(found) == 1 and "labels of the validation or test data lie in the memory" in found[0]
    assert "inside of data()" in found[0]


def test_data_that_candidates_could_read_themselves_is_found(tmp_path):
    task = """
from nasmith.problems import Classification, Splits

problem = Classification()


def data():
    from sklearn.datasets import load_iris

    return Splits.random(*load_iris(return_X_y=True))
"""
    (text,) = errors(checked(tmp_path, task=task))
    assert "candidates could read the data" in text and "`hide: [sklearn]`" in text
    folder = write_folder(tmp_path / "hidden", task=task, yaml=YAML + "hide: [sklearn]\n")
    assert check_task(Folder(str(folder)), Nobody(), Inline()).sound


def test_inputs_that_training_shares_with_the_test_are_a_warning(tmp_path):
    task = TASK.replace("    return", "    x[150:], y[150:] = x[:150], y[:150]\n    return")
    checkup = checked(tmp_path, task=task)
    assert checkup.sound and [finding.level for finding in checkup.findings] == ["warning"] * 2
    assert "inputs of val are in the training data too" in checkup.findings[0].text


def test_a_metric_that_is_a_text_is_found(tmp_path):
    score = "\n\ndef score(outputs, targets):\n    return {'error': 'low'}\n"
    (text,) = errors(checked(tmp_path, task=TASK + score))
    assert "score() must return numbers" in text and "task.py:" in text


def test_a_metric_that_is_nan_is_found(tmp_path):
    found = errors(checked(tmp_path, task=TASK + "\n\ndef score(outputs, targets):\n    return {'error': float('nan')}\n"))
    assert len(found) == 2 and "the metric error is nan by score() of task.py" in found[0]


def test_other_tasks_can_be_tried_too(tmp_path):
    from nasmith.testing import ToyTask

    checkup = check_task(ToyTask(), Nobody(), Inline())
    assert checkup.sound and [seed.label for seed in checkup.seeds] == ["narrow", "wide"]
