"""What a table of designs shows: what the search saw of each, and what was looked up when it was over."""

from __future__ import annotations

from collections.abc import Sequence

from nasmith.analysis import Verified
from nasmith.protocols import Task
from nasmith.report.wording import number, words
from nasmith.space import Space

__all__ = ["design_rows"]

_SIZES = ("params", "flops")
_LOOKED_UP = ("test_accuracy", "rank", "regret")


def design_rows(winners: Sequence[Verified], task: Task, space: Space) -> tuple[list[str], list[list[str]]]:
    """Return headings, "design" first, and a row of cells for each design that was looked up, best first by what was seen."""
    shown = [item for item in winners if item.evaluations]
    known = {name for item in shown for name in item.metrics}
    seen = task.objectives[0].name
    columns = [seen, *(name for name in (*_LOOKED_UP, *_SIZES) if name in known and name != seen)]
    rows = []
    for item in shown:
        text = min(item.candidate.text, space.show(space.read(item.candidate.text)), key=len)
        rows.append([text, *(_cell(name, item.metrics[name]) for name in columns)])
    return ["design", *map(words, columns)], rows


def _cell(name: str, value: float) -> str:
    if name in _SIZES and value >= 1e5:
        return f"{value / 1e6:,.4g} M"
    if name == "rank":
        return f"{value:,.0f}"
    return f"{value:.3f}" if name.endswith(("accuracy", "regret")) else number(value)
