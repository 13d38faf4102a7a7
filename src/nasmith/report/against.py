"""Says in words and rows how what was found compares with a seed: the same on screens and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from nasmith.against_seed import AgainstSeed, Standing, intervals_overlap
from nasmith.analysis import split_objective
from nasmith.report.wording import number, plural, words
from nasmith.types import Objective

__all__ = ["basis", "change", "findings", "trade_off_rows"]


def basis(item: AgainstSeed) -> str:
    """Return what the comparison rests on, as the end of a sentence."""
    if item.verified:
        data = "validation data" if split_objective([item.quality])[1] else "what the task measures"
        return f"by {data}, means over {plural(item.seed.trainings, 'training')} with new seeds"
    return "by what the search saw: what was chosen by these numbers looks better in them than it is"


def change(value: float, reference: float) -> str:
    """Return how far a value is from a reference: in percent, or as a difference where the reference is not above 0."""
    if value == reference:
        return "the same"
    if reference <= 0 or value < 0 or not isfinite(reference):
        return f"{value - reference:+.3g}"
    ratio = value / reference
    if ratio >= 10:
        return f"{number(ratio)} times"
    percent = 100 * (ratio - 1)
    return f"{percent:+.0f}%" if abs(percent) >= 1 else f"{percent:+.2f}%"


def findings(item: AgainstSeed) -> list[tuple[str, str]]:
    """Return what was looked for and what was found, in words, the cheapest first."""
    best, quality = _extreme(item.quality), words(item.quality.name)
    if item.cost is None:
        return [(f"{best} {quality}", _found(item, item.best, "no child is better"))]
    cost = words(item.cost.name)
    verified = " that were verified" if item.verified else ""
    none_less = f"none of {plural(item.children, 'child')}{verified} has better {cost} at no worse {quality}"
    none_better = f"none of {plural(item.children, 'child')}{verified} has better {quality} at no worse {cost}"
    return [
        (f"{_extreme(item.cost)} {cost}, {quality} no worse", _found(item, item.smallest, none_less)),
        (f"{best} {quality}, {cost} no worse", _found(item, item.best, none_better)),
    ]


def _extreme(objective: Objective) -> str:
    return "lowest" if objective.direction == "minimize" else "highest"


def _found(item: AgainstSeed, child: Standing | None, otherwise: str) -> str:
    if child is None:
        return otherwise
    pair = (item.quality,) if item.cost is None else (item.cost, item.quality)
    text = f"#{child.id}: " + ", ".join(_against(child, item.seed, objective.name) for objective in pair)
    overlap = intervals_overlap(child, item.seed, item.quality.name)
    if overlap is not None:
        text += f"; the 95% intervals of {words(item.quality.name)} {'overlap' if overlap else 'do not overlap'}"
    return text + ("; flagged: its test score is much worse" if child.flagged else "")


def _against(child: Standing, seed: Standing, name: str) -> str:
    value, reference = child.metrics[name], seed.metrics[name]
    return f"{words(name)} {number(value)} ({change(value, reference)})"


def trade_off_rows(item: AgainstSeed, objectives: Sequence[Objective]) -> tuple[list[str], list[list[str]]]:
    """Return headings, "model" first, and a row of cells for the seed and each child of the trade-off.

    A metric that was measured on test data stands beside its twin. Intervals are 95% confidence intervals of means.
    """
    rows = [item.seed, *item.trade_off]
    names: list[str] = []
    for objective in objectives:
        names += [objective.name, split_objective([objective])[1]]
    names = [name for name in names if any(name in row.metrics for row in rows)]
    return ["model", *map(words, names)], [[_name(row), *(_cell(row, item.seed, name) for name in names)] for row in rows]


def _name(row: Standing) -> str:
    return f"#{row.id}" + (f" {row.candidate.label}" if row.candidate.label else "") + (" (flagged)" if row.flagged else "")


def _cell(row: Standing, seed: Standing, name: str) -> str:
    if name not in row.metrics:
        return "-"
    value, half = row.metrics[name], row.intervals.get(name, 0.0)
    text = number(value) + (f" [{number(value - half)}, {number(value + half)}]" if half else "")
    return text if row.id == seed.id or name not in seed.metrics else f"{text} ({change(value, seed.metrics[name])})"
