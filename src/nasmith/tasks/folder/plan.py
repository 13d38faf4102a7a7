"""What workers know of a user's task: everything but its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nasmith.problems import Problem
from nasmith.tasks.torch_settings import Recipe

__all__ = ["Plan", "Rung"]


@dataclass(frozen=True, slots=True)
class Rung:
    """A point at which a training may be given up.

    Attributes:
        steps: Optimiser steps of the training until here, those of earlier rungs included.
        share: Share of the training data that is used until here, in (0, 1]; always the same examples first.
    """

    steps: int
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a user's programs are checked, trained and measured.

    Attributes:
        folder: Absolute path of the task's folder: its modules can be imported.
        task_file: Absolute path of `task.py`.
        preamble: Code that stands above every program.
        problem: Loss, and shape of the outputs.
        input_shape: Of one input, without the batch.
        input_type: NumPy's name of the inputs' type: "float32" or "int64".
        output_shape: Of one output, without the batch.
        recipe: Optimiser, steps, points of evaluation.
        highest_token: Largest integer among the inputs, where they are integers.
        max_params: A larger program is rejected before it is trained; None for no limit.
        max_flops: Likewise, operations for one input.
        rungs: Ascending, the last one is a whole training; empty where trainings are not given up.
        measures: What is measured besides: "latency_ms", "peak_memory_mb".
        latency_batch: Inputs of one forward pass whose time and memory are measured.
        own_fit: Whether `task.py` defines `fit`.
        hide: Top-level modules whose files candidates must not read.
        import_from: Absolute paths of folders whose modules the preamble and `task.py` can import.
    """

    folder: str
    task_file: str
    preamble: str
    problem: Problem
    input_shape: tuple[int, ...]
    input_type: str
    output_shape: tuple[int, ...]
    recipe: Recipe
    highest_token: int = 0
    max_params: int | None = None
    max_flops: float | None = None
    rungs: Sequence[Rung] = ()
    measures: frozenset[str] = frozenset()
    latency_batch: int = 1
    own_fit: bool = False
    hide: tuple[str, ...] = ()
    import_from: tuple[str, ...] = field(default=())
