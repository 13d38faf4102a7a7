from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.augmentation import MEAN, STD, centre
from nasmith.tasks.imagenet.delivery import accuracy, deliver, delivered_design, predictor, program
from nasmith.tasks.imagenet.image_sources import decode, open_images
from nasmith.tasks.imagenet.mobile_network import Network
from nasmith.tasks.imagenet.recipes import recipe
from nasmith.tasks.imagenet.train import train
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

SMALL = (1, 0, 2, *(0,) * 27)


@pytest.fixture(scope="module")
def delivered(images, tmp_path_factory) -> Path:
    folder = TrainingFolder(tmp_path_factory.mktemp("delivered"))
    values = {"epochs": 6, "resolution": 32, "batch_size": 16, "held_out": 0.1}
    folder.begin(Training(SMALL, str(images), recipe("tiny", values), device="cpu", predicts=("val", "test")))
    train(folder, lambda line: None)
    deliver(folder, open_images(str(images)))
    return folder.path


def test_scores_are_those_of_the_weights_without_nasmith(delivered, images):
    code = f"""
import json, sys, numpy as np, torch
from pathlib import Path
from safetensors.torch import load_file
from predict import load, CLASSES
from model import Model
assert not any(name.split(".")[0] in ("nasmith", "kornia") for name in sys.modules)
model = Model(); model.load_state_dict(load_file("weights.safetensors")); model.eval()
paths = sorted(Path({str(images)!r}, "val").rglob("*.jpg"))
with torch.inference_mode():
    named = [CLASSES[model(load(path)[None]).argmax()] for path in paths]
print(100 * np.mean([name == path.parent.name for name, path in zip(named, paths)]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=delivered, check=True, capture_output=True, text=True)
    scores = json.loads((delivered / "scores.json").read_text())
    assert float(done.stdout) == pytest.approx(scores["test_accuracy"])
    assert scores["params"] == sum(p.numel() for p in Network(SMALL, 3).parameters())


def test_the_script_names_the_classes_of_images(delivered, images):
    path = sorted((images / "val").rglob("*.jpg"))[0]
    command = [sys.executable, "predict.py", str(path)]
    done = subprocess.run(command, cwd=delivered, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"{path}: ") and done.stdout.count("%") == 3


def test_the_script_sees_an_image_as_the_network_was_judged(images):
    names: dict[str, object] = {}
    source = predictor(56, 64, ["a"]).replace("from model import Model", "Model = None")
    exec(compile(source, "predict.py", "exec"), {"__name__": "predict", "__file__": "predict.py", **names}, names)
    path = sorted((images / "val").rglob("*.jpg"))[0]
    load = names["load"]
    load.__globals__.update(names)
    own = load(str(path))
    theirs = centre(torch.from_numpy(decode(path.read_bytes(), 64))[None], 56)[0]
    assert own.shape == theirs.shape == (3, 56, 56)
    assert (own - theirs).abs().max() < 0.02 / min(STD) and len(MEAN) == 3


def test_the_design_is_read_from_what_was_delivered(delivered, tmp_path):
    assert delivered_design(delivered) == SMALL
    with pytest.raises(UsageError, match=r"holds no model\.py"):
        delivered_design(tmp_path)
    (tmp_path / "model.py").write_text(program(SMALL, 3))
    with pytest.raises(UsageError, match="holds no trained network"):
        delivered_design(tmp_path)


def test_the_module_makes_the_network(tmp_path):
    (tmp_path / "model.py").write_text(program(SMALL, 12))
    code = "from model import Model; import torch; print(tuple(Model().eval()(torch.zeros(1, 3, 32, 32)).shape))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "(1, 12)\n"


def test_images_that_could_not_be_read_do_not_count():
    assert accuracy(np.array([0, 1, -1, 2]), np.array([0, 1, 2, 1])) == pytest.approx(200 / 3)
    with pytest.raises(ValueError, match="no image could be read"):
        accuracy(np.array([-1]), np.array([0]))
