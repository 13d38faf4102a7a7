"""The table of a search in a space: designs with what the search saw, and what it was not shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from nasmith.analysis import Verified
from nasmith.protocols import Task
from nasmith.report.design_rows import design_rows
from nasmith.report.wording import words
from nasmith.space import Space

__all__ = ["designs_table"]


def designs_table(winners: Sequence[Verified], task: Task, space: Space, limit: int = 12) -> Table:
    """Return the designs that were looked up after the search, best first by what the search saw."""
    shown = [item for item in winners if item.evaluations][:limit]
    (design, *headings), rows = design_rows(shown, task, space)
    title = f"Best designs; the search saw {words(task.objectives[0].name)} alone"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column(design, no_wrap=True)
    for heading in headings:
        table.add_column(heading.replace(" accuracy", "\naccuracy"), justify="right")
    for item, (text, *cells) in zip(shown, rows, strict=True):
        table.add_row(str(item.candidate.id), Text(text), *cells)
    return table
