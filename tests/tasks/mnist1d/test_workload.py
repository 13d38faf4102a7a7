from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from nasmith.tasks.mnist1d import Mnist1d

TINY = "def Model():\n    return nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(10))\n"


@pytest.fixture(scope="module")
def workload():
    return Mnist1d(steps=40, evaluations=4, device="cpu").workload()


@pytest.fixture(scope="module")
def data():
    return Mnist1d().data()


def some(data, *splits):
    return {split: data[split] for split in splits}


def test_it_travels_without_data(workload):
    copy = pickle.loads(pickle.dumps(workload))
    assert copy == workload and len(pickle.dumps(workload)) < 10_000


def test_only_the_training_data_has_labels(data):
    sizes = {split: {name: value.shape for name, value in part.items()} for split, part in data.items()}
    assert sizes == {"train": {"x": (3500, 40), "y": (3500,)}, "val": {"x": (500, 40)}, "test": {"x": (1000, 40)}}


def test_screen_measures_and_rejects(workload):
    assert workload.screen(TINY) == {"params": 41 * 16 + 17 * 10, "flops": 2 * (40 * 16 + 160)}
    with pytest.raises(ValueError, match="shape"):
        workload.screen("def Model():\n    return nn.LazyLinear(9)\n")


def test_training_returns_predictions_and_the_state_of_every_point(workload, data):
    arrays, facts = workload.fit(TINY, 1, some(data, "train", "val"))
    names = {f"state/{point}/{layer}.{kind}" for point in range(4) for layer in (0, 2) for kind in ("weight", "bias")}
    assert set(arrays) == {"predictions/val", "train_loss"} | names
    assert arrays["predictions/val"].shape == (4, 500) and arrays["predictions/val"].dtype == np.int16
    assert facts["steps"] == 40 and facts["train_seconds"] > 0


def test_an_examination_predicts_the_same_from_source_and_state_alone(workload, data):
    arrays, _ = workload.fit(TINY, 1, some(data, "train", "val"))
    state = {name.removeprefix("state/3/"): value for name, value in arrays.items() if name.startswith("state/3/")}
    examined, facts = workload.examine(TINY, state, some(data, "val", "test"))
    assert np.array_equal(examined["predictions/val"][0], arrays["predictions/val"][3])
    assert examined["predictions/test"].shape == (1, 1000)
    assert facts == {**workload.screen(TINY), "predict_flops": workload.screen(TINY)["flops"]}


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_state_of_another_program_is_refused(workload, data, change):
    state = {"0.weight": np.zeros((16, 40), np.float32), "0.bias": np.zeros(16, np.float32)}
    if change == "shape":
        state |= {"2.weight": np.zeros((10, 17), np.float32), "2.bias": np.zeros(10, np.float32)}
    with pytest.raises(ValueError, match="the trained state is not one of this program"):
        workload.examine(TINY, state, some(data, "val"))


def test_the_seed_decides_the_training_and_the_callers_random_numbers_stay(workload, data):
    state = torch.random.get_rng_state()
    first, again, other = (workload.fit(TINY, seed, some(data, "train", "val"))[0]["predictions/val"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_warm_process_is_single_threaded_and_a_child_of_it_can_train():
    script = """
import json, os, sys
from nasmith.tasks.mnist1d import Mnist1d
task = Mnist1d(steps=4, evaluations=1)
workload, data = task.workload(), task.data()
workload.warm()
threads, before = len(os.listdir("/proc/self/task")), set(sys.modules)
read, write = os.pipe()
if os.fork() == 0:
    arrays, facts = workload.fit("def Model():\\n    return nn.Sequential(nn.LazyLinear(10))\\n", 1, data)
    late = sorted(name for name in set(sys.modules) - before if name.split(".")[0] in {"torch", "numpy", "sympy"})
    os.write(write, json.dumps([facts["steps"], late]).encode())
    os._exit(0)
os.close(write)
print(json.dumps([threads, *json.loads(os.read(read, 10000))]))
"""
    if not os.path.isdir("/proc/self/task"):  # noqa: PTH112 - mirrors the script
        pytest.skip("no /proc here")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    threads, steps, late = json.loads(done.stdout)
    assert threads == 1 and steps == 4 and late == []
