"""The one number of what an evaluator returned, as OpenEvolve 0.4 computes it; what is no number is refused with a reason.

OpenEvolve takes `combined_score`, or else the mean of the other numbers, without those that it sorts programs by (its feature
dimensions). Flags (True, False) and texts are no scores; a NaN is left out of the mean. It differs in two points: where
`combined_score` is there and no finite number, OpenEvolve takes the mean of the rest, and where there is no number at all it
takes 0. Here both are refused.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real

__all__ = ["SCORE", "NoScoreError", "combined", "numbers", "passes"]

SCORE = "combined_score"
"""The metric that a program is ranked by; higher is better."""

_LONGEST = 80


class NoScoreError(ValueError):
    """An evaluation ended and gave no score; the message says why."""


def numbers(metrics: Mapping[str, object]) -> dict[str, float]:
    """Return the metrics that are finite numbers. Numbers of NumPy count, flags do not."""
    found = {}
    for name, value in metrics.items():
        if isinstance(value, Real) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                found[str(name)] = number
    return found


def combined(metrics: Mapping[str, object], dimensions: Collection[str] = ()) -> float:
    """Return the score of a program.

    Args:
        metrics: What the evaluator returned.
        dimensions: Metrics that are no part of a mean, as long as there are others.

    Raises:
        NoScoreError: There is no number to rank it by; the message says what there is instead.
    """
    if SCORE in metrics:
        return _number(metrics[SCORE])
    plain = {name: value for name, value in _plain(metrics).items() if not math.isnan(value)}
    values = [value for name, value in plain.items() if name not in dimensions] or list(plain.values())
    if not values:
        said = f"only {_shown(dict(metrics))}" if metrics else "nothing"
        raise NoScoreError(f"the evaluator returned no number: {said}. It must return {SCORE!r}, a number")
    mean = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.inf
    if not math.isfinite(mean):
        raise NoScoreError(f"the mean of the metrics is not finite: {_shown(plain)}")
    return mean


def passes(metrics: Mapping[str, object], threshold: float) -> bool:
    """Whether a stage's metrics reach a threshold, by their `combined_score`, or else by the mean of all but "error"."""
    score = metrics.get(SCORE)
    if isinstance(score, Real):  # a flag counts here as 0 or 1
        return float(score) >= threshold
    values = [value for name, value in _plain(metrics).items() if name != "error"]
    return bool(values) and sum(values) / len(values) >= threshold


def _plain(metrics: Mapping[str, object]) -> dict[str, float]:
    """Return what may have a part in a mean: Python's own numbers, without flags."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _number(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type] # a text such as "0.5" is one, too
    except (TypeError, ValueError, OverflowError) as error:
        raise NoScoreError(f"the evaluator returned {SCORE} = {_shown(value)}, which is no number") from error
    if not math.isfinite(number):
        raise NoScoreError(f"the evaluator returned {SCORE} = {number}, which is not finite")
    return number


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
