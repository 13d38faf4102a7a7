"""The table of a search in a space: designs with what the search saw, and what it was not shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from nasmith.analysis import Verified
from nasmith.protocols import Task
from nasmith.report.wording import number, words
from nasmith.space import Space

__all__ = ["designs_table"]

_SIZES = ("params", "flops")
_LATER = ("test_accuracy", "rank", "percentile", "regret")  # known of a design once it is looked up


def designs_table(winners: Sequence[Verified], task: Task, space: Space, limit: int = 12) -> Table:
    """Return the designs that were looked up after the search, best first by what the search saw."""
    shown = [item for item in winners if item.evaluations][:limit]
    known = [name for item in shown for name in item.metrics]
    seen = task.objectives[0].name
    columns = [seen, *(name for name in (*_LATER, *_SIZES) if name in known and name not in (seen, "percentile"))]
    table = Table(title=f"Best designs; the search saw {words(seen)} alone", title_justify="left", box=None, pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("design", no_wrap=True)
    for name in columns:
        table.add_column(words(name).replace(" accuracy", "\naccuracy"), justify="right")
    for item in shown:
        cells = [_cell(name, item.metrics[name]) for name in columns]
        text = min(item.candidate.text, space.show(space.read(item.candidate.text)), key=len)
        table.add_row(str(item.candidate.id), Text(text), *cells)
    return table


def _cell(name: str, value: float) -> str:
    if name in _SIZES and value >= 1e5:
        return f"{value / 1e6:,.4g} M"
    return f"{value:,.0f}" if name == "rank" else f"{value:.3f}" if name.endswith(("accuracy", "regret")) else number(value)
