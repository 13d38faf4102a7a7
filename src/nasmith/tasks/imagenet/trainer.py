"""The training of one network: its steps, its state, and what it says on the way."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nasmith.errors import UsageError
from nasmith.seeding import derive
from nasmith.tasks.imagenet.augmentation import Augmentation
from nasmith.tasks.imagenet.batch_memory import available, check_batch, needed
from nasmith.tasks.imagenet.image_batches import Batch, Images, Order, loader
from nasmith.tasks.imagenet.image_sources import ImageSource
from nasmith.tasks.imagenet.mobile_network import Network
from nasmith.tasks.imagenet.process_group import Process, Termination, precision_of
from nasmith.tasks.imagenet.recipes import Recipe
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

__all__ = ["Trainer"]

_SAY_SECONDS = 10.0
_POINTS = 10  # rows of the loss curve for each epoch


class Trainer:
    """A training that is under way.

    Args:
        training: What is to be trained.
        process: Which part of it is done here.
        source: The training images.
        places: Those that are trained on, as places in the source.
        say: Takes lines for people.
    """

    def __init__(
        self, training: Training, process: Process, source: ImageSource, places: np.ndarray, say: Callable[[str], None]
    ) -> None:
        self.training, self.process, self.source, self.places, self._say = training, process, source, places, say
        self.recipe = recipe = training.recipe.fitted(len(places), process.world)
        self.per_epoch = recipe.steps_per_epoch(len(places))
        self.steps = recipe.epochs * self.per_epoch
        torch.manual_seed(derive(training.seed, "weights"))
        self.network = Network(training.design, len(source.classes), recipe.dropout)
        if training.start:
            _load_start(self.network, Path(training.start))
        self.network.to(process.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.precision = precision_of(recipe, process.device)
        self._check_memory()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.schedule = _schedule(self.optimizer, recipe, self.per_epoch, self.steps)
        self.average = None if not recipe.ema else AveragedModel(self.network, multi_avg_fn=_ema(recipe.ema), use_buffers=True)
        self.augmentation = Augmentation(recipe).to(process.device)
        self.done = 0
        self.losses: list[tuple[int, float]] = []  # step, mean loss since the row before
        self.unreadable: set[int] = set()
        self._sum = torch.zeros((), device=process.device)
        self._call = self._callable()

    @property
    def judged(self) -> nn.Module:
        """The network that counts: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def run(self, folder: TrainingFolder, until: int | None = None) -> None:
        """Train from where it is to the end, or to a step.

        Raises:
            ValueError: The loss is not finite.
        """
        training, recipe, process = self.training, self.recipe, self.process
        images = Images(self.source, self.places, recipe.canvas, recipe.cache_mb, shared=recipe.loaders > 0)
        order = Order(
            len(images),
            recipe.batch_size,
            self.steps if until is None else until,
            training.seed,
            self.done,
            process.rank,
            process.world,
        )
        pace = _Pace(self.steps, recipe.batch_size, self.done)
        saved = time.monotonic()
        with Termination() as stop:
            for batch in loader(images, order, recipe.loaders, pinned=process.device.type == "cuda"):
                self.step(batch)
                if self.done % max(1, self.per_epoch // _POINTS) == 0 or self.done == self.steps:
                    self._note_loss()
                if process.rank:
                    continue
                due = time.monotonic() - saved > training.checkpoint_seconds
                if due or stop.asked or (training.checkpoint_steps and self.done % training.checkpoint_steps == 0):
                    folder.save(self.state())
                    saved = time.monotonic()
                if stop.asked:
                    raise SystemExit(128 + signal.SIGTERM)
                if pace.due(self.done):
                    folder.report(**pace.facts(self.done))
                    self._say(self._line(pace))

    def step(self, batch: Batch) -> None:
        """Train on one batch, this process's part of it."""
        recipe, device = self.recipe, self.process.device
        self.unreadable.update(batch.unreadable)
        torch.manual_seed(derive(self.training.seed, "step", self.done, self.process.rank))
        images, labels = batch.images.to(device, non_blocking=True), batch.labels.to(device, non_blocking=True)
        self.network.train()
        for x, y in zip(images.chunk(recipe.accumulate), labels.chunk(recipe.accumulate), strict=True):
            x = self.augmentation(x).contiguous(memory_format=torch.channels_last)
            with self.precision():
                loss = cross_entropy(self._call(x), y, label_smoothing=recipe.label_smoothing) / recipe.accumulate
            loss.backward()
            self._sum += loss.detach()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.done += 1

    def state(self) -> dict[str, Any]:
        """Return all that it takes to go on."""
        return {
            "identity": self.training.identity,
            "done": self.done,
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "losses": list(self.losses),
            "sum": self._sum.cpu(),
            "unreadable": sorted(self.unreadable),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.done, self.losses = state["done"], [(int(step), float(loss)) for step, loss in state["losses"]]
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.unreadable = set(state["unreadable"])
        self._sum.copy_(state["sum"])

    def curve(self) -> str:
        """Return the loss curve as CSV."""
        return "step,epoch,loss\n" + "".join(f"{s},{s / self.per_epoch:.3f},{loss:.6f}\n" for s, loss in self.losses)

    def _callable(self) -> nn.Module:
        """Return what a step calls: the network, compiled and spread over processes as it is asked for."""
        network: Any = torch.compile(self.network) if self.recipe.compile else self.network
        if self.process.world == 1:
            return network  # type: ignore[no-any-return]
        ids = [self.process.device.index] if self.process.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=ids)

    def _check_memory(self) -> None:
        recipe, device = self.recipe, self.process.device
        fixed, each = needed(self.network.train(), recipe.resolution, device, self.precision)
        at_once = recipe.batch_size // self.process.world // recipe.accumulate
        check_batch(at_once, fixed, each, available(device), str(device), recipe.batch_size)

    def _note_loss(self) -> None:
        since = self.done - (self.losses[-1][0] if self.losses else 0)
        loss = float(self._sum) / since
        self._sum.zero_()
        if not math.isfinite(loss):
            raise ValueError(f"the training loss became not finite within {self.done} steps: try a lower learning rate")
        self.losses.append((self.done, loss))

    def _line(self, pace: _Pace) -> str:
        facts = pace.facts(self.done)
        loss = f", loss {self.losses[-1][1]:.3f}" if self.losses else ""
        left = _duration(facts["seconds_left"])
        epoch = min(self.recipe.epochs, self.done // self.per_epoch + 1)
        return (
            f"epoch {epoch}/{self.recipe.epochs}, step {self.done:,}/{self.steps:,}{loss}, "
            f"{facts['images_per_second']:,.0f} images/s, {left} left"
        )


class _Pace:
    """How fast it goes, by the steps of this process.

    Args:
        steps: Of the whole training.
        batch: Images of a step.
        done: Steps that are done already.
    """

    def __init__(self, steps: int, batch: int, done: int) -> None:
        self._steps, self._batch, self._first = steps, batch, done
        self._began = self._said = time.monotonic()

    def due(self, done: int) -> bool:
        """Whether it is time to say something."""
        if done != self._steps and time.monotonic() - self._said < _SAY_SECONDS:
            return False
        self._said = time.monotonic()
        return True

    def facts(self, done: int) -> dict[str, float]:
        """Return steps, done, images_per_second and seconds_left."""
        each = (time.monotonic() - self._began) / max(1, done - self._first)
        rate = self._batch / each if each else 0.0
        return {"steps": self._steps, "done": done, "images_per_second": rate, "seconds_left": each * (self._steps - done)}


def _schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, per_epoch: int, steps: int) -> LRScheduler:
    """Linear warm-up, then a cosine down to 0."""
    warm = round(recipe.warmup_epochs * per_epoch)
    cosine = CosineAnnealingLR(optimizer, max(1, steps - warm))
    if not warm:
        return cosine
    return SequentialLR(optimizer, [LinearLR(optimizer, 1 / (warm + 1), total_iters=warm), cosine], [warm])


def _ema(decay: float) -> Callable[[Any, Any, Any], None]:
    """Return an average with a lower decay in the beginning."""

    def average(averages: Any, values: Any, count: Any) -> None:
        number = float(count)
        get_ema_multi_avg_fn(min(decay, (1 + number) / (10 + number)))(averages, values, count)

    return average


def _load_start(network: Network, path: Path) -> None:
    """Give a network the weights of another one; its last layer stays random where the classes are not as many.

    Raises:
        UsageError: They are of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    own = network.state_dict()
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"the weights {path} cannot be read: {error}.") from error
    last = {name for name in own if name.startswith("classifier.")}
    fits = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    if missing := own.keys() - fits.keys() - last:
        raise UsageError(
            f"the weights {path} are of another network: {sorted(missing)[0]} does not fit, and {len(missing) - 1} more."
        )
    network.load_state_dict({**own, **fits})


def _duration(seconds: float) -> str:
    """Write a time for people: "45 s", "12 min", "3.5 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
