"""Draws a run with Matplotlib: Pareto front, progress, children by status, tuning. The same for pictures and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, nan, sqrt
from typing import TYPE_CHECKING, Any

from nasmith import analysis, population
from nasmith.against_seed import AgainstSeed, Measured, Standing, against_seeds, cost_pairs
from nasmith.analysis import Records, Scored, Verified
from nasmith.protocols import Task
from nasmith.report.against import basis
from nasmith.report.wording import number, plural, shows_fitness, with_spread, words
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
        _draw_trade_off(against_seeds(records, task), winners),
        _draw_progress(records, task, scored),
        _draw_statuses(records),
        _draw_tuning(records),
    ]
    return [drawing for drawing in drawings if drawing is not None]


def _draw_front(scored: Sequence[Scored], winners: Sequence[Verified], objectives: Sequence[Objective]) -> Drawing | None:
    x, y = next(iter(cost_pairs(objectives)), (None, None))
    if x is None or y is None:
        return None
    scored = [item for item in scored if all(isfinite(item.metrics.get(o.name, nan)) for o in (x, y))]
    if not scored:
        return None
    figure, axes = _figure(5.0)
    tips: dict[str, list[tuple[int, str]]] = {}

    seeds = [item for item in scored if item.candidate.operator == "seed"]
    every = [item for item in scored if item.candidate.operator != "seed"]
    front = analysis.front(scored, (x, y))
    told = analysis.split_objective([y])[1] or y.name  # what a verification says of the quality: on test data, where it can
    verified = [item for item in winners if {x.name, told} <= item.metrics.keys() and item.candidate.operator != "seed"]
    kept = [*_points(seeds, x, y)[1], *_points(front, x, y)[1], *(item.metrics[told] for item in verified)]
    children = [item for item in every if _within(item.metrics[y.name], kept, y)]
    shown = [*seeds, *children, *front]
    _scale(axes, x, y, *_points(shown, x, y))
    for place, operator in enumerate(sorted({item.candidate.operator for item in children})):
        group = [item for item in children if item.candidate.operator == operator]
        colour = _OPERATOR_COLOURS[place % len(_OPERATOR_COLOURS)]
        tips[f"children-{place}"] = [(item.candidate.id, _tip(item, objectives)) for item in group]
        axes.scatter(
            *_points(group, x, y),
            s=26,
            color=colour,
            alpha=0.75,
            linewidths=0,
            label=f"child by {operator}",
            gid=f"children-{place}",
        )
    axes.plot(*_points(front, x, y), color=_BLUE, linewidth=1.4, drawstyle=_steps(x), label="front of the search", zorder=2)
    if seeds:
        _draw_seeds(axes, [item.candidate.label for item in seeds], *_points(seeds, x, y))
        tips["seeds"] = [(item.candidate.id, _tip(item, objectives)) for item in seeds]
    if verified:
        _draw_verified(axes, verified, x, told)
        tips["verified"] = [(item.candidate.id, _verified_tip(item, x, told)) for item in verified]
    if axes.get_yscale() == "linear" and y.direction == "minimize" and min(kept) >= 0:
        axes.set_ylim(0, 1.15 * max(kept) if len(children) < len(every) and max(kept) > 0 else None)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    text = f"{_label(x)} against {_label(y)}; toward the {_corner(x, y)} is better. "
    text = text[0].upper() + text[1:]
    text += f"Bars: mean and standard deviation of the {words(told)} over new training seeds. " if verified else ""
    hidden = len(every) - len(children)
    text += f"Much worse and outside the frame: {plural(hidden, 'child')}." if hidden else ""
    return Drawing("pareto", "Size against error" if x.name == "params" else "Pareto front", text.strip(), figure, tips)


def _points(items: Sequence[Measured], x: Objective, y: Objective) -> tuple[list[float], list[float]]:
    return [item.metrics[x.name] for item in items], [item.metrics[y.name] for item in items]


def _within(value: float, kept: Sequence[float], objective: Objective) -> bool:
    """Whether a child is not so much worse than all that matters (`kept`) that it would squeeze the rest of the picture."""
    low, high = min(kept), max(kept)
    if objective.log and low > 0:
        return True
    if objective.direction == "minimize" and low >= 0:
        return value <= 1.15 * high or high == 0
    room = high - low or abs(high) or 1.0
    return value <= high + room if objective.direction == "minimize" else value >= low - room


def _corner(x: Objective, y: Objective) -> str:
    """Return where the best would be."""
    return f"{'lower' if y.direction == 'minimize' else 'upper'} {'left' if x.direction == 'minimize' else 'right'}"


def _steps(x: Objective) -> str:
    """Return how a front is drawn: up to the next point as good as the one that is cheaper."""
    return "steps-post" if x.direction == "minimize" else "steps-pre"


def _draw_trade_off(found: Sequence[AgainstSeed], winners: Sequence[Verified]) -> Drawing | None:
    """Draw the verified models and seeds by the validation data of their new trainings; None where no such seed is known."""
    held = [item for item in found if item.verified and item.cost is not None]
    if not held or held[0].cost is None:
        return None
    x, y = held[0].cost, held[0].quality
    verified = [Standing.of(item) for item in winners if {x.name, y.name} <= item.metrics.keys()]
    seeds = [item for item in verified if item.candidate.operator == "seed"]
    children = [item for item in verified if item.candidate.operator != "seed"]
    if not seeds or not children:
        return None
    figure, axes = _figure(4.6)

    _scale(axes, x, y, *_points([*seeds, *children], x, y))
    front = sorted(population.front([*seeds, *children], (x, y)), key=lambda item: item.metrics[x.name])
    axes.plot(*_points(front, x, y), color=_BLUE, linewidth=1.4, drawstyle=_steps(x), label="front, seeds included", zorder=2)
    for items, colour in ((children, _VERMILION), (seeds, INK)):
        halves = [item.intervals.get(y.name, 0.0) for item in items]
        axes.errorbar(*_points(items, x, y), yerr=halves, fmt="none", ecolor=colour, elinewidth=1.4, capsize=4, zorder=3)
    faces = ["none" if item.flagged else _VERMILION for item in children]
    label = "child" + (" (hollow: flagged)" if any(item.flagged for item in children) else "")
    axes.scatter(
        *_points(children, x, y),
        s=46,
        facecolors=faces,
        edgecolors=_VERMILION,
        linewidths=1.5,
        label=label,
        gid="to-children",
        zorder=5,
    )
    _draw_seeds(axes, [item.candidate.label for item in seeds], *_points(seeds, x, y), group="to-seeds")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    tips = {
        name: [(item.id, _standing_tip(item, x, y)) for item in items]
        for name, items in (("to-children", children), ("to-seeds", seeds))
    }
    text = f"Held against each other {basis(held[0])}; toward the {_corner(x, y)} is better. "
    text += "Bars: 95% confidence intervals of the means." if any(item.intervals for item in children) else ""
    return Drawing("trade-off", "Against the seeds", text.strip(), figure, tips)


def _draw_seeds(axes: Axes, names: Sequence[str], xs: Sequence[float], ys: Sequence[float], group: str = "seeds") -> None:
    axes.scatter(xs, ys, s=52, marker="D", color=INK, label="seed", gid=group, zorder=4)
    middle = sum(axes.get_xlim()) / 2 if axes.get_xscale() == "linear" else sqrt(axes.get_xlim()[0] * axes.get_xlim()[1])
    for name, x, y in zip(names, xs, ys, strict=True):
        side, align = (-8, "right") if x > middle else (8, "left")
        axes.annotate(
            name,
            (x, y),
            xytext=(side, 5),
            textcoords="offset points",
            ha=align,
            va="bottom",
            fontsize=9,
            zorder=6,
        )


def _scale(axes: Axes, x: Objective, y: Objective, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Name the axes; where all values are above 0, an objective with `log` gets a logarithmic one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    for objective, values, axis, set_scale in ((x, xs, axes.xaxis, axes.set_xscale), (y, ys, axes.yaxis, axes.set_yscale)):
        if objective.log and min(values, default=0.0) > 0:
            set_scale("log")
            narrow = max(values) < 5 * min(values)  # 1, 2 and 5 would be too few
            axis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        else:
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.set_xlabel(_label(x))
    axes.set_ylabel(_label(y))


def _label(objective: Objective) -> str:
    special = {"params": "parameters", "flops": "FLOPs", "latency_ms": "latency", "peak_memory_mb": "peak memory"}
    name = special.get(objective.name, words(objective.name))
    name = f"validation {name.removeprefix('val ')}" if objective.name.startswith("val_") else name
    return f"{name} ({objective.unit})" if objective.unit else name


def _draw_verified(axes: Axes, verified: Sequence[Verified], x: Objective, told: str) -> None:
    xs, ys = [item.metrics[x.name] for item in verified], [item.metrics[told] for item in verified]
    spreads = [item.spreads[told] for item in verified]
    axes.errorbar(xs, ys, yerr=spreads, fmt="none", ecolor=_VERMILION, elinewidth=1.6, capsize=4, zorder=3)
    faces = ["none" if item.flagged else _VERMILION for item in verified]
    label = f"verified: {words(told)}" + (" (hollow: flagged)" if any(item.flagged for item in verified) else "")
    axes.scatter(xs, ys, s=46, facecolors=faces, edgecolors=_VERMILION, linewidths=1.5, label=label, gid="verified", zorder=5)


def _tip(item: Scored, objectives: Sequence[Objective]) -> str:
    facts = ", ".join(
        f"{words(o.name)} {number(item.evaluation.metrics[o.name])}" for o in objectives if o.name in item.evaluation.metrics
    )
    fitness = f", fitness {number(item.fitness)}" if shows_fitness(objectives) else ""
    return f"#{item.candidate.id} {item.candidate.label or item.candidate.operator}: {facts}{fitness}"


def _verified_tip(item: Verified, x: Objective, told: str) -> str:
    size = f"{words(x.name)} {number(item.metrics[x.name])}"
    return f"#{item.candidate.id} verified: {size}, {words(told)} {with_spread(item.metrics[told], item.spreads[told])}"


def _standing_tip(item: Standing, x: Objective, y: Objective) -> str:
    low, high = (item.metrics[y.name] + sign * item.intervals.get(y.name, 0.0) for sign in (-1, 1))
    interval = f" [{number(low)}, {number(high)}]" if item.intervals else ""
    name = f"#{item.id} {item.candidate.label}".strip()
    return f"{name}: {words(x.name)} {number(item.metrics[x.name])}, {words(y.name)} {number(item.metrics[y.name])}{interval}"


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
    axes.set_ylabel(f"{_merit(scored, task.objectives)} (higher is better)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    tips = {"progress-children": [(item.candidate.id, _tip(item, task.objectives)) for item in children]}
    text = "Children far below the best seed are left out." if seed is not None else ""
    return Drawing("progress", f"Best {_merit(scored, task.objectives)} against children", text, figure, tips)


def _merit(scored: Sequence[Scored], objectives: Sequence[Objective]) -> str:
    """Return what candidates are ordered by, in words: the fitness, or the one metric that it is equal to."""
    if shows_fitness(objectives) or any(item.metrics.get(objectives[0].name) != item.fitness for item in scored):
        return "fitness"
    return words(objectives[0].name)


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
