from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest

from nasmith.tasks.imagenet.imagenet_task import ImageNetMobile
from nasmith.tasks.imagenet.training_files import TrainingFolder

SMALL = "[1, 0, 0, 0, 0, 0, " + ", ".join(["0"] * 24) + "]"
OPTIONS = {"preset": "tiny", "epochs": 2, "resolution": 32, "batch_size": 16, "device": "cpu", "held_out": 0.1}


@pytest.fixture(scope="module")
def task(images) -> ImageNetMobile:
    return ImageNetMobile(folder=str(images), flops="any", **OPTIONS)


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    arrays, facts = task.workload().fit_in(SMALL, 3, task.data(), str(folder))
    return arrays, facts, folder


def test_it_travels(task):
    assert pickle.loads(pickle.dumps(task.workload())).screen(SMALL) == task.workload().screen(SMALL)


def test_a_design_is_measured_without_training(task):
    facts = task.workload().screen(SMALL)
    assert set(facts) == {"params", "flops"} and facts["flops"] > 20e6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2, 3]", "a design has 30 choices, one for each position; 3 came"),
        ("[9" + ", 0" * 29 + "]", "'9' is no choice at position 1"),
        (SMALL, "fails the constraint: 44 M FLOPs, 226 M FLOPs below the lower bound of 270 M FLOPs"),
    ],
)
def test_what_is_no_design_or_misses_the_range_is_told(images, text, message):
    workload = ImageNetMobile(folder=str(images), **OPTIONS).workload()
    with pytest.raises(ValueError) as caught:
        workload.screen(text)
    assert message in str(caught.value)


def test_latency_is_timed_and_held_to_its_range(images):
    quick = ImageNetMobile(folder=str(images), flops="any", latency="..60000", **OPTIONS)
    assert 0 < quick.workload().screen(SMALL)["latency_ms"] < 60_000
    assert [objective.name for objective in quick.objectives] == ["val_accuracy", "latency_ms"]
    slow = ImageNetMobile(folder=str(images), flops="any", latency="..0.01", **OPTIONS)
    with pytest.raises(ValueError, match=r"fails the constraint: .* ms, .* ms above the upper bound of 0\.01 ms"):
        slow.workload().screen(SMALL)


def test_a_training_leaves_predictions_weights_and_facts(trained, task):
    arrays, facts, _ = trained
    assert arrays["predictions/val"].shape == task.data()["val"]["places"].shape == (6,)
    assert arrays["train_loss"].dtype == np.float32 and len(arrays["train_loss"]) == 6
    assert facts["steps"] == 6 and any(name.startswith("state/features.0.") for name in arrays)


def test_a_finished_training_is_not_done_again(trained, task):
    arrays, _, folder = trained
    assert TrainingFolder(folder).result() is not None
    again, _ = task.workload().fit_in(SMALL, 3, task.data(), str(folder))
    assert (folder / "train.log").read_text().count("epoch 2/2") == 1
    assert all(np.array_equal(value, arrays[name]) for name, value in again.items())


def test_the_second_account_agrees_with_the_first(trained, task):
    arrays, _, _ = trained
    state = {name.removeprefix("state/"): value for name, value in arrays.items() if name.startswith("state/")}
    data = {split: part for split, part in task.data().items() if split != "train"}
    second, facts = task.workload().examine(SMALL, state, data)
    assert np.array_equal(second["predictions/val"], arrays["predictions/val"])
    assert second["predictions/test"].shape == (18,)
    assert facts == {name: task.workload().screen(SMALL)[name] for name in ("params", "flops")}


def test_a_state_of_another_network_is_refused(trained, task):
    arrays, _, _ = trained
    state = {name.removeprefix("state/"): value for name, value in arrays.items() if name.startswith("state/")}
    with pytest.raises(ValueError, match="the trained state is not one of this network"):
        task.workload().examine("[4" + SMALL[2:], state, {})


def test_onnx_gives_what_the_network_gives(trained, task):
    onnxruntime = pytest.importorskip("onnxruntime")
    import torch

    from nasmith.tasks.imagenet.mobile_network import Network

    arrays, _, _ = trained
    state = {name.removeprefix("state/"): value for name, value in arrays.items() if name.startswith("state/")}
    exported, facts = task.workload().export(SMALL, state, {})
    session = onnxruntime.InferenceSession(exported["onnx"].tobytes())
    x = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    network = Network(task.space.read(SMALL), 3)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(x)).numpy()
    assert facts == {"onnx_exported": 1.0}
    assert np.allclose(session.run(None, {"x": x})[0], expected, atol=1e-4)


def test_without_a_folder_of_its_own_nothing_is_left(task):
    arrays, _ = task.workload().fit(SMALL, 3, task.data())
    assert arrays["predictions/val"].shape == (6,)


def test_what_a_training_says_is_logged(task, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "nasmith"):
        task.workload().fit_in(SMALL, 4, task.data(), str(tmp_path))
    assert any(record.getMessage().endswith("images/s, 0 s left") for record in caplog.records)
