"""The settings of PyTorch tasks, without PyTorch: the workers start as soon as a task has written them down."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Recipe", "Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a program must keep to.

    Attributes:
        preamble: Code that runs above every program.
        input_shape: Shape of one input, without the batch.
        output_shape: Shape of the output for one input.
        max_params: Most parameters that a model may have, as `count_parameters` counts them; None for no limit.
        input_type: Name of the inputs' type: "float32" or, for tokens, "int64".
        max_flops: Most operations for one input; None for no limit.
        highest_token: Largest integer among the inputs, where they are integers.
    """

    preamble: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    max_params: int | None
    input_type: str = "float32"
    max_flops: float | None = None
    highest_token: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Attributes:
        steps: Optimiser steps.
        batch_size: Examples per step; drawn without replacement within an epoch, an incomplete last batch is left out.
        learning_rate: Of AdamW, constant.
        weight_decay: Of AdamW, on all parameters.
        evaluations: Number of evaluation points, evenly spaced, the last after the last step.
        early_stopping: Stop by the rule `early_stop`.
        threads: Processor threads of one training.
        device: "cpu", "cuda", "cuda:1", …; "auto" for CUDA where it works.
        cuda_graph: Replay one captured step on a CUDA device; falls back to eager steps where capture fails.
    """

    steps: int = 8000
    batch_size: int = 128
    learning_rate: float = 0.01
    weight_decay: float = 0.01
    evaluations: int = 20
    early_stopping: bool = False
    threads: int = 1
    device: str = "auto"
    cuda_graph: bool = True

    def points(self) -> list[int]:
        """The steps after which the model is evaluated, ascending, without repetition."""
        return sorted({max(1, round(self.steps * (i + 1) / self.evaluations)) for i in range(self.evaluations)})
