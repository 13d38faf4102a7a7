"""The part of MNIST-1D that meets candidates' code: screens and trains programs.

It holds no label that a model is scored on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
        x: Inputs to train on, float32 (n, 40).
        y: Their labels, int64 (n,).
        inputs: Inputs to predict by split ("val", "test"), float32 (m, 40); without labels.
    """

    rules: Rules
    recipe: Recipe
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    inputs: Mapping[str, np.ndarray] = field(repr=False)

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

    def fit(self, text: str, seed: int, splits: Sequence[str]) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
        """Train a program and predict `splits` at each evaluation point.

        Returns:
            Arrays: `predictions/<split>`, int16 (points, m), the predicted classes; `state/<point>/<name>`, the model's state
            at the last point, or at every point where the test set is asked for (a verification exports the best one's);
            `train_loss`, float32 (points,), for study.
            Facts: those of `torch_training.Trained`; `screen` measures the others.

        Raises:
            ValueError: The program does not build, or its loss is not finite from the start.
        """
        import numpy as np
        import torch

        from nasmith.tasks.torch_programs import build, materialize
        from nasmith.tasks.torch_training import train

        x = torch.from_numpy(self.x)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(text, self.rules.preamble)
            materialize(model, x[:2])
            trained = train(
                model,
                x,
                torch.from_numpy(self.y),
                {split: torch.from_numpy(self.inputs[split]) for split in splits},
                self.recipe,
                seed=seed,
                keep_states="test" in splits,
            )
        arrays: dict[str, Any] = {f"predictions/{split}": rows for split, rows in trained.predictions.items()}
        for point, state in trained.states.items():
            arrays.update({f"state/{point}/{name}": value for name, value in state.items()})
        arrays["train_loss"] = np.array(trained.losses, dtype=np.float32)
        return arrays, trained.facts
