"""Trains a program of a user's task, at once or from rung to rung: on a CPU, both give the same to the last bit.

A checkpoint is a flat mapping of NumPy arrays: the model's and the optimiser's state, the random generators, what is left of
the epoch, and what was recorded at the points so far. What a model keeps outside of its state dict begins anew at a rung.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from nasmith.tasks.folder.plan import Plan
from nasmith.tasks.torch_training import AdamWStep, process_settings, resolve_device

__all__ = ["outputs_of", "train"]

_BATCH = 512  # inputs that are predicted at a time
Arrays = dict[str, Any]


def train(
    model: nn.Module,
    plan: Plan,
    x: torch.Tensor,
    y: torch.Tensor,
    inputs: Mapping[str, torch.Tensor],
    *,
    seed: int,
    rung: int | None = None,
    checkpoint: Mapping[str, np.ndarray] | None = None,
) -> tuple[Arrays, dict[str, float]]:
    """Train a model and record its outputs and state at the evaluation points.

    Training ends early at the first point whose mean loss since the last one, or whose outputs, are not finite; that point is
    left out.

    Args:
        model: No lazy layers; moved to the device and changed in place.
        plan: How to train.
        x: Training inputs, (n, …).
        y: Training targets, (n, …).
        inputs: Sets to predict, by name.
        seed: Of the order of the batches. The caller seeds what the model draws.
        rung: Where to stop; None for a whole training on all of the data.
        checkpoint: What an earlier call returned as "checkpoint/<name>"; None or empty for the beginning.

    Returns:
        Arrays: `outputs/<split>`, float32 (points, m, …); `state/<point>/<name>`; `train_loss`, float32 (points,), and at a
        rung that is not the last `checkpoint/<name>`. Facts: steps (done), train_seconds (of this call), train_loss (mean of
        the last interval), diverged (0 or 1).

    Raises:
        ValueError: The loss or the outputs were not finite before the first point.
    """
    device = torch.device(resolve_device(plan.recipe.device))
    model.to(device).train()
    batches = _Batches(x.to(device), y.to(device), plan.recipe.batch_size, seed)
    record = _Record({name: value.to(device) for name, value in inputs.items()})
    step = AdamWStep(model, plan.recipe, plan.problem.loss)
    done = _restore(checkpoint, model, step, batches, record) if checkpoint else 0
    with process_settings(plan.recipe.threads):
        began = perf_counter()
        for until, share in _segments(plan, rung, done):
            batches.use(share)
            done = _run(step, batches, _points(plan, rung), record, model, done, until)
            if record.diverged:
                break
        seconds = perf_counter() - began
    if not record.losses:
        raise ValueError(f"the training loss or the outputs became not finite within the first {done} steps")
    arrays = record.arrays()
    if rung is not None and rung + 1 < len(plan.rungs):
        arrays |= {f"checkpoint/{name}": value for name, value in _saved(model, step, batches, record, done).items()}
    facts = {"steps": float(done), "train_seconds": seconds, "train_loss": record.losses[-1]}
    return arrays, {**facts, "diverged": float(record.diverged)}


def outputs_of(model: nn.Module, x: torch.Tensor) -> np.ndarray:
    """Return a model's outputs for inputs (m, …), float32 (m, …). Call it in evaluation mode, without gradients."""
    parts = [model(x[start : start + _BATCH]).float().cpu().numpy() for start in range(0, len(x), _BATCH)]
    return np.concatenate(parts)


def _segments(plan: Plan, rung: int | None, done: int) -> Iterator[tuple[int, float]]:
    """Yield (steps until which, share of the data) for what is still to be trained."""
    if rung is None:
        yield plan.recipe.steps, 1.0
        return
    for each in plan.rungs[: rung + 1]:
        if each.steps > done:
            yield each.steps, each.share


def _points(plan: Plan, rung: int | None) -> list[int]:
    """Return the steps at which a model is evaluated: with rungs, at their ends too."""
    ends = [] if rung is None else [each.steps for each in plan.rungs]
    return sorted({*plan.recipe.points(), *ends})


def _run(
    step: AdamWStep, batches: _Batches, points: list[int], record: _Record, model: nn.Module, done: int, until: int
) -> int:
    """Step from point to point up to `until`; return the steps done."""
    for point in points:
        if not done < point <= until or record.diverged:
            continue
        losses = [step(*batches.take()) for _ in range(point - done)]
        done = point
        record.look(model, float(torch.stack(losses).mean()))
    return done


class _Batches:
    """Batches of the part of the data that is in use, without replacement within an epoch; the same part comes first."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, size: int, seed: int) -> None:
        self._x, self._y, self._size = x, y, size
        self.generator = torch.Generator().manual_seed(seed)
        self._all = torch.randperm(len(x), generator=self.generator)
        self.used = 0
        self.order = self._all[:0]  # what is left of the epoch

    def use(self, share: float) -> None:
        """Use this share of the data from now on; where it is another than before, an epoch begins."""
        used = min(len(self._all), max(self._size, math.ceil(share * len(self._all))))
        if used != self.used:
            self.used, self.order = used, self.order[:0]

    def take(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next batch."""
        if len(self.order) < self._size:
            self.order = self._all[torch.randperm(self.used, generator=self.generator)]
        chosen, self.order = self.order[: self._size].to(self._x.device), self.order[self._size :]
        return self._x.index_select(0, chosen), self._y.index_select(0, chosen)


@dataclass(slots=True)
class _Record:
    """What a training left at its points."""

    inputs: Mapping[str, torch.Tensor]
    outputs: dict[str, list[np.ndarray]] = field(default_factory=dict)
    states: list[dict[str, np.ndarray]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    diverged: bool = False

    def look(self, model: nn.Module, loss: float) -> None:
        """Evaluate the model; `loss` is the mean training loss since the last point."""
        if not math.isfinite(loss):
            self.diverged = True
            return
        model.eval()
        with torch.no_grad():  # not inference_mode: a model may keep a tensor that it made here
            rows = {name: outputs_of(model, x) for name, x in self.inputs.items()}
        model.train()
        if not all(np.isfinite(part).all() for part in rows.values()):
            self.diverged = True
            return
        for name, part in rows.items():
            self.outputs.setdefault(name, []).append(part)
        self.states.append(_numpy(model.state_dict()))
        self.losses.append(loss)

    def arrays(self) -> Arrays:
        """Everything by name."""
        arrays: Arrays = {f"outputs/{name}": np.stack(rows) for name, rows in self.outputs.items()}
        for point, state in enumerate(self.states):
            arrays.update({f"state/{point}/{name}": value for name, value in state.items()})
        arrays["train_loss"] = np.array(self.losses, dtype=np.float32)
        return arrays


def _saved(model: nn.Module, step: AdamWStep, batches: _Batches, record: _Record, done: int) -> Arrays:
    """Return a checkpoint."""
    saved: Arrays = {f"model/{name}": value for name, value in _numpy(model.state_dict()).items()}
    saved |= {f"optimizer/{name}": value for name, value in _numpy(step.state()).items()}
    saved |= {f"record/{name}": value for name, value in record.arrays().items()}
    saved |= {
        "losses": np.array(record.losses),
        "counts": np.array([done, batches.used, int(record.diverged)]),
        "order": batches.order.numpy().copy(),
        "batches": batches.generator.get_state().numpy().copy(),
        "random": torch.get_rng_state().numpy().copy(),
    }
    if torch.cuda.is_available() and next(model.parameters()).is_cuda:
        saved["cuda_random"] = torch.cuda.get_rng_state().numpy().copy()
    return saved


def _restore(saved: Mapping[str, np.ndarray], model: nn.Module, step: AdamWStep, batches: _Batches, record: _Record) -> int:
    """Put a checkpoint back; return the steps done."""
    model.load_state_dict({name: torch.from_numpy(value) for name, value in _below(saved, "model/").items()})
    own = step.state()
    for name, value in _below(saved, "optimizer/").items():
        own[name].copy_(torch.from_numpy(value))
    done, batches.used, diverged = (int(value) for value in saved["counts"])
    batches.order = torch.from_numpy(saved["order"].copy())
    batches.generator.set_state(torch.from_numpy(saved["batches"].copy()))
    torch.set_rng_state(torch.from_numpy(saved["random"].copy()))
    if "cuda_random" in saved:
        torch.cuda.set_rng_state(torch.from_numpy(saved["cuda_random"].copy()))
    record.losses, record.diverged = [float(value) for value in saved["losses"]], bool(diverged)
    former = _below(saved, "record/")
    record.outputs = {name.removeprefix("outputs/"): list(rows) for name, rows in former.items() if name.startswith("outputs/")}
    record.states = [dict(_below(former, f"state/{point}/")) for point in range(len(record.losses))]
    return done


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _numpy(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
