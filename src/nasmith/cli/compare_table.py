"""Prints a comparison as tables that fit the terminal: columns that do not fit beside each other stand below each other."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nasmith.comparison import Comparison
from nasmith.report.standings import Grid, grids
from nasmith.report.wording import clip, plural

__all__ = ["print_comparison"]

_GAP = 2
_NAME = 34  # the most that a strategy's name may take


def print_comparison(screen: Console, comparison: Comparison) -> None:
    """Print the values at each checkpoint, then ranks, areas and tests, then what a reader should know."""
    optimum = "" if comparison.optimum is None else f", optimum {comparison.optimum:.2f}"
    size = f"{plural(len(comparison.seeds), 'seed')}, {plural(comparison.evaluations, 'evaluation')} a run{optimum}"
    screen.print(Text.assemble((comparison.title, "bold"), f": {size}"))
    for grid in grids(comparison):
        screen.print()
        screen.print(Text(grid.title, "dim"))
        for table in _tables(grid, screen.width):
            screen.print(table)
    best = "regret: optimum minus value, mean over all evaluations; lower is better" if comparison.optimum is not None else ""
    for note in (best, *comparison.notes):
        if note:
            screen.print(Text(note, "dim"))


def _tables(grid: Grid, width: int) -> Iterator[Table]:
    """Yield the grid in parts that fit the width, each with the names of the strategies."""
    names = [clip(row[0], _NAME) for row in grid.rows]
    left = width - max(map(len, [grid.columns[0], *names]))
    places, parts = [], [list[int]()]
    room = left
    for place in range(1, len(grid.columns)):
        wide = _GAP + max(len(grid.columns[place]), *(len(row[place]) for row in grid.rows))
        if wide > room and parts[-1]:
            parts.append([])
            room = left
        parts[-1].append(place)
        room -= wide
    for places in parts:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        table.add_column(grid.columns[0], no_wrap=True)
        for place in places:
            table.add_column(grid.columns[place], justify="right", no_wrap=True)
        for number, row in enumerate(grid.rows):
            cells = [Text(row[place], "bold green" if number in grid.best[place] else "default") for place in places]
            table.add_row(Text(names[number]), *cells)
        yield table
