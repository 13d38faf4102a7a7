"""Scores predictions of outputs with the package's own evaluator, in the process that holds the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nasmith.tasks.clrs.packages import load_clrs
from nasmith.types import Outcome

if TYPE_CHECKING:
    import numpy as np

__all__ = ["best_point", "compare", "scores"]

_TOLERANCE = 0.02  # share of outputs on which two runs of one network may differ by rounding


def scores(outcome: Outcome, split: str, outputs: Mapping[str, np.ndarray], algorithm: str, most: int) -> list[float]:
    """Return the package's score at each evaluation point, 0 to 1, higher is better.

    Args:
        outcome: With arrays `predictions/<split>/<output>`, (points, samples, …).
        split: "val" or "test".
        outputs: What is right, (samples, …) by name.
        algorithm: As the package names it.
        most: Points that there may be.

    Raises:
        ValueError: The arrays are not that.
    """
    import numpy as np

    prefix = f"predictions/{split}/"
    found = {name.removeprefix(prefix): value for name, value in outcome.arrays.items() if name.startswith(prefix)}
    if set(found) != set(outputs):
        raise ValueError(f"the worker returned predictions of {sorted(found) or 'nothing'}, not of {sorted(outputs)}")
    for name, truth in outputs.items():
        value = found[name]
        numbers = isinstance(value, np.ndarray) and value.dtype.kind in "if"
        if not numbers or value.shape[1:] != truth.shape or not np.isfinite(value).all():
            raise ValueError(f"{prefix}{name} is not finite numbers of shape (points, {', '.join(map(str, truth.shape))})")
    points = {len(value) for value in found.values()}
    if len(points) != 1 or not 1 <= (count := points.pop()) <= most:
        raise ValueError(f"the worker returned predictions of another number of evaluation points than 1 to {most}")
    return [_score({name: value[point] for name, value in found.items()}, outputs, algorithm) for point in range(count)]


def best_point(values: list[float]) -> int:
    """Return the place of the best score, the first of equals."""
    return values.index(max(values))


def compare(outcome: Outcome, examined: Outcome, point: int, names: Mapping[str, object]) -> None:
    """Raise ValueError where trained parameters predict something else in a process that did not train them.

    Args:
        outcome: Of the training.
        examined: The second account.
        point: The evaluation point whose parameters that had.
        names: Names of the outputs.
    """
    for name in names:
        claimed, found = outcome.arrays[f"predictions/val/{name}"][point], examined.arrays[f"predictions/val/{name}"][0]
        share = float((claimed != found).mean())
        if share > _TOLERANCE:
            raise ValueError(
                f"from its source and its parameters alone, the network predicts other values for {share:.0%} of {name} than "
                "it did in the process that trained it"
            )


def _score(predictions: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], algorithm: str) -> float:
    load_clrs()
    import clrs

    from nasmith.tasks.clrs.graph_network import datapoints, probes

    spec = probes(algorithm)
    guess = {point.name: point for point in datapoints(spec, predictions)}
    return float(clrs.evaluate(tuple(datapoints(spec, outputs)), guess)["score"])
