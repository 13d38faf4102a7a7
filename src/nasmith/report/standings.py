"""Shows a comparison of strategies: tables of text, a picture, and the files of both with all numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from nasmith.comparison import TEST_RULE, Comparison, Point, Standing, whole
from nasmith.files import write_whole
from nasmith.report.plots import INK, MUTED, styled
from nasmith.report.wording import plural, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Grid", "draw_comparison", "grids", "measure_of", "write_comparison"]

# Okabe and Ito's palette, without its yellow; and for eyes and printers without colour, lines and marks.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#8a8f98")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (2, 2)))
_MARKS = ("o", "s", "^", "D", "v", "X", "P", "*")


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of text, a row for each strategy.

    Attributes:
        title: One line.
        columns: Headings; the first is that of the strategies.
        rows: As many cells as columns.
        best: For each column the rows that are best in it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: tuple[frozenset[int], ...]


def measure_of(comparison: Comparison) -> str:
    """Return what the best so far is valued by, in words."""
    return words(comparison.measure) + (f" ({comparison.unit})" if comparison.unit else "")


def grids(comparison: Comparison) -> tuple[Grid, Grid]:
    """Return the values at each checkpoint, and what they come to: ranks, areas, tests."""
    return _values(comparison), _verdicts(comparison)


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write `comparison.json`, `.md`, `.svg` and `.png` into a folder, over what was there; each is whole or not there.

    Raises:
        OSError: They cannot be written there.
    """
    text = json.dumps(comparison.to_json(), indent=2, ensure_ascii=False) + "\n"
    contents = {"json": text.encode(), "md": _markdown(comparison).encode(), **_pictures(comparison)}
    paths = [folder / f"comparison.{kind}" for kind in contents]
    for path, data in zip(paths, contents.values(), strict=True):
        write_whole(path, data)
    return paths


def _values(comparison: Comparison) -> Grid:
    digits = _digits(comparison)
    points = [standing.points for standing in comparison.standings]
    columns = tuple(f"{count:,}" for count in comparison.checkpoints)
    rows = tuple(
        (standing.strategy, *(_cell(point, digits, len(comparison.seeds)) for point in standing.points))
        for standing in comparison.standings
    )
    best = tuple(_highest([row[place].mean for row in points]) for place in range(len(columns)))
    spread = "mean ± sd" if len(comparison.seeds) > 1 else "one run"
    title = f"{measure_of(comparison)} of the best so far, after so many evaluations: {spread}"
    return Grid(title[0].upper() + title[1:], ("strategy", *columns), rows, (frozenset(), *best))


def _verdicts(comparison: Comparison) -> Grid:
    standings = comparison.standings
    digits = _digits(comparison)
    name = "mean regret" if comparison.optimum is not None else "mean value"
    columns: tuple[str, ...] = ("strategy", "rank", name)
    rows = [(s.strategy, f"{s.points[-1].rank:.2f}", f"{s.area:.{digits}f}") for s in standings]
    sign = -1.0 if comparison.optimum is not None else 1.0
    best = (
        frozenset[int](),
        _highest([-standing.points[-1].rank for standing in standings]),
        _highest([sign * standing.area for standing in standings]),
    )
    title = f"After {comparison.checkpoints[-1]:,} evaluations"
    if any(standing.test for standing in standings):
        columns = (*columns, "p (Holm)", "effect", "better/equal/worse")
        rows = [(*row, *_test(s, comparison)) for row, s in zip(rows, standings, strict=True)]  # type: ignore[misc]
        best = (*best, *[frozenset[int]()] * 3)  # type: ignore[assignment]
        title += f", tested against {comparison.reference}"
    return Grid(title, columns, tuple(rows), best)


def _test(standing: Standing, comparison: Comparison) -> tuple[str, str, str]:
    test = standing.test
    if test is None:
        return ("-", "-", "-")
    p = "< 0.0001" if test.holm < 0.0001 else f"{test.holm:.4f}"
    return p, f"{test.effect:+.2f}", f"{test.better}/{test.equal}/{test.worse}"


def _cell(point: Point, digits: int, seeds: int) -> str:
    mean = f"{point.mean:.{digits}f}"
    return f"{mean} ± {point.sd:.{digits}f}" if seeds > 1 else mean


def _digits(comparison: Comparison) -> int:
    """Return how many decimals show two digits of the smallest spread that matters."""
    if comparison.unit == "%":
        return 2
    spreads = [point.sd for standing in comparison.standings for point in standing.points if point.sd > 0]
    size = max(abs(point.mean) for standing in comparison.standings for point in standing.points)
    least = max(min(spreads, default=size / 1000), size / 10000)
    return min(4, max(0, 1 - floor(log10(least)))) if least > 0 else 2


def _highest(values: Sequence[float]) -> frozenset[int]:
    top = max(values)
    return frozenset(place for place, value in enumerate(values) if value == top) if len(values) > 1 else frozenset()


def _markdown(comparison: Comparison) -> str:
    lines = [
        f"# {comparison.title}: strategies compared",
        "",
        f"{plural(len(comparison.seeds), 'seed')}, {plural(comparison.evaluations, 'evaluation')} a run, "
        f"nasmith {', '.join(comparison.versions)}. "
        + (f"Optimum: {comparison.optimum:.{_digits(comparison)}f}." if comparison.optimum is not None else ""),
        "",
        "![Best so far against evaluations](comparison.svg)",
    ]
    for grid in grids(comparison):
        lines += ["", f"{grid.title}.", "", _line(grid.columns), _line(["---", *["---:"] * (len(grid.columns) - 1)])]
        for number, row in enumerate(grid.rows):
            bold = [f"**{cell}**" if number in grid.best[place] else cell for place, cell in enumerate(row)]
            lines.append(_line(bold))
    lines += ["", "The rank is the mean over the seeds, 1 is the best. " + _area_rule(comparison)]
    if any(standing.test for standing in comparison.standings):
        lines += ["", TEST_RULE]
    lines += [item for note in comparison.notes for item in ("", note)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _area_rule(comparison: Comparison) -> str:
    if comparison.optimum is None:
        return "The mean value is that of the curve over all evaluations; higher is better. No optimum is known."
    return "The mean regret is that of the curve over all evaluations, the optimum minus the value; lower is better."


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _pictures(comparison: Comparison) -> dict[str, bytes]:
    import matplotlib

    made = {}
    with styled(), matplotlib.rc_context({"svg.hashsalt": comparison.name, "font.size": 9, "legend.fontsize": 8}):
        figure = draw_comparison(comparison)
        for kind in ("svg", "png"):
            buffer = io.BytesIO()
            metadata = {"Date": None} if kind == "svg" else {}
            figure.savefig(buffer, format=kind, dpi=220, metadata=metadata)
            made[kind] = buffer.getvalue()
    return made


def draw_comparison(comparison: Comparison) -> Figure:
    """Draw the mean of each strategy's curves against evaluations, with its standard error. Call it, and save, in a style.

    It is made for half a page's width.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(4.4, 3.5), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    axes = figure.add_subplot()
    first = _first_shown(comparison)
    steps = range(first, comparison.evaluations + 1)
    seen = []
    for place, (label, runs) in enumerate(whole(comparison.curves).items()):
        values = [[run[count - 1] for run in runs.values()] for count in steps]
        means = [fmean(row) for row in values]
        errors = [stdev(row) / sqrt(len(row)) if len(row) > 1 else 0.0 for row in values]
        seen += [low for mean, error in zip(means, errors, strict=True) for low in (mean - error, mean + error)]
        _draw_curve(axes, place, label, list(steps), means, errors, comparison.checkpoints)
    if comparison.optimum is not None:
        axes.axhline(comparison.optimum, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "optimum", (0, comparison.optimum), xycoords=("axes fraction", "data"), xytext=(2, 3), textcoords="offset points",
            color=MUTED, fontsize=8,
        )  # fmt: skip
    _frame(axes, comparison, first, seen)
    figure.legend(loc="outside lower center", ncols=_columns(list(comparison.curves)), handlelength=2.6, columnspacing=1.2)
    return figure


def _first_shown(comparison: Comparison) -> int:
    """Return where the picture begins: the first few evaluations are far below all others, and chance."""
    return max(1, min(comparison.checkpoints[0], comparison.evaluations // 5))


def _draw_curve(
    axes: Axes,
    place: int,
    label: str,
    steps: Sequence[int],
    means: Sequence[float],
    errors: Sequence[float],
    checkpoints: Sequence[int],
) -> None:
    colour, dash, mark = (own[place % len(own)] for own in (_COLOURS, _DASHES, _MARKS))
    marked = [count - steps[0] for count in checkpoints if count >= steps[0]]
    low = [mean - error for mean, error in zip(means, errors, strict=True)]
    high = [mean + error for mean, error in zip(means, errors, strict=True)]
    axes.fill_between(steps, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    axes.plot(
        steps, means, color=colour, linestyle=dash, linewidth=1.4, marker=mark, markersize=4, markevery=marked,
        markeredgecolor="white", markeredgewidth=0.5, label=label, zorder=3,
    )  # fmt: skip


def _frame(axes: Axes, comparison: Comparison, first: int, seen: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    ends = {first, comparison.evaluations}
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if first <= t <= comparison.evaluations]
    ticks = ticks or sorted(ends)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if len(ends) > 1:
        axes.set_xlim(first * 0.97, comparison.evaluations * 1.03)
    top = max([*seen, *([comparison.optimum] if comparison.optimum is not None else [])])
    span = max(top - min(seen), abs(top) * 1e-4, 1e-9)
    axes.set_ylim(min(seen) - 0.04 * span, top + 0.1 * span)
    axes.set_xlabel("evaluations")
    axes.set_ylabel(f"{measure_of(comparison)}, best so far")


def _columns(labels: Sequence[str]) -> int:
    """Return how many names of strategies stand beside each other below the picture."""
    longest = max(map(len, labels)) + 8
    return max(1, min(len(labels), 72 // longest))
