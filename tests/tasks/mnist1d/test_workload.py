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


def test_it_travels_without_a_label_that_is_scored_on(workload):
    task = Mnist1d(steps=40)
    copy = pickle.loads(pickle.dumps(workload))
    assert copy.recipe == workload.recipe and np.array_equal(copy.x, workload.x)
    sizes = {value.shape for value in (copy.x, copy.y, *copy.inputs.values())}
    assert sizes == {(3500, 40), (3500,), (500, 40), (1000, 40)}
    assert not hasattr(copy, "val_y") and task.workload() is not workload


def test_screen_measures_and_rejects(workload):
    assert workload.screen(TINY) == {"params": 41 * 16 + 17 * 10, "flops": 2 * (40 * 16 + 160)}
    with pytest.raises(ValueError, match="shape"):
        workload.screen("def Model():\n    return nn.LazyLinear(9)\n")


def test_search_returns_predictions_and_the_last_state(workload):
    arrays, facts = workload.fit(TINY, 1, ("val",))
    assert set(arrays) == {
        "predictions/val",
        "train_loss",
        "state/3/0.weight",
        "state/3/0.bias",
        "state/3/2.weight",
        "state/3/2.bias",
    }
    assert arrays["predictions/val"].shape == (4, 500) and arrays["predictions/val"].dtype == np.int16
    assert facts["steps"] == 40 and facts["train_seconds"] > 0


def test_verification_returns_the_state_of_every_point(workload):
    arrays, _ = workload.fit(TINY, 1, ("val", "test"))
    assert arrays["predictions/test"].shape == (4, 1000)
    assert {name.split("/")[1] for name in arrays if name.startswith("state/")} == {"0", "1", "2", "3"}


def test_the_seed_decides_the_training_and_the_callers_random_numbers_stay(workload):
    state = torch.random.get_rng_state()
    first, again, other = (workload.fit(TINY, seed, ("val",))[0]["predictions/val"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_warm_process_is_single_threaded_and_a_child_of_it_can_train():
    script = """
import json, os, sys
from nasmith.tasks.mnist1d import Mnist1d
workload = Mnist1d(steps=4, evaluations=1).workload()
workload.warm()
threads, before = len(os.listdir("/proc/self/task")), set(sys.modules)
read, write = os.pipe()
if os.fork() == 0:
    arrays, facts = workload.fit("def Model():\\n    return nn.Sequential(nn.LazyLinear(10))\\n", 1, ("val",))
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
