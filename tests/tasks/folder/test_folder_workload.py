from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from folder_plans import MLP, STEPS, data_of, digits, digits_plan, plan_for

from nasmith.executors.processes import Processes
from nasmith.problems import Classification, Sequence, Splits
from nasmith.tasks.folder.workload import FolderWorkload
from nasmith.types import Job, Status

EMBEDDING = """\
def Model():
    return nn.Sequential(nn.Embedding({}, 8), nn.Flatten(), nn.LazyLinear(3))
"""


@pytest.fixture(scope="module")
def workload():
    return FolderWorkload(digits_plan())


@pytest.fixture(scope="module")
def trained(workload):
    return workload.fit(MLP, 1, data_of(digits(), "train", "val"))


def state_of(arrays, point=2):
    prefix = f"state/{point}/"
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def reason(plan, text):
    with pytest.raises(ValueError) as caught:
        FolderWorkload(plan).screen(text)
    return str(caught.value)


def tokens(highest=6):
    x = np.random.default_rng(0).integers(0, highest + 1, (60, 5))
    x[0, 0] = highest
    return Splits.ordered(x, np.arange(60) % 3)


def test_it_travels_without_data(workload):
    assert pickle.loads(pickle.dumps(workload)) == workload and len(pickle.dumps(workload)) < 10_000


def test_screening_measures_inputs_of_any_shape(workload):
    assert workload.screen(MLP) == {"params": 64 * 16 + 16 + 170, "flops": 2 * (64 * 16 + 160)}


def test_outputs_of_any_shape_are_asked_for():
    x, y = np.zeros((20, 3, 4, 5)), np.arange(400).reshape(20, 4, 5) % 2
    plan = plan_for(Sequence(), Splits.ordered(x, y[:, 0]))
    assert plan.output_shape == (5, 2)
    assert "it must be (3, 5, 2)" in reason(plan, "def Model():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))\n")


def test_a_program_above_a_bound_is_rejected_before_it_is_trained():
    assert reason(digits_plan(max_params=1000), MLP) == "has 1,210 parameters; at most 1,000 are allowed"
    assert reason(digits_plan(max_flops=2000), MLP) == "takes 2,368 FLOPs for one input; at most 2,000 are allowed"


def test_a_model_that_needs_arguments_is_told_what_to_do():
    one = "class Model(nn.Module):\n    def __init__(self, width, depth=2):\n        super().__init__()\n"
    assert reason(digits_plan(), one) == (
        "Model() needs the argument 'width': give it a default, or define `def Model(): return Net(width=…)` below a class Net"
    )
    assert "needs the arguments 'width', 'depth'" in reason(digits_plan(), one.replace("=2", ""))


def test_tokens_reach_the_model_as_integers_and_an_embedding_that_is_too_small_is_rejected():
    plan = plan_for(Classification(), tokens())
    assert FolderWorkload(plan).screen(EMBEDDING.format(7))["params"] == 7 * 8 + 40 * 3 + 3
    assert "the token 6, the highest in the data (line 2)" not in reason(plan, EMBEDDING.format(6))
    assert reason(plan, EMBEDDING.format(6)).startswith(
        "raises on a forward pass of the token 6, the highest in the data: Index"
    )


def test_a_model_of_tokens_is_trained_and_examined():
    splits = tokens()
    workload = FolderWorkload(plan_for(Classification(), splits))
    arrays, _ = workload.fit(EMBEDDING.format(7), 1, data_of(splits, "train", "val"))
    examined, _ = workload.examine(EMBEDDING.format(7), state_of(arrays), data_of(splits, "val"))
    assert np.array_equal(examined["outputs/val"][0], arrays["outputs/val"][2])


def test_the_seed_decides_and_the_callers_random_numbers_stay(workload, trained):
    state = torch.random.get_rng_state()
    again, other = (workload.fit(MLP, seed, data_of(digits(), "train", "val"))[0]["outputs/val"] for seed in (1, 2))
    assert np.array_equal(trained[0]["outputs/val"], again) and not np.array_equal(again, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_an_examination_gives_the_same_outputs_from_source_and_state_alone(workload, trained):
    examined, facts = workload.examine(MLP, state_of(trained[0]), data_of(digits(), "val", "test"))
    assert np.array_equal(examined["outputs/val"][0], trained[0]["outputs/val"][2])
    assert examined["outputs/test"].shape == (1, len(digits().test[0]), 10)
    assert facts == {**workload.screen(MLP), "predict_flops": workload.screen(MLP)["flops"]}


def test_time_and_memory_are_measured_where_they_are_asked_for(trained):
    plan = digits_plan(measures=frozenset({"latency_ms", "peak_memory_mb"}), latency_batch=400)
    _, facts = FolderWorkload(plan).examine(MLP, state_of(trained[0]), data_of(digits(), "val"))
    assert 0 < facts["latency_ms"] < 1000 and facts["latency_noise_ms"] >= 0
    assert facts["clock_seconds"] > facts["latency_ms"] * 30 / 1000
    weights, batch, outputs = 1210, 64 * 400, 400 * (16 + 16)  # more inputs than there are: some come again
    assert facts["peak_memory_mb"] == pytest.approx(4 * (weights + batch + outputs) / 1e6)


def test_a_state_of_another_program_is_refused(workload):
    with pytest.raises(ValueError, match="the trained state is not one of this program"):
        workload.examine(MLP, {"1.weight": np.zeros((16, 64), np.float32)}, data_of(digits(), "val"))


def test_going_on_from_a_rung_in_a_fresh_model_gives_what_one_training_gives():
    workload, data, state = FolderWorkload(digits_plan(rungs=STEPS)), data_of(digits(), "train", "val"), {}
    for rung in range(3):
        arrays, _ = workload.fit_rung(MLP, 1, data, rung, state)
        state = {name.removeprefix("checkpoint/"): array for name, array in arrays.items() if name.startswith("checkpoint/")}
    whole, _ = workload.fit_rung(MLP, 1, data, 2, {})
    assert whole.keys() == arrays.keys() and all(np.array_equal(whole[name], arrays[name]) for name in whole)


FIT = """\
import torch


def fit(model, train, budget):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(budget.steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(train["x"]), train["y"]).backward()
        optimizer.step()
"""


@pytest.fixture
def own_fit(tmp_path, monkeypatch):
    (tmp_path / "task_with_fit.py").write_text(FIT)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield digits_plan(own_fit=True, folder=str(tmp_path), task_file=str(tmp_path / "task_with_fit.py"))
    sys.modules.pop("task_with_fit", None)


def test_a_fit_of_the_users_trains_and_is_evaluated_once(own_fit):
    plan = replace(own_fit, recipe=replace(own_fit.recipe, steps=150))
    arrays, facts = FolderWorkload(plan).fit(MLP, 1, data_of(digits(), "train", "val"))
    assert arrays["outputs/val"].shape == (1, len(digits().val[0]), 10) and facts["steps"] == 150
    assert plan.problem.score(arrays["outputs/val"][0], digits().val[1])["error"] < 0.5
    examined, _ = FolderWorkload(plan).examine(MLP, state_of(arrays, 0), data_of(digits(), "val"))
    assert np.array_equal(examined["outputs/val"], arrays["outputs/val"])


def test_a_fit_of_the_users_has_the_steps_of_its_rung(own_fit):
    plan = replace(own_fit, rungs=STEPS)
    _, facts = FolderWorkload(plan).fit_rung(MLP, 1, data_of(digits(), "train", "val"), 1, {})
    assert facts["steps"] == STEPS[1].steps


def test_a_warm_process_is_single_threaded_and_a_child_of_it_imports_no_more(tmp_path):
    if not os.path.isdir("/proc/self/task"):  # noqa: PTH112 - mirrors the script
        pytest.skip("no /proc here")
    script = """
import json, os, pickle, sys
workload, data = pickle.load(open(sys.argv[1], "rb"))
workload.warm()
threads, before = len(os.listdir("/proc/self/task")), set(sys.modules)
read, write = os.pipe()
if os.fork() == 0:
    text = "def Model():\\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))\\n"
    workload.screen(text)
    arrays, facts = workload.fit(text, 1, data)
    state = {name[8:]: value for name, value in arrays.items() if name.startswith("state/2/")}
    workload.examine(text, state, {"val": data["val"]})
    late = sorted(name for name in set(sys.modules) - before if name.split(".")[0] in {"torch", "numpy", "sympy", "nasmith"})
    os.write(write, json.dumps([facts["steps"], late]).encode())
    os._exit(0)
os.close(write)
print(json.dumps([threads, *json.loads(os.read(read, 10000))]))
"""
    plan = digits_plan(measures=frozenset({"latency_ms", "peak_memory_mb"}))
    path = tmp_path / "job.pickle"
    path.write_bytes(pickle.dumps((FolderWorkload(plan), data_of(digits(), "train", "val"))))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    threads, steps, late = json.loads(done.stdout)
    assert threads == 1 and steps == 30 and late == []


@pytest.mark.slow
def test_a_sandboxed_process_exports_what_onnxruntime_computes_alike(trained):
    onnxruntime = pytest.importorskip("onnxruntime")
    workload = FolderWorkload(digits_plan())
    executor = Processes(workers=1)
    executor.start(workload, lambda: data_of(digits(), "val"))
    try:
        outcome = executor.submit(Job(1, MLP, 1, (), "export", state_of(trained[0]))).result(timeout=300)
    finally:
        executor.close()
    assert outcome.status is Status.OK, outcome.message
    assert outcome.facts["onnx_exported"] == 1
    session = onnxruntime.InferenceSession(outcome.arrays["onnx"].tobytes(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"x": digits().val[0]})[0]
    assert np.allclose(outputs, trained[0]["outputs/val"][2], rtol=1e-4, atol=1e-5)
