from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nasmith.errors import UsageError
from nasmith.tasks.imagenet import trainer as module
from nasmith.tasks.imagenet.image_sources import open_images
from nasmith.tasks.imagenet.mobile_network import Network
from nasmith.tasks.imagenet.process_group import Process
from nasmith.tasks.imagenet.recipes import recipe
from nasmith.tasks.imagenet.trainer import Trainer
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

SMALL = (1, *(0,) * 29)
FULL = {"dropout": 0.2, "randaugment": 2, "erasing": 0.3, "label_smoothing": 0.1, "ema": 0.9, "warmup_epochs": 0.5}


def training(images, **changes) -> Training:
    values = {"epochs": 2, "resolution": 32, "batch_size": 16, "held_out": 0.0, **changes}
    return Training(SMALL, str(images), recipe("tiny", values), seed=5, device="cpu")


def trainer(what: Training, say=lambda line: None) -> Trainer:
    source = open_images(what.place).train
    return Trainer(what, Process("cpu"), source, np.arange(len(source.labels)), say)


def weights(one: Trainer) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in one.judged.state_dict().values()])


@pytest.mark.parametrize("changes", [{}, FULL, {"accumulate": 2, "loaders": 1}])
@pytest.mark.parametrize("stop", [1, 4, 5])
def test_a_training_that_goes_on_at_any_step_is_equal_to_one_left_alone(images, tmp_path, changes, stop):
    what, folder = training(images, **changes), TrainingFolder(tmp_path)
    whole = trainer(what)
    whole.run(folder)
    first = trainer(what)
    first.run(folder, until=stop)
    folder.save(first.state())
    second = trainer(what)
    second.restore(folder.checkpoint())
    second.run(folder)
    assert second.done == whole.done == 6
    assert second.curve() == whole.curve() and whole.curve().count("\n") == 7
    assert torch.equal(weights(second), weights(whole))


def test_another_seed_gives_another_training(images, tmp_path):
    one, other = trainer(training(images)), trainer(replace(training(images), seed=6))
    for each in (one, other):
        each.run(TrainingFolder(tmp_path))
    assert one.curve() != other.curve()


def test_the_loss_falls(images, tmp_path):
    one = trainer(training(images, epochs=12))
    one.run(TrainingFolder(tmp_path))
    losses = [loss for _, loss in one.losses]
    assert losses[0] > 0.9 and np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_the_learning_rate_warms_up_and_follows_a_cosine_to_0(images, tmp_path):
    one, rates = trainer(training(images, epochs=10, warmup_epochs=2)), []
    step = one.step

    def noting(batch) -> None:
        rates.append(one.optimizer.param_groups[0]["lr"])
        step(batch)

    one.step = noting
    one.run(TrainingFolder(tmp_path))
    top = one.recipe.learning_rate
    assert len(rates) == 30 and rates[6] == pytest.approx(top) == max(rates)
    assert rates[:6] == sorted(rates[:6]) and rates[0] == pytest.approx(top / 7)
    assert rates[6:] == sorted(rates[6:], reverse=True) and rates[18] == pytest.approx(top / 2) and rates[-1] < 0.01 * top


def test_the_average_follows_the_weights_from_the_beginning(images, tmp_path):
    one = trainer(training(images, ema=0.99998))
    one.run(TrainingFolder(tmp_path))
    raw, average = one.network.classifier[1].weight, one.judged.classifier[1].weight
    torch.manual_seed(0)
    distance = (raw - average).norm() / raw.norm()
    assert 0 < distance < 0.5


def test_a_batch_in_parts_adds_up_the_gradients(images, tmp_path, monkeypatch):
    """Without batch normalisation both are the same step."""
    for norm in ("BatchNorm2d",):
        monkeypatch.setattr(torch.nn, norm, lambda channels: torch.nn.Identity())
    results = []
    for parts in (1, 4):
        one = trainer(training(images, accumulate=parts, smallest_crop=1.0, epochs=1))
        one.augmentation.crop.p = 1.0
        one.augmentation.flip.p = 0.0
        one.augmentation = torch.nn.Sequential(_Plain())
        one.run(TrainingFolder(tmp_path), until=1)
        results.append(one.network.classifier[1].weight.detach().clone())
    assert torch.allclose(*results, atol=1e-6)


class _Plain(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., :32, :32].float() / 255 - 0.5


def test_weights_of_another_training_are_the_beginning_of_one_with_other_classes(images, tmp_path):
    torch.manual_seed(9)
    other = Network(SMALL, 17)
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    one = trainer(replace(training(images), start=str(tmp_path / "w.safetensors")))
    own, given = one.network.state_dict(), other.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in own if not name.startswith("classifier."))
    assert own["classifier.1.weight"].shape == (3, 1280)


def test_weights_of_another_network_are_refused(images, tmp_path):
    save_file(Network((4, *(0,) * 29), 3).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="are of another network: features"):
        trainer(replace(training(images), start=str(tmp_path / "w.safetensors")))
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"the weights .*broken\.safetensors cannot be read"):
        trainer(replace(training(images), start=str(tmp_path / "broken.safetensors")))


def test_a_batch_that_does_not_fit_is_refused_before_the_first_step(images, monkeypatch):
    monkeypatch.setattr(module, "available", lambda device: 40_000_000)
    with pytest.raises(UsageError, match=r"16 images at a time need about .* on cpu, .* 8 fit"):
        trainer(training(images, resolution=64))


def test_a_loss_that_is_not_finite_ends_it(images, tmp_path):
    with pytest.raises(ValueError, match=r"became not finite within .* steps: try a lower learning rate"):
        trainer(training(images, learning_rate=1e9, epochs=20)).run(TrainingFolder(tmp_path))


def test_it_says_how_fast_it_goes_and_how_long_it_takes(images, tmp_path):
    lines: list[str] = []
    trainer(training(images), lines.append).run(folder := TrainingFolder(tmp_path))
    assert len(lines) == 1
    assert lines[0].startswith("epoch 2/2, step 6/6, loss ") and lines[0].endswith(" images/s, 0 s left")
    assert folder.progress()["done"] == folder.progress()["steps"] == 6


@pytest.mark.parametrize(("seconds", "said"), [(45, "45 s"), (600, "10 min"), (12_600, "3.5 h")])
def test_times_are_told_for_people(seconds, said):
    assert module._duration(seconds) == said
