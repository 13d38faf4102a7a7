"""A task and a language model that cost nothing and learn something.

`ToyTask` asks for a list of widths; the "training" is arithmetic. `ToyLM` writes such lists. Both follow the protocols to the
letter, so that a search of hundreds of candidates takes a second and everything about the loop can be tested for real.
"""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasmith.protocols import Data
from nasmith.seeding import generator
from nasmith.types import Completion, Description, Example, Objective, Outcome, Purpose, Request, Tune, Tuning

__all__ = ["ToyLM", "ToyTask", "ToyWorkload"]

_STATEMENT = """\
`Model()` takes no arguments and returns a list of positive whole numbers, the widths of layers. What counts is their sum \
times the validation error; lower is better. The error falls by 0.01 for every 4 of the sum, and not below 0.05."""


@dataclass(frozen=True)
class ToyWorkload:
    """Runs a toy program: `Model()` returns a list of positive integers. `delay_seconds` makes training take time."""

    delay_seconds: float = 0.0

    def warm(self) -> None:
        """Need nothing."""

    def screen(self, text: str) -> Mapping[str, float]:
        """Run the program and count its "parameters"."""
        return {"params": float(sum(_widths(text)))}

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Predict 100 classes; the wider the network, the more of them are right."""
        import numpy as np

        time.sleep(self.delay_seconds)
        widths = _widths(text)
        right = min(95, 50 + sum(widths) // 4 + generator(seed, text).randrange(5))
        state = {"widths": np.array(widths, dtype=np.float32), "right": np.array(right, dtype=np.float32)}
        arrays: dict[str, object] = {f"predictions/{split}": _predict(state, part) for split, part in data.items()}
        arrays.update({f"state/{name}": value for name, value in state.items()})
        return arrays, {"steps": 1.0}

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Predict by the state alone."""
        if state["widths"].tolist() != _widths(text):
            raise ValueError("the state is not of this program")
        return {f"predictions/{split}": _predict(state, part) for split, part in data.items()}, self.screen(text)


class ToyTask:
    """Find a short list of numbers with a low "error".

    Args:
        delay_seconds: Time that a training takes.
    """

    name = "toy"
    objectives = (Objective("params", "minimize", log=True), Objective("val_error", "minimize"))

    def __init__(self, delay_seconds: float = 0.0) -> None:
        self.delay_seconds = delay_seconds

    def describe(self) -> Description:
        """Programs open like those of real tasks."""
        return Description("toy", "def Model():", example_script="print('toy')\n", statement=_STATEMENT)

    def seeds(self) -> Mapping[str, str]:
        """Two lists."""
        return {
            "narrow": "def Model():\n    return [\n        10,\n        20,\n    ]\n",
            "wide": "def Model():\n    return [\n        90,\n    ]\n",
        }

    def workload(self) -> ToyWorkload:
        """Return what runs in workers."""
        return ToyWorkload(self.delay_seconds)

    def data(self) -> Data:
        """Return one input a class."""
        import numpy as np

        return {split: {"x": np.arange(100, dtype=np.float32)} for split in ("train", "val", "test")}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Compare with labels that are all 1."""
        error = 1 - float(_array(outcome, "predictions/val").mean())
        metrics = {"params": float(_array(outcome, "state/widths").sum()), "val_error": error}
        if purpose == "verify":
            metrics["test_error"] = 1 - float(_array(examined, "predictions/test").mean())
        return metrics

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """The paper's: higher is better."""
        return -metrics["params"] * metrics["val_error"]

    def best_state(self, outcome: Outcome) -> Mapping[str, object]:
        """Return the widths, and what they have learnt."""
        return {name: _array(outcome, f"state/{name}") for name in ("widths", "right")}


class ToyLM:
    """Continues a prompt with random widths; tuning halves them.

    Args:
        log: File to which each call is appended as a line of JSON: a test sees what was asked, and whether twice.
        broken: Share of replies that are no program.
        delay_seconds: Time that a call takes.
    """

    name = "toy"
    temperatures = (0.5, 1.0)
    operators: Mapping[str, float] = {"crossover": 1.0}

    def __init__(self, log: str = "", broken: float = 0.2, delay_seconds: float = 0.0) -> None:
        self.log, self.broken, self.delay_seconds = log, broken, delay_seconds
        self._scale = 1.0

    def warm(self) -> None:
        """Need nothing."""

    def complete(self, request: Request) -> list[Completion]:
        """Return `n` lists."""
        self._note(kind="complete", seed=request.seed, n=request.n, scale=self._scale)
        time.sleep(self.delay_seconds)
        draw = generator(request.seed, request.prompt, repr(self._scale))
        replies = []
        for index in range(request.n):
            widths = [draw.randrange(1, max(2, int(60 * self._scale))) for _ in range(draw.randrange(1, 4))]
            text = "\n    return [\n" + "".join(f"        {width},\n" for width in widths) + "    ]\n"
            if draw.random() < self.broken:
                text = "\n    return [[\n\n\n"
            replies.append(Completion(request.prompt, text, self.name, 10 if index == 0 else 0, 5))
        return replies

    def tune(
        self, tune: Tune, examples: Sequence[Example], path: Path, progress: Callable[[int, int], None] | None = None
    ) -> Tuning:
        """Halve the scale of what is written from now on."""
        self._note(kind="tune", round=tune.round, examples=len(examples))
        time.sleep(self.delay_seconds)
        if progress is not None:
            progress(1, 1)
        self._scale /= 2
        path.write_text(json.dumps(self._scale))
        return Tuning(tune.round, len(examples), (2.0, 1.0), True, path.name)

    def load(self, path: Path | None) -> None:
        """Take the scale from a file."""
        self._scale = json.loads(path.read_text()) if path else 1.0

    def close(self) -> None:
        """Hold nothing."""

    def _note(self, **facts: object) -> None:
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as file:
                file.write(json.dumps(facts) + "\n")


def _array(outcome: Outcome, name: str) -> Any:
    if name not in outcome.arrays:
        raise ValueError(f"the worker returned no {name}")
    return outcome.arrays[name]


def _predict(state: Mapping[str, Any], part: Mapping[str, Any]) -> object:
    return (part["x"] < float(state["right"])).astype("int16")


def _widths(text: str) -> list[int]:
    """Run a toy program; ValueError where it is none."""
    names: dict[str, Any] = {}
    try:
        exec(compile(ast.parse(text), "<program>", "exec"), names)  # as a real workload does, in a worker
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from error
    widths = names["Model"]() if callable(names.get("Model")) else None
    if not isinstance(widths, list) or not widths or not all(isinstance(w, int) and w > 0 for w in widths):
        raise ValueError("Model() must return a list of positive integers")
    return widths
