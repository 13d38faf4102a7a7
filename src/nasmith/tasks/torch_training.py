"""Trains a PyTorch classifier: the one loop of every PyTorch task, lean at the size where Python's overhead shows.

Data lies on the device and is gathered once per epoch; AdamW is fused; on a CUDA device one step is captured as a graph and
replayed. The loop sees no label that a model is scored on: it returns predictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.adamw import adamw
from torch.utils.flop_counter import FlopCounterMode

from nasmith.tasks.torch_settings import Recipe

if TYPE_CHECKING:
    import numpy as np

__all__ = ["AdamWStep", "Trained", "early_stop", "predict", "process_settings", "resolve_device", "train"]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training leaves.

    Attributes:
        predictions: For each input set, int16 (points, n): the class with the largest logit at each evaluation point.
        states: State dicts as NumPy arrays by evaluation point.
        losses: Mean training loss before each evaluation point since the one before, in nats.
        facts: steps (done), train_seconds (evaluation included), train_loss (mean of the last interval, nats), early_stopped,
            diverged and graph (whether steps were replayed from a CUDA graph): 0 or 1.
    """

    predictions: Mapping[str, np.ndarray]
    states: Mapping[int, Mapping[str, np.ndarray]]
    losses: Sequence[float]
    facts: Mapping[str, float]


# The rule of `early_stop`: (share of the training, share of the loss of chance above which a run is hopeless from then on).
_HOPELESS = ((0.1, 0.95), (0.25, 0.8), (0.5, 0.7))
_HALF, _SETTLED, _STALLED, _PATIENCE = 0.5, 0.05, 0.95, 2

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Trains on one batch (inputs, labels) and returns its loss, detached."""


def train(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    inputs: Mapping[str, torch.Tensor],
    recipe: Recipe,
    *,
    seed: int,
) -> Trained:
    """Train a classifier and predict `inputs` at each evaluation point.

    Training stops at the first evaluation point whose mean loss since the last one is not finite; that point is left out.

    Args:
        model: Maps (batch, ...) to logits (batch, classes); no lazy layers; moved to the device and changed in place.
        x: Inputs, (n, ...).
        y: Labels, int64 (n,), from 0.
        inputs: Sets to predict, each (m, ...), by name.
        recipe: How to train.
        seed: Of the order of the batches. The caller seeds what the model itself draws.

    Raises:
        ValueError: The loss was not finite before the first evaluation point.
    """
    device = torch.device(resolve_device(recipe.device))
    model.to(device).train()
    x, y = x.to(device), y.to(device)
    watch = _Watch(model, {name: value.to(device) for name, value in inputs.items()}, recipe, classes=int(y.max()) + 1)
    with process_settings(recipe.threads):
        started = perf_counter()
        batches = _batches(x, y, recipe, seed)
        step, replayed = _make_step(model, x[: recipe.batch_size], y[: recipe.batch_size], recipe)
        done = _run(step, batches, recipe.points(), watch)
        seconds = perf_counter() - started
    if not watch.states:
        raise ValueError(f"the training loss became not finite within the first {done} steps")
    facts = {
        "steps": float(done),
        "train_seconds": seconds,
        "train_loss": watch.losses[-1],
        "early_stopped": float(watch.stopped),
        "diverged": float(watch.diverged),
        "graph": float(replayed),
    }
    predictions = {name: torch.stack(rows).numpy() for name, rows in watch.predictions.items()}
    return Trained(predictions, watch.states, watch.losses, facts)


def resolve_device(name: str) -> str:
    """The device that `name` stands for: "auto" is CUDA where it works, else the CPU."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def early_stop(losses: Sequence[float], *, planned: int, classes: int) -> int | None:
    """Say after how many evaluation points a run stops early, from its training losses alone.

    A run stops when it is hopeless (its loss is above a share of the loss of chance, which sinks as it goes), or, in its
    second half, when there is little left to learn: its loss is near 0, or the last two intervals are not 5% below the best
    before them. The limits were set on one set of models of `benchmarks/training.py`, which measures them on another.

    Args:
        losses: Mean training loss of each interval so far, in nats.
        planned: Number of intervals of a full training.
        classes: Number of classes; ln(classes) is the loss of chance.

    Returns:
        The number of points, or None where nothing says to stop.
    """
    chance = math.log(classes)
    for done in range(1, len(losses) + 1):
        share, last = done / planned, losses[done - 1]
        hopeless = any(share >= since and last > limit * chance for since, limit in _HOPELESS)
        settled = last < _SETTLED * chance
        stalled = done > _PATIENCE and min(losses[done - _PATIENCE : done]) > _STALLED * min(losses[: done - _PATIENCE])
        if hopeless or (share >= _HALF and (settled or stalled)):
            return done
    return None


def _run(step: Step, batches: Iterator[tuple[torch.Tensor, torch.Tensor]], points: Sequence[int], watch: _Watch) -> int:
    """Step from point to point until the last, or until `watch` has seen enough; return the number of steps done."""
    done = 0
    for point in points:
        losses = [step(*next(batches)) for _ in range(point - done)]
        done = point
        if watch.look(float(torch.stack(losses).mean())):
            break
    return done


def _batches(x: torch.Tensor, y: torch.Tensor, recipe: Recipe, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches: an epoch is shuffled and gathered in one operation, then cut into views."""
    generator = torch.Generator().manual_seed(seed)
    size = min(recipe.batch_size, len(x))
    whole = len(x) // size * size
    while True:
        order = torch.randperm(len(x), generator=generator)[:whole].to(x.device)
        yield from zip(torch.split(x.index_select(0, order), size), torch.split(y.index_select(0, order), size), strict=True)


def _make_step(model: nn.Module, x: torch.Tensor, y: torch.Tensor, recipe: Recipe) -> tuple[Step, bool]:
    """Choose how a step runs on this device; say whether it is replayed from a CUDA graph. `x`, `y`: a batch for its shapes."""
    if x.device.type == "cuda" and recipe.cuda_graph:
        from nasmith.tasks.torch_cuda_graph import capture_step

        step = capture_step(model, x, y, learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay)
        if step is not None:
            return step, True
    return AdamWStep(model, recipe), False


class AdamWStep:
    """One plain step with fused AdamW; its state can be taken out and put back.

    It calls `torch.optim.adamw.adamw` on lists made once: `AdamW.step` makes them anew, which is 7-14% of a step here. A
    parameter that got no gradient (it did not take part) is left alone, as in `AdamW`.

    Args:
        model: In training mode, on its device.
        recipe: Learning rate and weight decay.
        loss: Of outputs and targets.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, loss: Callable[..., torch.Tensor] = cross_entropy) -> None:
        self._model, self._loss = model, loss
        self._parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._means = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in self._parameters]
        self._squares = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in self._parameters]
        self._counts = [torch.zeros((), device=p.device) for p in self._parameters]
        self._options: dict[str, Any] = {
            "lr": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "beta1": 0.9,
            "beta2": 0.999,
            "eps": 1e-8,
            "amsgrad": False,
            "maximize": False,
            "fused": True,
        }

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Train on a batch; return its loss, detached."""
        loss = self._loss(self._model(x), y)
        torch.autograd.backward(loss)
        parameters, means, squares, counts = self._parameters, self._means, self._squares, self._counts
        grads: list[Any] = [p.grad for p in parameters]
        with torch.no_grad():
            if all(grad is not None for grad in grads):  # `None not in` would compare tensors, which is slow
                adamw(parameters, grads, means, squares, [], counts, **self._options)
            elif used := [row for row in zip(parameters, grads, means, squares, counts, strict=True) if row[1] is not None]:
                p, g, m, s, c = map(list, zip(*used, strict=True))
                adamw(p, g, m, s, [], c, **self._options)
        for parameter in parameters:
            parameter.grad = None
        return loss.detach()

    def state(self) -> dict[str, torch.Tensor]:
        """The averages and counts by name; the tensors are those that steps change."""
        lists = {"mean": self._means, "square": self._squares, "count": self._counts}
        return {f"{name}/{place}": tensor for name, tensors in lists.items() for place, tensor in enumerate(tensors)}


@dataclass(slots=True)
class _Watch:
    """Evaluates the model at each point, and says when to stop."""

    model: nn.Module
    inputs: Mapping[str, torch.Tensor]
    recipe: Recipe
    classes: int
    predictions: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    states: dict[int, Mapping[str, np.ndarray]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    stopped: bool = False
    diverged: bool = False

    def look(self, loss: float) -> bool:
        """Evaluate; `loss` is the mean training loss since the last point. True to stop."""
        if not math.isfinite(loss):
            self.diverged = True
            return True
        self.model.eval()
        with torch.no_grad():  # not inference_mode: a model may keep a tensor that it made here
            for name, x in self.inputs.items():
                self.predictions.setdefault(name, []).append(_classes(self.model, x))
        self.model.train()
        self.states[len(self.losses)] = {
            name: value.detach().cpu().numpy().copy() for name, value in self.model.state_dict().items()
        }
        self.losses.append(loss)
        planned = len(self.recipe.points())
        stop = self.recipe.early_stopping and early_stop(self.losses, planned=planned, classes=self.classes) is not None
        self.stopped = stop and len(self.losses) < planned
        return self.stopped


def predict(model: nn.Module, inputs: Mapping[str, torch.Tensor], recipe: Recipe) -> tuple[dict[str, np.ndarray], float]:
    """Predict as `train` does at an evaluation point.

    Returns:
        int16 (1, m) for each input set, by name; and the operations for one input, as `torch_programs.screen` counts them.
    """
    device = torch.device(resolve_device(recipe.device))
    model.to(device).eval()
    with torch.no_grad(), process_settings(recipe.threads), FlopCounterMode(display=False) as counter:
        rows = {name: _classes(model, x.to(device)).numpy()[None] for name, x in inputs.items()}
    return rows, counter.get_total_flops() / sum(map(len, inputs.values()))


def _classes(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model(x).argmax(1).to(torch.int16).cpu()  # type: ignore[no-any-return]


@contextmanager
def process_settings(threads: int) -> Iterator[None]:
    """Set the threads, and flush denormals to zero; put both back as they were.

    The averages of AdamW for weights that stopped getting gradients decay into denormal numbers, which are many times slower.
    """
    threads_before = torch.get_num_threads()
    flushed_before = float(torch.tensor([1e-39]) * 1.0) == 0.0
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_flush_denormal(flushed_before)
