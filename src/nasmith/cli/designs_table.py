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

_LONG = 60  # characters of a design that gets the last column, and several lines


def designs_table(winners: Sequence[Verified], task: Task, space: Space, limit: int = 12) -> Table:
    """Return the designs that were looked up, or trained again, after the search, best first by what the search saw."""
    shown = [item for item in winners if item.evaluations][:limit]
    (design, *headings), rows = design_rows(shown, task, space)
    trained = any(evaluation.weights for item in shown for evaluation in item.evaluations)
    about = "trained again when the search was over" if trained else f"the search saw {words(task.objectives[0].name)} alone"
    table = Table(title=f"Best designs; {about}", title_justify="left", box=None, pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    long = any(len(text) > _LONG for text, *_ in rows)
    if not long:
        table.add_column(design, no_wrap=True)
    for heading in headings:
        table.add_column(heading.replace(" accuracy", "\naccuracy"), justify="right", no_wrap=True)
    if long:
        table.add_column(design, min_width=_LONG // 2)
    for item, (text, *cells) in zip(shown, rows, strict=True):
        ordered: list[str | Text] = [*cells, Text(text)] if long else [Text(text), *cells]
        table.add_row(str(item.candidate.id), *ordered)
    return table
