"""Draws a run with Matplotlib: Pareto front, progress, children by status, tuning. The same for pictures and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any

from nasmith import analysis
from nasmith.analysis import Records, Scored, Verified
from nasmith.protocols import Task
from nasmith.report.wording import number, plural, words
from nasmith.types import Objective, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "GRID", "INK", "MUTED", "STATUS_COLOURS", "Drawing", "draw_all", "styled"]

INK, MUTED, GRID = "#1b1f24", "#59636f", "#d5dae0"
ACCENT = "#0072b2"
"""With the three above, the colours that the page exchanges in the dark."""

_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _SKY = ACCENT, "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
_DARK = frozenset({Status.TIMEOUT, Status.ERROR, Status.OOM})
_OPERATOR_COLOURS = (_SKY, _ORANGE, _PURPLE, _GREEN)
STATUS_COLOURS: Mapping[Status, str] = {
    Status.OK: _GREEN,
    Status.DUPLICATE: _SKY,
    Status.INVALID: _ORANGE,
    Status.FAILED: _PURPLE,
    Status.TIMEOUT: _BLUE,
    Status.OOM: _VERMILION,
    Status.KILLED: "#8a8f98",
    Status.ERROR: "#5c1a1a",
}
"""Okabe and Ito's palette, which people with any colour vision can tell apart."""


@dataclass(frozen=True)
class Drawing:
    """A figure with what the page says of it.

    Attributes:
        name: The file's stem.
        title: One line for people.
        text: What is to be seen.
        figure: A Matplotlib figure.
        tips: For each group of points (by its id in the SVG) what each point is: (candidate id, words).
    """

    name: str
    title: str
    text: str
    figure: Figure
    tips: Mapping[str, Sequence[tuple[int, str]]] = field(default_factory=dict)


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save in the report's style; the process's own settings come back after."""
    import matplotlib

    style: Any = {
        "font.size": 10,
        "font.family": "DejaVu Sans",
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": GRID,
        "grid.linewidth": 0.7,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "svg.fonttype": "none",
        "axes.unicode_minus": False,
    }
    with matplotlib.rc_context(style):
        yield


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(7.2, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    return figure, figure.add_subplot()


def draw_all(records: Records, task: Task) -> list[Drawing]:
    """Draw what the records hold; a drawing without data is left out. Call it, and save, within `styled`."""
    scored = analysis.scored(records)
    winners = analysis.verified(records, task)
    drawings = [
        _draw_front(scored, winners, task.objectives),
        _draw_progress(records, task, scored),
        _draw_statuses(records),
        _draw_tuning(records),
    ]
    return [drawing for drawing in drawings if drawing is not None]


def _axes_objectives(objectives: Sequence[Objective]) -> tuple[Objective, Objective] | None:
    error, _ = analysis.split_objective(objectives)
    others = [objective for objective in objectives if error is None or objective.name != error.name]
    if error is None:
        return (others[0], others[1]) if len(others) > 1 else None
    return (others[0], error) if others else None


def _draw_front(scored: Sequence[Scored], winners: Sequence[Verified], objectives: Sequence[Objective]) -> Drawing | None:
    pair = _axes_objectives(objectives)
    if pair is None or not scored:
        return None
    x, y = pair
    twin = analysis.split_objective(objectives)[1]
    figure, axes = _figure(5.0)
    _scale(axes, x, y)
    tips: dict[str, list[tuple[int, str]]] = {}

    def points(items: Sequence[Scored]) -> tuple[list[float], list[float]]:
        return [i.evaluation.metrics[x.name] for i in items], [i.evaluation.metrics[y.name] for i in items]

    seeds = [item for item in scored if item.candidate.operator == "seed"]
    every = [item for item in scored if item.candidate.operator != "seed"]
    front = analysis.front(scored, (x, y))
    verified = [item for item in winners if item.evaluations and twin in item.metrics and item.candidate.operator != "seed"]
    top = _top(y, [*points(seeds)[1], *points(front)[1], *(item.metrics[twin] for item in verified)])
    children = [item for item in every if item.evaluation.metrics[y.name] <= top]
    for place, operator in enumerate(sorted({item.candidate.operator for item in children})):
        group = [item for item in children if item.candidate.operator == operator]
        colour = _OPERATOR_COLOURS[place % len(_OPERATOR_COLOURS)]
        tips[f"children-{place}"] = [(item.candidate.id, _tip(item, objectives)) for item in group]
        axes.scatter(
            *points(group), s=26, color=colour, alpha=0.75, linewidths=0, label=f"child by {operator}", gid=f"children-{place}"
        )
    axes.plot(*points(front), color=_BLUE, linewidth=1.4, drawstyle="steps-post", label="front of the search", zorder=2)
    if seeds:
        _draw_seeds(axes, seeds, *points(seeds))
        tips["seeds"] = [(item.candidate.id, _tip(item, objectives)) for item in seeds]
    if verified:
        _draw_verified(axes, verified, x, twin)
        tips["verified"] = [(item.candidate.id, _verified_tip(item, x, twin)) for item in verified]
    if not y.log:
        axes.set_ylim(0, top if len(children) < len(every) else None)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    text = f"{_label(x)} against {_label(y)}; toward the lower left is better. ".capitalize() if _both_down(x, y) else ""
    text += f"Bars: mean and standard deviation of the {words(twin)} over new training seeds. " if verified else ""
    hidden = len(every) - len(children)
    text += f"{plural(hidden, 'child')} with a larger error lie above the frame." if hidden else ""
    return Drawing("pareto", "Size against error" if x.name == "params" else "Pareto front", text.strip(), figure, tips)


def _top(y: Objective, kept: Sequence[float]) -> float:
    """Return where the frame ends: above all that matters; the worst children would squeeze it."""
    finite = [value for value in kept if isfinite(value)]
    return float("inf") if y.log or not finite or max(finite) <= 0 else 1.15 * max(finite)


def _draw_seeds(axes: Axes, seeds: Sequence[Scored], xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.scatter(xs, ys, s=52, marker="D", color=INK, label="seed", gid="seeds", zorder=4)
    middle = sum(axes.get_xlim()) / 2 if axes.get_xscale() == "linear" else sqrt(axes.get_xlim()[0] * axes.get_xlim()[1])
    for item, x, y in zip(seeds, xs, ys, strict=True):
        side, align = (-8, "right") if x > middle else (8, "left")
        axes.annotate(
            item.candidate.label,
            (x, y),
            xytext=(side, 0),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=9,
            zorder=6,
        )


def _both_down(*objectives: Objective) -> bool:
    return all(objective.direction == "minimize" for objective in objectives)


def _scale(axes: Axes, x: Objective, y: Objective) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for objective, axis, set_scale in ((x, axes.xaxis, axes.set_xscale), (y, axes.yaxis, axes.set_yscale)):
        if objective.log:
            set_scale("log")
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_xlabel(_label(x))
    axes.set_ylabel(_label(y))


def _label(objective: Objective) -> str:
    special = {"params": "parameters", "val_error": "validation error", "test_error": "test error", "flops": "FLOPs"}
    return special.get(objective.name, words(objective.name)) + (f" ({objective.unit})" if objective.unit else "")


def _draw_verified(axes: Axes, verified: Sequence[Verified], x: Objective, twin: str) -> None:
    xs, ys = [item.metrics[x.name] for item in verified], [item.metrics[twin] for item in verified]
    spreads = [item.spreads[twin] for item in verified]
    axes.errorbar(xs, ys, yerr=spreads, fmt="none", ecolor=_VERMILION, elinewidth=1.6, capsize=4, zorder=3)
    faces = ["none" if item.flagged else _VERMILION for item in verified]
    label = f"verified: {words(twin)}" + (" (hollow: flagged)" if any(item.flagged for item in verified) else "")
    axes.scatter(xs, ys, s=46, facecolors=faces, edgecolors=_VERMILION, linewidths=1.5, label=label, gid="verified", zorder=5)


def _tip(item: Scored, objectives: Sequence[Objective]) -> str:
    facts = ", ".join(
        f"{words(o.name)} {number(item.evaluation.metrics[o.name])}" for o in objectives if o.name in item.evaluation.metrics
    )
    return f"#{item.candidate.id} {item.candidate.label or item.candidate.operator}: {facts}, fitness {number(item.fitness)}"


def _verified_tip(item: Verified, x: Objective, twin: str) -> str:
    size = f"{words(x.name)} {number(item.metrics[x.name])}"
    return f"#{item.candidate.id} verified: {size}, {words(twin)} {number(item.metrics[twin])} ± {number(item.spreads[twin])}"


def _draw_progress(records: Records, task: Task, scored: Sequence[Scored]) -> Drawing | None:
    from matplotlib.ticker import FuncFormatter

    curve = analysis.progress_curve(records, task)
    if not curve:
        return None
    figure, axes = _figure(3.6)
    order = {c.id: place for place, c in enumerate((c for c in records.candidates.values() if c.operator != "seed"), start=1)}
    seed = analysis.best_seed(scored)
    reference = seed.fitness if seed else curve[0][1]
    span = max(abs(curve[-1][1] - reference), abs(reference) * 0.15, 1e-9)
    bottom = min(reference, curve[-1][1]) - 0.5 * span
    children = [item for item in scored if item.candidate.id in order and item.fitness >= bottom]
    axes.scatter(
        [order[i.candidate.id] for i in children], [i.fitness for i in children],
        s=18, color=_SKY, linewidths=0, label="child", gid="progress-children",
    )  # fmt: skip
    axes.plot(*zip(*curve, strict=True), color=_BLUE, linewidth=2, drawstyle="steps-post", label="best so far")
    smooth = analysis.bootstrap_curve(records, task)
    if len(smooth) > 1:
        label = "mean best of 20 drawn from the children so far"
        axes.plot(*zip(*smooth, strict=True), color=_ORANGE, linewidth=1.5, linestyle="--", label=label)
    if seed is not None:
        axes.axhline(seed.fitness, color=INK, linewidth=1, linestyle=":", label=f"best seed ({seed.candidate.label})")
    axes.set_ylim(bottom, max(reference, curve[-1][1]) + 0.12 * span)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_xlim(0, max(order.values()) + 1)
    axes.set_xlabel("children made, broken ones and duplicates included")
    axes.set_ylabel("fitness (higher is better)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    tips = {"progress-children": [(item.candidate.id, _tip(item, task.objectives)) for item in children]}
    return Drawing("progress", "Best fitness against children", "Children far below the best seed are left out.", figure, tips)


def _draw_statuses(records: Records) -> Drawing | None:
    counts = analysis.count_by_operator(records)
    if not counts:
        return None
    figure, axes = _figure(1.5 + 0.55 * len(counts))
    left = dict.fromkeys(counts, 0)
    total = max(sum(by.values()) for by in counts.values())
    for status in Status:
        values = [counts[operator].get(status, 0) for operator in counts]
        if not any(values):
            continue
        bars = axes.barh(
            list(counts), values, left=list(left.values()), height=0.62, label=status.value, color=STATUS_COLOURS[status]
        )
        labels = [str(value) if value > 0.03 * total else "" for value in values]
        axes.bar_label(bars, labels, label_type="center", fontsize=9, color="#ffffff" if status in _DARK else "#10131a")
        left = {operator: left[operator] + value for operator, value in zip(counts, values, strict=True)}
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("children")
    figure.legend(loc="outside lower center", ncols=4)
    return Drawing("statuses", "Children by status and operator", "", figure)


def _draw_tuning(records: Records) -> Drawing | None:
    tunings = [tuning for tuning in records.tunings.values() if tuning.losses]
    if not tunings:
        return None
    figure, axes = _figure(3.2)
    begin = 0.0
    for tuning in tunings:
        xs = [begin + epoch for epoch in range(len(tuning.losses))]
        colour = _BLUE if tuning.accepted else _VERMILION
        axes.plot(xs, tuning.losses, marker="o", markersize=4, color=colour, linestyle="-" if tuning.accepted else "--")
        note = f"round {tuning.round + 1}" + ("" if tuning.accepted else "\nnot taken over")
        axes.annotate(note, (xs[0], tuning.losses[0]), xytext=(2, 8), textcoords="offset points", fontsize=9)
        begin = xs[-1] + 1.5
    axes.margins(x=0.06, y=0.25)
    axes.set_xticks([])
    axes.set_xlabel("epochs, round after round; the first point of a round is before any step")
    axes.set_ylabel("loss (nats per token)")
    return Drawing("tuning", "What the language model learned", "Lower is better.", figure)
