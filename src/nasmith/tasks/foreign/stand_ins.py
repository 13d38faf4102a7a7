"""Stand-ins for what evaluators import of OpenEvolve and ShinkaEvolve, where these are not installed.

Written after what these packages document (OpenEvolve 0.4, ShinkaEvolve 0.0.7), and no more of it than evaluators need.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from types import ModuleType
from typing import Any

__all__ = ["EvaluationResult", "run_shinka_eval", "supply"]

_FAILED = {"combined_score": 0.0, "execution_time_mean": 0.0, "execution_time_std": 0.0}


@dataclass
class EvaluationResult:
    """What an OpenEvolve evaluator may return instead of a dictionary of metrics.

    Attributes:
        metrics: By name.
        artifacts: Texts or bytes for people and language models, by name.
    """

    metrics: dict[str, float]
    artifacts: dict[str, str | bytes] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, metrics: dict[str, float]) -> EvaluationResult:
        """Return a result without artifacts."""
        return cls(metrics)

    def to_dict(self) -> dict[str, float]:
        """Return the metrics."""
        return self.metrics

    def has_artifacts(self) -> bool:
        """Whether there are any."""
        return bool(self.artifacts)


def run_shinka_eval(
    program_path: str,
    results_dir: str,
    experiment_fn_name: str,
    num_runs: int,
    get_experiment_kwargs: Callable[[int], dict[str, Any]] | None = None,
    aggregate_metrics_fn: Callable[[list[Any]], dict[str, Any]] | None = None,
    validate_fn: Callable[[Any], tuple[bool, str | None]] | None = None,
    default_metrics_on_error: Mapping[str, Any] | None = None,
    plotting_fn: Callable[[Any], Any] | None = None,
    run_workers: int = 1,
    max_workers_cap: int | None = None,
) -> tuple[dict[str, Any], bool, str | None]:
    """Call a function of a program some times, validate and aggregate what it returns, and write the two result files.

    Runs are made one after the other, whatever `run_workers` says, and nothing is plotted. Early stopping is not known here.

    Args:
        program_path: The program's file.
        results_dir: Folder for `metrics.json` and `correct.json`.
        experiment_fn_name: The function.
        num_runs: How often.
        get_experiment_kwargs: Arguments of a run, from 0; `seed`, from 1, where there is none.
        aggregate_metrics_fn: Makes metrics of all that was returned.
        validate_fn: Says of what one run returned whether it is right, and if not, why.
        default_metrics_on_error: Metrics where anything raises.
        plotting_fn: Ignored.
        run_workers: Ignored.
        max_workers_cap: Ignored.

    Returns:
        The metrics, whether all is correct, and the first error.
    """
    results, seconds, wrong = list[Any](), list[float](), list[str]()
    correct = True
    try:
        function = getattr(_program(program_path), experiment_fn_name)
        for run in range(num_runs):
            arguments = get_experiment_kwargs(run) if get_experiment_kwargs else {"seed": run + 1}
            began = time.perf_counter()
            results.append(function(**arguments))
            seconds.append(time.perf_counter() - began)
            if validate_fn is not None:
                valid, why = validate_fn(results[-1])
                correct = correct and bool(valid)
                wrong += [] if valid else [why or "it says no reason"]
        metrics = aggregate_metrics_fn(results) if aggregate_metrics_fn else {"num_successful_runs": len(results)}
        metrics |= {"execution_time_mean": fmean(seconds or [0.0]), "execution_time_std": pstdev(seconds or [0.0])}
        if validate_fn is not None:
            metrics |= {"num_valid_runs": len(results) - len(wrong), "num_invalid_runs": len(wrong)}
        error = f"Validation failed: {wrong[0]}" if wrong else None
    except Exception as raised:  # noqa: BLE001 - the program's or the evaluator's: the file of results says which
        metrics, correct, error = {**_FAILED, **(default_metrics_on_error or {})}, False, f"{type(raised).__name__}: {raised}"
    metrics.pop("extra_data", None)
    folder = Path(results_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "correct.json").write_text(json.dumps({"correct": correct, "error": error}))
    (folder / "metrics.json").write_text(json.dumps(metrics, default=str))
    return metrics, correct, error


def supply() -> None:
    """Make the stand-ins importable under the names of the packages that are not installed."""
    if importlib.util.find_spec("openevolve") is None:
        _add("openevolve")
        _add("openevolve.evaluation_result", EvaluationResult=EvaluationResult)
    if importlib.util.find_spec("shinka") is None:
        _add("shinka")
        _add("shinka.core", run_shinka_eval=run_shinka_eval)


def _add(name: str, **content: object) -> None:
    module = ModuleType(name, "A stand-in for a package that is not installed.")
    module.__dict__.update(content)
    sys.modules[name] = module
    above, _, last = name.rpartition(".")
    if above:
        setattr(sys.modules[above], last, module)


def _program(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("program", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
