from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from nasmith.errors import ConfigError
from nasmith.protocols import Task, Workload
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Outcome, Status

SIZES = {"gru": 5134, "large_cnn": 91_082, "mlp": 15_210, "reference_cnn": 5_210}


@pytest.fixture(scope="module")
def task():
    return Mnist1d(steps=40, evaluations=4, device="cpu")


@pytest.fixture(scope="module")
def trained(task):
    workload = task.workload()
    text = task.seeds()["mlp"]
    arrays, facts = workload.fit(text, 1, ("val", "test"))
    return Outcome(Status.OK, arrays, workload.screen(text) | facts)


def changed(outcome, **arrays):
    return Outcome(Status.OK, {**outcome.arrays, **{name.replace("__", "/"): value for name, value in arrays.items()}})


def test_it_keeps_the_protocols(task):
    assert isinstance(task, Task) and isinstance(task.workload(), Workload)
    assert [(o.name, o.direction) for o in task.objectives] == [("params", "minimize"), ("val_error", "minimize")]


def test_constructing_does_no_work():
    script = "import sys; from nasmith.tasks.mnist1d import Mnist1d; Mnist1d(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_workers_need_not_wait_until_this_process_has_imported_pytorch():
    script = "import pickle, sys; from nasmith.tasks.mnist1d import Mnist1d; pickle.dumps(Mnist1d().workload())"
    script += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"steps": 1.5},
        {"steps": 10, "evaluations": 11},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"device": "tpu"},
        {"split_seed": -1},
        {"max_params": 0},
        {"threads": 0},
        {"batch_size": 0},
    ],
)
def test_bad_option_is_named(options):
    with pytest.raises(ConfigError, match="|".join(options)):
        Mnist1d(**options)


def test_seeds_have_the_sizes_of_the_paper(task):
    workload = task.workload()
    assert list(task.seeds()) == sorted(SIZES)
    assert {name: workload.screen(text)["params"] for name, text in task.seeds().items()} == SIZES


def test_every_seed_begins_with_the_first_line(task):
    assert all(text.startswith(task.describe().first_line) for text in task.seeds().values())


def test_score_counts_errors_and_parameters_itself(task, trained):
    metrics = task.score(trained, "search")
    labels = task._splits.val_y
    errors = [(row != labels).mean() for row in trained.arrays["predictions/val"]]
    assert metrics["val_error"] == min(errors) < 0.75
    assert metrics["params"] == 15_210
    assert metrics["flops"] == trained.facts["flops"] and metrics["train_seconds"] > 0
    assert "test_error" not in metrics


def test_verification_takes_the_test_error_of_the_best_validation_point(task, trained):
    metrics = task.score(trained, "verify")
    best = int(metrics["best_point"])
    test = trained.arrays["predictions/test"]
    assert metrics["test_error"] == (test[best] != task._splits.test_y).mean()
    val = [(row != task._splits.val_y).mean() for row in trained.arrays["predictions/val"]]
    assert val[best] == min(val)


def test_best_state_is_that_of_the_best_point(task, trained):
    best = int(task.score(trained, "verify")["best_point"])
    state = task.best_state(trained)
    assert state and all(value is trained.arrays[f"state/{best}/{name}"] for name, value in state.items())


def test_last_state_stands_in_where_only_it_was_kept(task, trained):
    arrays = {k: v for k, v in trained.arrays.items() if not k.startswith("state/") or k.startswith("state/3/")}
    arrays["predictions/val"] = np.stack([task._splits.val_y] + [np.zeros(500)] * 3).astype(np.int16)
    assert task.best_state(Outcome(Status.OK, arrays))["0.bias"] is trained.arrays["state/3/0.bias"]


def test_perfect_and_useless_predictions_have_errors_0_and_1(task, trained):
    labels = task._splits.val_y.astype(np.int16)[None]
    assert task.score(changed(trained, predictions__val=labels), "search")["val_error"] == 0
    assert task.score(changed(trained, predictions__val=(labels + 1) % 10), "search")["val_error"] == 1


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((4, 499), np.int16),
        np.zeros((5, 500), np.int16),
        np.zeros((0, 500), np.int16),
        np.zeros(500, np.int16),
        np.zeros((4, 500), np.int64),
        np.zeros((4, 500), np.float32),
        "no array",
    ],
)
def test_predictions_of_another_form_are_refused(task, trained, rows):
    with pytest.raises(ValueError, match="predictions/val"):
        task.score(changed(trained, predictions__val=rows), "search")


def test_unknown_or_missing_arrays_are_refused(task, trained):
    with pytest.raises(ValueError, match="unknown name 'score'"):
        task.score(changed(trained, score=np.ones(1)), "search")
    with pytest.raises(ValueError, match="not an array of numbers"):
        task.score(changed(trained, **{"state__3__x": np.array(["a"])}), "search")
    with pytest.raises(ValueError, match="no state"):
        task.score(Outcome(Status.OK, {"predictions/val": trained.arrays["predictions/val"]}), "search")
    only_val = {k: v for k, v in trained.arrays.items() if k != "predictions/test"}
    with pytest.raises(ValueError, match="predictions/test"):
        task.score(Outcome(Status.OK, only_val), "verify")


def test_a_model_larger_than_allowed_is_refused_after_training_too(task, trained):
    with pytest.raises(ValueError, match="at most 200,000"):
        task.score(changed(trained, **{"state__3__more": np.ones(300_000, np.float32)}), "search")


def test_tied_weights_count_once_and_running_statistics_not(task, trained):
    state = {k: v for k, v in trained.arrays.items() if k.startswith("state/3/")}
    arrays = {"predictions/val": trained.arrays["predictions/val"], **state}
    arrays |= {
        "state/3/tied": state["state/3/0.weight"].copy(),
        "state/3/4.running_mean": np.ones(7, np.float32),
        "state/3/4.num_batches_tracked": np.array(3),
        "state/3/zeros": np.zeros(5, np.float32),
        "state/3/zeros_too": np.zeros(5, np.float32),
    }
    assert task.score(Outcome(Status.OK, arrays), "search")["params"] == 15_210 + 10


def test_fitness_is_size_times_error_and_higher_is_better(task):
    assert task.fitness({"params": 1000.0, "val_error": 0.1}) == pytest.approx(-100)
    assert task.fitness({"params": 500.0, "val_error": 0.1}) > task.fitness({"params": 1000.0, "val_error": 0.1})


def test_example_script_scores_exported_weights(task, trained, tmp_path):
    description = task.describe()
    (tmp_path / "model.py").write_text(description.preamble + "\n\n" + task.seeds()["mlp"], encoding="utf-8")
    (tmp_path / "example.py").write_text(description.example_script, encoding="utf-8")
    save_file(task.best_state(trained), tmp_path / "weights.safetensors")
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{task.score(trained, 'verify')['test_error']:.4f}" in done.stdout
