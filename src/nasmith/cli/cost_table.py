"""Shows what a run's language model cost: small tables for people, all rows for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nasmith.cli.progress import STATUS_STYLES
from nasmith.costs import Cost, Key, by, per_trained_child, total
from nasmith.report.wording import dollars, duration, plural
from nasmith.types import Status

__all__ = ["costs_json", "print_costs"]

_KEYS: tuple[Key, ...] = ("model", "operator", "outcome")


def costs_json(rows: Sequence[Cost]) -> dict[str, Any]:
    """Return all rows, the sums by each key, and what a child that trained cost (null where none did)."""
    child = per_trained_child(rows)
    return {
        "rows": [asdict(row) for row in rows],
        **{f"by_{key}": [_named(row, key) for row in by(rows, key)] for key in _KEYS},
        "total": _sums(total(rows)),
        "per_trained_child": None if child is None else asdict(child),
    }


def _sums(row: Cost) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name not in _KEYS}


def _named(row: Cost, key: Key) -> dict[str, Any]:
    return {key: getattr(row, key), **_sums(row)}


def print_costs(screen: Console, name: str, rows: Sequence[Cost]) -> None:
    """Print a table for each key that tells the calls apart, the total, and what a child that trained cost."""
    if not rows:
        screen.print(f"run {name} has not called its language model.")
        return
    whole, child = total(rows), per_trained_child(rows)
    for key in _KEYS:
        sums = by(rows, key)
        if len(sums) > 1:
            screen.print(_table(sums, key, whole))
            screen.print()
    screen.print(Text.assemble(("In all: ", "bold"), plural(whole.calls, "call"), ", ", _amounts(whole)))
    if child is None:
        screen.print("No child was trained.")
    else:
        share = Cost(
            tokens_in=round(child.tokens_in), tokens_out=round(child.tokens_out), cost=child.cost, seconds=child.seconds
        )
        screen.print(Text.assemble(("A child that trained: ", "bold"), _amounts(share), f" ({child.children:,} did)"))


def _amounts(row: Cost) -> str:
    cached = f" ({row.tokens_cached:,} cached)" if row.tokens_cached else ""
    cost = f"{dollars(row.cost)}, " if row.cost else ""
    took = duration(row.seconds) if row.seconds >= 60 else f"{row.seconds:.1f} s"
    return f"{row.tokens_in:,} tokens in{cached}, {row.tokens_out:,} out, {cost}{took}"


def _table(sums: Sequence[Cost], key: Key, whole: Cost) -> Table:
    """Return the sums; no column of cached tokens or dollars where the whole run had none."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"by {key}")  # may wrap, and so gives way to the numbers; each name is cut instead
    shown = ["calls", "tokens in", *(["cached"] if whole.tokens_cached else []), "tokens out"]
    for heading in [*shown, *(["cost"] if whole.cost else []), "time"]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sums:
        label = getattr(row, key)
        cells = [f"{row.calls:,}", f"{row.tokens_in:,}"]
        cells += [f"{row.tokens_cached:,}"] if whole.tokens_cached else []
        cells += [f"{row.tokens_out:,}"]
        cells += [dollars(row.cost)] if whole.cost else []
        style = STATUS_STYLES[Status(label)] if key == "outcome" and label in tuple(Status) else ""
        table.add_row(Text(label or "-", style, no_wrap=True, overflow="ellipsis"), *cells, duration(row.seconds))
    return table
