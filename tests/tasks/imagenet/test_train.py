from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from nasmith.tasks.imagenet import trainer
from nasmith.tasks.imagenet.image_sources import open_images
from nasmith.tasks.imagenet.process_group import Process
from nasmith.tasks.imagenet.recipes import recipe
from nasmith.tasks.imagenet.train import main, parts, predict, train
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

SMALL = (1, *(0,) * 29)


def training(images, **changes) -> Training:
    values = {"epochs": 2, "resolution": 32, "batch_size": 16, "held_out": 0.1, **changes}
    return Training(SMALL, str(images), recipe("tiny", values), device="cpu", predicts=("val", "test"))


def begun(path, what: Training) -> TrainingFolder:
    folder = TrainingFolder(path)
    folder.begin(what)
    return folder


def test_what_came_of_it_is_written_down(images, tmp_path):
    folder = begun(tmp_path, training(images))
    train(folder, lambda line: None)
    result = folder.result()
    assert result["predictions"]["val"].shape == (6,) and result["predictions"]["test"].shape == (18,)
    assert result["facts"]["steps"] == 6 and result["facts"]["unreadable_images"] == 0
    assert set(result["state"]) and all(value.is_contiguous() for value in result["state"].values())
    assert (tmp_path / "curve.csv").read_text().startswith("step,epoch,loss\n1,0.333,")
    assert folder.checkpoint() is None


def test_a_finished_training_is_not_done_again(images, tmp_path):
    folder = begun(tmp_path, training(images))
    folder.finish({"facts": {"steps": 1.0}})
    train(folder, lambda line: pytest.fail(line))
    assert folder.result() == {"facts": {"steps": 1.0}}


def test_what_is_trained_on_and_what_is_held_out_share_nothing(images):
    sets = open_images(str(images))
    trained, held_out = parts(training(images), sets)
    assert len(trained) == 54 and len(held_out) == 6 and not set(trained) & set(held_out)
    part, same = parts(training(images, data_share=0.5), sets)
    assert set(part) < set(trained) and len(part) == 27 and same.tolist() == held_out.tolist()
    everything, nothing = parts(training(images, held_out=0.0), sets)
    assert len(everything) == 60 and len(nothing) == 0


def test_predictions_do_not_depend_on_how_many_processes_make_them(images, monkeypatch):
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 3))
    source, which = open_images(str(images)).train, recipe("tiny", {"resolution": 32, "batch_size": 7})
    places = np.arange(5, 38)
    alone = predict(network, source, places, which, Process("cpu"))
    assert alone.dtype == np.int16 and len(set(alone.tolist())) > 1
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        process = _Shares("cpu")
        with pytest.raises(_SharedError) as shared:
            predict(network, source, places, which, process)
        assert np.array_equal(shared.value.args[0], alone[rank::2])


class _SharedError(Exception):
    """Carries what a process would have sent to the others."""


class _Shares(Process):
    def gathered(self, values: np.ndarray) -> list[np.ndarray]:
        raise _SharedError(values)


def test_images_that_cannot_be_read_are_left_out_counted_and_named(images, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(images, broken)
    for part in ("train", "val"):
        victim = sorted((broken / part).rglob("*.jpg"))[1]
        victim.write_bytes(victim.read_bytes()[:300])
    lines: list[str] = []
    folder = begun(tmp_path / "t", training(broken, held_out=0.0))
    train(folder, lines.append)
    name = sorted((broken / "train").rglob("*.jpg"))[1].name
    assert folder.result()["facts"]["unreadable_images"] == 1
    assert any(line.startswith("1 images could not be read and were left out: ") and name in line for line in lines)
    assert name in (tmp_path / "t" / "unreadable.txt").read_text()
    assert (folder.result()["predictions"]["test"] == -1).sum() == 1


def test_mistakes_end_with_a_message_and_no_traceback(images, tmp_path, capsys):
    folder = begun(tmp_path, replace(training(images), start="/nowhere.safetensors"))
    assert main([str(tmp_path)]) == 2
    assert folder.failure()[0] == "usage" and "cannot be read" in folder.failure()[1]
    assert "Traceback" not in capsys.readouterr().err
    folder = begun(tmp_path / "b", training(images, learning_rate=1e9, epochs=20))
    assert main([str(tmp_path / "b")]) == 2
    assert folder.failure()[0] == "training" and "not finite" in folder.failure()[1]


def test_a_batch_that_does_not_fit_is_a_matter_of_memory(images, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "available", lambda device: 3_000_000)
    folder = begun(tmp_path, training(images))
    assert main([str(tmp_path)]) == 3
    kind, message = folder.failure()
    assert kind == "memory" and message.startswith("16 images at a time need about")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_goes_on_as_if_it_was_not(images, tmp_path, how):
    what = replace(training(images, epochs=20, randaugment=2, ema=0.9), checkpoint_steps=1 if how == signal.SIGKILL else 0)
    command = [sys.executable, "-m", "nasmith.tasks.imagenet.train"]  # all of it: sums depend on the number of threads
    whole = begun(tmp_path / "whole", what)
    subprocess.run([*command, str(whole.path)], check=True)
    folder = begun(tmp_path / "killed", what)
    kills = 0
    for _ in range(6):
        process = subprocess.Popen([*command, str(folder.path)])
        seen = 0 if folder.checkpoint() is None else folder.checkpoint()["done"]
        while process.poll() is None:
            if how == signal.SIGTERM:
                time.sleep(3.0)  # it is under way, or still starting: both must do
                break
            if (folder.checkpoint() or {"done": 0})["done"] > seen:
                break
            time.sleep(0.02)
        if process.poll() is None:
            os.kill(process.pid, how)
            kills += 1
        process.wait()
        if kills == (2 if how == signal.SIGKILL else 1):
            break
    subprocess.run([*command, str(folder.path)], check=True)
    assert kills
    assert (tmp_path / "killed" / "curve.csv").read_text() == (tmp_path / "whole" / "curve.csv").read_text()
    one, other = folder.result(), whole.result()
    assert all(torch.equal(value, other["state"][name]) for name, value in one["state"].items())
    assert all(torch.equal(value, other["predictions"][name]) for name, value in one["predictions"].items())
