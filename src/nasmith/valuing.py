"""Makes one number of several objectives: how good a candidate is, higher is better. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from nasmith.errors import ConfigError
from nasmith.types import Objective

__all__ = ["SELECTIONS", "Selection", "check", "value"]

Selection = Literal["product", "weighted", "lexicographic", "pareto"]
SELECTIONS: tuple[Selection, ...] = ("product", "weighted", "lexicographic", "pareto")

_LEAST = 1e-12  # what is smaller has the logarithm of this
_TOLERANCE = 1e-3
_EVEN = 2.0**16  # places up to here keep their distances where they are squashed


def value(metrics: Mapping[str, float], objectives: Sequence[Objective], selection: Selection) -> float:
    """Return how good metrics are; higher is better.

    - "product": minus the product of the minimised objectives, each to the power of its weight. EvoPrompting's
      -(parameters * error) is one (Chen, Dohan, So 2023, arXiv:2302.14838, section 3.1).
    - "weighted": the weighted sum, minimised ones negative; objectives with `log` count by their decimal logarithm.
    - "lexicographic": orders as comparing one objective after the other does, each rounded to multiples of its tolerance
      (where none is named, of 0.001; for objectives with `log`, of 0.1%). This is a grid: two values that lie closer than the
      tolerance may be rounded apart. To count only differences above it would be no order: a as good as b and b as good as c,
      but a better than c. The number itself means nothing.
    - "pareto": no number orders a front, selection goes by `nasmith.population.ranked`. This one is for people: that of
      "product", or where an objective is maximised or negative that of "weighted".

    One objective alone is its own value, or minus that, whatever the selection.

    Args:
        metrics: At least those that the objectives name.
        objectives: The most important first.
        selection: How they count.

    Raises:
        ValueError: A metric is missing or not finite, or negative in a product.
    """
    for objective in objectives:
        if objective.name not in metrics:
            raise ValueError(f"{objective.name} was not measured")
        if not math.isfinite(metrics[objective.name]):
            raise ValueError(f"{objective.name} is not finite")
    try:
        if len(objectives) == 1:
            return _signed(metrics, objectives[0])
        if selection == "lexicographic":
            return _nested([_place(metrics, objective) for objective in objectives])
        if selection == "product" or (selection == "pareto" and _multiplies(metrics, objectives)):
            return -_product(metrics, objectives)
        return math.fsum(objective.weight * _scaled(metrics, objective) for objective in objectives)
    except OverflowError:
        return -math.inf


def check(objectives: Sequence[Objective], selection: Selection) -> None:
    """Raise ConfigError where objectives cannot count in this way."""
    if selection not in SELECTIONS:
        raise ConfigError(f"selection must be one of {', '.join(SELECTIONS)}, got {selection!r}.")
    high = [objective.name for objective in objectives if objective.direction == "maximize"]
    if selection == "product" and high and len(objectives) > 1:
        raise ConfigError(
            f"selection: a product is of objectives that are minimised, and {', '.join(high)} is maximised. Minimise an error "
            "instead (1 - accuracy), or choose weighted, lexicographic or pareto."
        )


def _signed(metrics: Mapping[str, float], objective: Objective) -> float:
    return metrics[objective.name] if objective.direction == "maximize" else -metrics[objective.name]


def _scaled(metrics: Mapping[str, float], objective: Objective) -> float:
    """Return an objective's value, higher is better, on its scale."""
    if not objective.log:
        return _signed(metrics, objective)
    sign = 1.0 if objective.direction == "maximize" else -1.0
    return sign * math.log10(max(metrics[objective.name], _LEAST))


def _multiplies(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> bool:
    return all(objective.direction == "minimize" and metrics[objective.name] >= 0 for objective in objectives)


def _product(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> float:
    for objective in objectives:
        if metrics[objective.name] < 0:
            raise ValueError(
                f"{objective.name} is {metrics[objective.name]:g}, and a product is of what is never negative: choose another "
                "selection, such as weighted"
            )
    return math.prod(metrics[objective.name] ** objective.weight for objective in objectives)


def _place(metrics: Mapping[str, float], objective: Objective) -> int:
    """Return which multiple of its tolerance an objective is nearest to, higher is better."""
    if objective.tolerance or not objective.log:
        return round(_signed(metrics, objective) / (objective.tolerance or _TOLERANCE))
    return round(_scaled(metrics, objective) / math.log10(1 + _TOLERANCE))


def _nested(places: Sequence[int]) -> float:
    """Return a number that orders as whole numbers do that are compared one after the other.

    Each later one is squashed between -1/2 and 1/2, so that it decides between equal earlier ones alone. Of the first three all
    is exact as long as the first lies within 2^17 and the others within 2^16. Beyond that, what comes last may be lost in the
    53 bits of the number, and what differs in that alone is then equal; nothing is ever ordered the other way, because every
    step is one that rounds monotonically.
    """
    total = 0.0
    for place in reversed(places):
        total = place + _squashed(total)
    return total


def _squashed(value: float) -> float:
    """Map a number to between -1/2 and 1/2, in order: evenly up to `_EVEN`, the rest by its reciprocal."""
    if abs(value) <= _EVEN:
        return value / (4 * _EVEN)
    return math.copysign(0.5 - _EVEN / (4 * abs(value)), value)
