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
    arrays, facts = workload.fit(text, 1, {split: task.data()[split] for split in ("train", "val")})
    return Outcome(Status.OK, arrays, workload.screen(text) | facts, seconds=2.0)


@pytest.fixture(scope="module")
def examined(task, trained):
    arrays, facts = task.workload().examine(
        task.seeds()["mlp"], task.best_state(trained), {split: task.data()[split] for split in ("val", "test")}
    )
    return Outcome(Status.OK, arrays, facts)


def changed(outcome, **arrays):
    arrays = {**outcome.arrays, **{name.replace("__", "/"): value for name, value in arrays.items()}}
    return Outcome(Status.OK, arrays, outcome.facts, outcome.seconds)


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


def test_score_counts_errors_and_parameters_itself(task, trained, examined):
    metrics = task.score(trained, examined, "search")
    labels = task._splits.val_y
    errors = [(row != labels).mean() for row in trained.arrays["predictions/val"]]
    assert metrics["val_error"] == min(errors) < 0.75
    assert metrics["params"] == 15_210
    assert metrics["flops"] == trained.facts["flops"] and metrics["train_seconds"] > 0
    assert "test_error" not in metrics


def test_verification_takes_the_test_error_of_the_best_validation_point(task, trained, examined):
    metrics = task.score(trained, examined, "verify")
    errors = [(row != task._splits.val_y).mean() for row in trained.arrays["predictions/val"]]
    assert metrics["best_point"] == np.argmin(errors)
    assert metrics["test_error"] == (examined.arrays["predictions/test"][0] != task._splits.test_y).mean()


def test_best_state_is_that_of_the_best_point(task, trained, examined):
    best = int(task.score(trained, examined, "verify")["best_point"])
    state = task.best_state(trained)
    assert state and all(value is trained.arrays[f"state/{best}/{name}"] for name, value in state.items())


def test_the_error_is_that_of_the_weights_and_not_of_the_claims(task, trained, examined):
    labels = task._splits.val_y
    perfect = np.tile(labels.astype(np.int16), (4, 1))
    with pytest.raises(ValueError, match=r"predicts another class for \d+% of the validation inputs"):
        task.score(changed(trained, predictions__val=perfect), examined, "search")
    both = task.score(changed(trained, predictions__val=perfect), changed(examined, predictions__val=perfect[:1]), "search")
    assert both["val_error"] == 0
    nearly = trained.arrays["predictions/val"].copy()
    nearly[:, 0] = (nearly[:, 0] + 1) % 10  # one of 500: rounding may do that
    assert (
        task.score(changed(trained, predictions__val=nearly), examined, "search")["val_error"]
        == (examined.arrays["predictions/val"][0] != labels).mean()
    )


def test_a_program_that_predicts_with_another_model_than_was_measured_is_refused(task, trained, examined):
    more = Outcome(Status.OK, examined.arrays, {**examined.facts, "predict_flops": examined.facts["flops"] * 2})
    with pytest.raises(ValueError, match=r"30,000 FLOPs when the program is measured, and 60,000 to predict"):
        task.score(trained, more, "search")
    fewer = Outcome(Status.OK, examined.arrays, {**examined.facts, "params": 10.0})
    with pytest.raises(ValueError, match=r"15,210 parameters; the program was measured with fewer"):
        task.score(trained, fewer, "search")


def test_the_time_is_the_supervisors_and_not_the_workers(task, trained, examined):
    claims = Outcome(Status.OK, trained.arrays, {**trained.facts, "train_seconds": 0.0}, seconds=2.0)
    assert task.score(claims, examined, "search")["train_seconds"] == 2.0


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
def test_predictions_of_another_form_are_refused(task, trained, examined, rows):
    with pytest.raises(ValueError, match="predictions/val"):
        task.score(changed(trained, predictions__val=rows), examined, "search")


def test_unknown_or_missing_arrays_are_refused(task, trained, examined):
    with pytest.raises(ValueError, match="unknown name 'score'"):
        task.score(changed(trained, score=np.ones(1)), examined, "search")
    with pytest.raises(ValueError, match="not an array of numbers"):
        task.score(changed(trained, **{"state__3__x": np.array(["a"])}), examined, "search")
    with pytest.raises(ValueError, match="no state of evaluation point"):
        task.score(Outcome(Status.OK, {"predictions/val": trained.arrays["predictions/val"]}), examined, "search")
    only_val = {k: v for k, v in examined.arrays.items() if k != "predictions/test"}
    with pytest.raises(ValueError, match="predictions/test"):
        task.score(trained, Outcome(Status.OK, only_val, examined.facts), "verify")


def test_a_model_larger_than_allowed_is_refused_after_training_too(task, trained, examined):
    more = {f"state__{point}__more": np.ones(300_000, np.float32) for point in range(4)}
    large = Outcome(Status.OK, examined.arrays, {**examined.facts, "params": 1e6})
    with pytest.raises(ValueError, match="at most 200,000"):
        task.score(changed(trained, **more), large, "search")


def test_tied_weights_count_once_and_running_statistics_not(task, trained, examined):
    best = int(task.score(trained, examined, "verify")["best_point"])
    more = {
        "tied": trained.arrays[f"state/{best}/0.weight"].copy(),
        "4.weight": np.ones(7, np.float32),
        "4.running_mean": np.ones(7, np.float32) * 2,
        "4.running_var": np.ones(7, np.float32) * 3,
        "4.num_batches_tracked": np.array(3),
        "5.running_mean": np.arange(8, dtype=np.float32),  # of no layer: it counts, like any other buffer
        "bits": np.arange(9),
        "zeros": np.zeros(5, np.float32),
        "zeros_too": np.zeros(5, np.float32),
    }
    arrays = {**trained.arrays, **{f"state/{best}/{name}": value for name, value in more.items()}}
    large = Outcome(Status.OK, examined.arrays, {**examined.facts, "params": 1e6})
    assert task.score(Outcome(Status.OK, arrays), large, "search")["params"] == 15_210 + 7 + 8 + 9 + 10


def test_fitness_is_size_times_error_and_higher_is_better(task):
    assert task.fitness({"params": 1000.0, "val_error": 0.1}) == pytest.approx(-100)
    assert task.fitness({"params": 500.0, "val_error": 0.1}) > task.fitness({"params": 1000.0, "val_error": 0.1})


def test_example_script_scores_exported_weights(task, trained, examined, tmp_path):
    description = task.describe()
    (tmp_path / "model.py").write_text(description.preamble + "\n\n" + task.seeds()["mlp"], encoding="utf-8")
    (tmp_path / "example.py").write_text(description.example_script, encoding="utf-8")
    save_file(task.best_state(trained), tmp_path / "weights.safetensors")
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{task.score(trained, examined, 'verify')['test_error']:.4f}" in done.stdout
