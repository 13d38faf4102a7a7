"""The part of a user's task that meets candidates' code: screens, trains, examines and exports programs.

It holds no data: a job brings what it may see.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from nasmith.protocols import Data
from nasmith.tasks.folder.plan import Plan
from nasmith.tasks.torch_settings import Rules

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

__all__ = ["FolderWorkload"]

_clock = time.monotonic


@dataclass(frozen=True, slots=True)
class FolderWorkload:
    """What travels to the worker processes.

    Attributes:
        plan: Everything but the data.
    """

    plan: Plan

    @property
    def hidden_modules(self) -> tuple[str, ...]:
        """Modules whose files candidates must not read."""
        return self.plan.hide

    @property
    def gpu(self) -> bool:
        """Whether models are trained on a GPU; "auto" takes one where its driver is."""
        device = self.plan.recipe.device
        return device.startswith("cuda") or (device == "auto" and Path("/dev/nvidiactl").exists())

    @property
    def rules(self) -> Rules:
        """What a program must keep to."""
        plan = self.plan
        return Rules(
            preamble=plan.preamble,
            input_shape=plan.input_shape,
            output_shape=plan.output_shape,
            max_params=plan.max_params,
            input_type=plan.input_type,
            max_flops=plan.max_flops,
            highest_token=plan.highest_token,
        )

    def warm(self) -> None:
        """Import all that a job needs, what the preamble imports too, in a process that stays single-threaded.

        No backward pass and no question for CUDA: both would start what a forked process cannot use.
        """
        import torch

        from nasmith.tasks import torch_programs  # noqa: F401 - jobs find it imported
        from nasmith.tasks.folder import peak_memory, timing, training  # noqa: F401 - likewise, with the clock as it is now

        for folder in (*self.plan.import_from, self.plan.folder):
            sys.path.insert(0, folder)
        torch.set_num_threads(1)
        exec(compile(self.plan.preamble, "<preamble>", "exec"), {"__name__": "nasmith_program"})
        if self.plan.own_fit:
            self._own_fit()
        # Making an optimiser imports the compiler, which takes seconds.
        weight = torch.nn.Parameter(torch.zeros(1))
        weight.grad = torch.ones(1)
        torch.optim.AdamW([weight], fused=True).step()
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False), torch.device("meta"):
            torch.nn.Linear(1, 1)(torch.zeros(1, 1))

    def screen(self, text: str) -> Mapping[str, float]:
        """Build a program without training it and return its params and flops; see `torch_programs.screen`."""
        from nasmith.tasks.torch_programs import screen

        return screen(text, self.rules)

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train a program on `data["train"]` (x, y) and give its outputs for the other splits; see `training.train`.

        Raises:
            ValueError: The program does not build, or its loss is not finite from the start.
        """
        return self._train(text, seed, data, None, {})

    def fit_rung(
        self, text: str, seed: int, data: Data, rung: int, checkpoint: Mapping[str, Any]
    ) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train a program up to a rung; see `training.train`. A `fit` of task.py begins anew at each rung, with its steps."""
        return self._train(text, seed, data, rung, checkpoint)

    def _train(
        self, text: str, seed: int, data: Data, rung: int | None, checkpoint: Mapping[str, Any]
    ) -> tuple[Mapping[str, object], Mapping[str, float]]:
        import torch

        from nasmith.tasks.folder.training import train
        from nasmith.tasks.torch_programs import build, materialize

        x, y = (torch.from_numpy(data["train"][name]) for name in ("x", "y"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(text, self.plan.preamble)
            materialize(model, x[:2])
            if self.plan.own_fit:
                steps = self.plan.recipe.steps if rung is None else self.plan.rungs[rung].steps
                return self._fit_their_way(model, x, y, _inputs(data), seed, steps)
            return train(model, self.plan, x, y, _inputs(data), seed=seed, rung=rung, checkpoint=checkpoint)

    def _fit_their_way(
        self, model: nn.Module, x: torch.Tensor, y: torch.Tensor, inputs: Mapping[str, torch.Tensor], seed: int, steps: int
    ) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train by `fit` of task.py, and evaluate once at the end."""
        import torch

        from nasmith.tasks.folder.training import outputs_of
        from nasmith.tasks.torch_training import process_settings, resolve_device

        recipe, device = self.plan.recipe, torch.device(resolve_device(self.plan.recipe.device))
        names = ("batch_size", "learning_rate", "weight_decay")
        budget = SimpleNamespace(**{name: getattr(recipe, name) for name in names}, steps=steps, seed=seed, device=device)
        model.to(device).train()
        began = time.perf_counter()
        with process_settings(recipe.threads):
            self._own_fit()(model, {"x": x.to(device), "y": y.to(device)}, budget)
            model.eval()
            with torch.no_grad():
                arrays: dict[str, Any] = {
                    f"outputs/{split}": outputs_of(model, part.to(device))[None] for split, part in inputs.items()
                }
        for name, value in model.state_dict().items():
            arrays[f"state/0/{name}"] = value.detach().cpu().numpy().copy()
        return arrays, {"steps": float(steps), "train_seconds": time.perf_counter() - began}

    def _own_fit(self) -> Any:
        """Return `fit` of task.py."""
        import importlib

        return importlib.import_module(Path(self.plan.task_file).stem).fit

    def examine(
        self, text: str, state: Mapping[str, np.ndarray], data: Data
    ) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
        """Measure a program again, give it its trained state, and predict: `outputs/<split>`, float32 (1, m, …).

        Operations for one input are counted while it predicts, too (`predict_flops`), so that a program cannot show one model
        to the counter and another to the labels.

        Raises:
            ValueError: The program does not build, or the state is not its own.
        """
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        from nasmith.tasks.folder.training import outputs_of
        from nasmith.tasks.torch_training import process_settings

        began = _clock()
        facts = dict(self.screen(text))
        model, device = self._restored(text, state)
        inputs = {split: x.to(device) for split, x in _inputs(data).items()}
        with torch.no_grad(), process_settings(self.plan.recipe.threads):
            with FlopCounterMode(display=False) as counter:
                arrays = {f"outputs/{split}": outputs_of(model, x)[None] for split, x in inputs.items()}
            if inputs:
                facts["predict_flops"] = counter.get_total_flops() / sum(map(len, inputs.values()))
                facts |= self._measured(model, next(iter(inputs.values())))
        if "latency_ms" in facts:
            facts["clock_seconds"] = _clock() - began
        return arrays, facts

    def _measured(self, model: nn.Module, x: torch.Tensor) -> dict[str, float]:
        """Measure time and memory of a forward pass, as far as the task asks."""
        from nasmith.tasks.folder.peak_memory import peak_memory_mb
        from nasmith.tasks.folder.timing import latency

        if not self.plan.measures:
            return {}
        batch = x[: self.plan.latency_batch]
        if len(batch) < self.plan.latency_batch:
            batch = x[[place % len(x) for place in range(self.plan.latency_batch)]]
        found: dict[str, float] = {}
        if "peak_memory_mb" in self.plan.measures:
            found["peak_memory_mb"] = peak_memory_mb(model, batch.clone())
        if "latency_ms" in self.plan.measures:
            found |= latency(model, batch)
        return found

    def _restored(self, text: str, state: Mapping[str, np.ndarray]) -> tuple[nn.Module, torch.device]:
        """Return a program with its trained state, in evaluation mode on its device."""
        import torch

        from nasmith.tasks.torch_programs import restore
        from nasmith.tasks.torch_training import resolve_device

        device = torch.device(resolve_device(self.plan.recipe.device))
        model = restore(text, self.rules, {name: torch.from_numpy(value) for name, value in state.items()})
        return model.to(device).eval(), device

    def export(
        self, text: str, state: Mapping[str, np.ndarray], data: Data
    ) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
        """Give a trained program as ONNX, for any batch size: the array `onnx`, bytes as uint8, and the fact `onnx_exported`.

        Raises:
            ValueError: It cannot be exported; the message says why.
        """
        from nasmith.tasks.torch_onnx import to_onnx

        model, _ = self._restored(text, state)
        return {"onnx": to_onnx(model.cpu(), self.plan.input_shape, self.plan.input_type)}, {"onnx_exported": 1.0}


def _inputs(data: Data) -> dict[str, Any]:
    import torch

    return {split: torch.from_numpy(part["x"]) for split, part in data.items() if split != "train"}
