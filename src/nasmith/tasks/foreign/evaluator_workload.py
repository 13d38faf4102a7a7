"""Runs an OpenEvolve evaluator on a program, stage by stage, in the process that was made for it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from nasmith.protocols import Data
from nasmith.tasks.foreign import stand_ins
from nasmith.tasks.foreign.combined_score import SCORE, NoScoreError, combined, numbers, passes
from nasmith.tasks.foreign.evaluating import METRIC, alarm, checked, evaluation, importing, refusal

__all__ = ["EvaluatorWorkload"]

_MODULE = "evaluation_module"  # the name that OpenEvolve gives an evaluator
_STAGES = ("evaluate_stage1", "evaluate_stage2", "evaluate_stage3")


@dataclass(frozen=True)
class EvaluatorWorkload:
    """Imports the evaluator once, in the process that jobs are forked from; a program costs a fork and the evaluation.

    The evaluator works beside the program, in one process, as it does in OpenEvolve: a program can lie to it.

    Attributes:
        folder: Absolute path of the folder that holds `evaluator.py`.
        readable: What programs may read besides the libraries.
        links: Names in the folder that a program finds in its own place.
        timeout_seconds: Wall time of a stage, where there is more than one; the executor holds that of all together.
        cascade: Whether stages are run one after the other where there are any.
        thresholds: What the score after a stage must reach for the next one.
        arguments: Further arguments of `evaluate`.
        dimensions: Metrics that are no part of a mean.
    """

    folder: str
    readable: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    timeout_seconds: float = 300.0
    cascade: bool = True
    thresholds: tuple[float, ...] = (0.5, 0.75, 0.9)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()

    workshop = True

    def warm(self) -> None:
        """Import the evaluator."""
        stand_ins.supply()
        with importing(self.folder):
            spec = importlib.util.spec_from_file_location(_MODULE, Path(self.folder) / "evaluator.py")
            if spec is None or spec.loader is None:  # a file named .py has a loader
                raise ImportError(f"{self.folder}/evaluator.py is no Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[_MODULE] = module
            spec.loader.exec_module(module)

    def screen(self, text: str) -> Mapping[str, float]:
        """Look whether the program is Python.

        Raises:
            ValueError: It is not; the message names the line.
        """
        return checked(text)

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Evaluate the program.

        Returns:
            The evaluator's numbers as facts "metric/NAME", among them "metric/combined_score"; or in the array "reason" why
            there is no score.

        Raises:
            _EvaluatorError: The evaluator raised, or what it called.
        """
        metrics: Mapping[str, Any] = {}
        artifacts: Mapping[str, Any] = {}
        try:
            with evaluation(text, self.folder, self.links) as program:
                metrics, artifacts = self._evaluated(str(program))
            if metrics.get("timeout") is True:
                raise NoScoreError("the evaluator says that the program took too long")
            score = combined(metrics, self.dimensions)
        except NoScoreError as error:
            return refusal(str(error), {**metrics, **artifacts}), {}
        return {}, {METRIC + name: value for name, value in {**numbers(metrics), SCORE: score}.items()}

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """There is nothing to examine.

        Raises:
            ValueError: Always.
        """
        raise ValueError("a foreign folder's programs have no state")

    def _evaluated(self, program: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return metrics and artifacts: of `evaluate`, or of the stages up to the first whose score is below its threshold."""
        module = sys.modules[_MODULE]
        stages = _unbroken(module) if self.cascade else []
        if not stages:
            return _parts(module.evaluate(program, **self.arguments), "evaluate")
        if len(stages) == 1:
            return _parts(stages[0](program), _STAGES[0])
        metrics: dict[str, Any] = {}
        artifacts: dict[str, Any] = {}
        for place, stage in enumerate(stages):
            with alarm(self.timeout_seconds, f"stage {place + 1}"):
                returned = stage(program)
            found, more = _parts(returned, _STAGES[place])
            metrics = _numeric(metrics) | _numeric(found) if place else dict(found)
            artifacts |= more
            if place == len(self.thresholds) or not passes(metrics, self.thresholds[place]):
                break
        return metrics, artifacts


def _unbroken(module: ModuleType) -> list[Callable[[str], object]]:
    """Return the stages up to the first that is not there."""
    found = []
    for name in _STAGES:
        if not hasattr(module, name):
            break
        found.append(getattr(module, name))
    return found


def _numeric(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is merged of a stage's metrics: numbers and flags, but not "error"."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float) and name != "error"}


def _parts(returned: Any, function: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return metrics and artifacts of what an evaluator returned: a dictionary, or an EvaluationResult.

    Raises:
        NoScoreError: It is neither.
    """
    metrics = returned if isinstance(returned, Mapping) else getattr(returned, "metrics", None)
    if not isinstance(metrics, Mapping):
        raise NoScoreError(f"{function}() returned {type(returned).__name__}, and must return a dictionary of metrics")
    artifacts = getattr(returned, "artifacts", None)
    return metrics, artifacts if isinstance(artifacts, Mapping) else {}
