"""The part of MNIST-1D that meets candidates' code: screens and trains programs.

It holds no data: a job brings what it may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith.protocols import Data

if TYPE_CHECKING:
    import numpy as np

    from nasmith.tasks.torch_settings import Recipe, Rules

__all__ = ["Mnist1dWorkload"]

_WARM_UP = "def Model():\n    return nn.Sequential(nn.LazyLinear(10))\n"


@dataclass(frozen=True, slots=True)
class Mnist1dWorkload:
    """What travels to the worker processes.

    Attributes:
        rules: What a program must keep to.
        recipe: How it is trained.
    """

    rules: Rules
    recipe: Recipe

    hidden_modules = ("mnist1d",)  # generates the data, labels included, from seeds that are no secret

    @property
    def gpu(self) -> bool:
        """Whether models are trained on a GPU; "auto" takes one where its driver is."""
        device = self.recipe.device
        return device.startswith("cuda") or (device == "auto" and Path("/dev/nvidiactl").exists())

    def warm(self) -> None:
        """Import all that a job needs, the optimiser's late imports too, in a process that stays single-threaded.

        No backward pass and no question for CUDA: both would start what a forked process cannot use.
        """
        import torch

        from nasmith.tasks import torch_training  # noqa: F401 - jobs find it imported

        torch.set_num_threads(1)
        self.screen(_WARM_UP)
        # Making an optimiser imports the compiler, which takes seconds.
        weight = torch.nn.Parameter(torch.zeros(1))
        weight.grad = torch.ones(1)
        torch.optim.AdamW([weight], fused=True).step()

    def screen(self, text: str) -> Mapping[str, float]:
        """Build a program without training it and return its params and flops; see `torch_programs.screen`."""
        from nasmith.tasks.torch_programs import screen

        return screen(text, self.rules)

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
        """Train a program on `data["train"]` (x, float32 (n, 40); y, int64 (n,)) and predict the other splits at each point.

        Returns:
            Arrays: `predictions/<split>`, int16 (points, m), the predicted classes; `state/<point>/<name>`, the model's state
            at each point; `train_loss`, float32 (points,), for study.
            Facts: those of `torch_training.Trained`; `screen` measures the others.

        Raises:
            ValueError: The program does not build, or its loss is not finite from the start.
        """
        import numpy as np
        import torch

        from nasmith.tasks.torch_programs import build, materialize
        from nasmith.tasks.torch_training import train

        x, y = (torch.from_numpy(data["train"][name]) for name in ("x", "y"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(text, self.rules.preamble)
            materialize(model, x[:2])
            trained = train(model, x, y, _inputs(data), self.recipe, seed=seed)
        arrays: dict[str, Any] = {f"predictions/{split}": rows for split, rows in trained.predictions.items()}
        for point, state in trained.states.items():
            arrays.update({f"state/{point}/{name}": value for name, value in state.items()})
        arrays["train_loss"] = np.array(trained.losses, dtype=np.float32)
        return arrays, trained.facts

    def examine(
        self, text: str, state: Mapping[str, np.ndarray], data: Data
    ) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
        """Measure a program again, give it its trained state, and predict: `predictions/<split>`, int16 (1, m).

        Operations for one input are counted while it predicts, too (`predict_flops`), so that a program cannot show one model
        to the counter and another to the labels.

        Raises:
            ValueError: The program does not build, or the state is not its own.
        """
        import torch

        from nasmith.tasks.torch_programs import restore
        from nasmith.tasks.torch_training import predict

        facts = self.screen(text)
        model = restore(text, self.rules, {name: torch.from_numpy(value) for name, value in state.items()})
        rows, flops = predict(model, _inputs(data), self.recipe)
        return {f"predictions/{split}": row for split, row in rows.items()}, {**facts, "predict_flops": flops}


def _inputs(data: Data) -> dict[str, Any]:
    import torch

    return {split: torch.from_numpy(part["x"]) for split, part in data.items() if split != "train"}
