"""Says numbers and counts the way people read them: the same words on screens, in reports and beside exported models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, isfinite, log10
from typing import Any

from nasmith import registry
from nasmith.errors import UsageError
from nasmith.matching import kind_of
from nasmith.types import Objective, Status

__all__ = [
    "clip",
    "containment",
    "counts",
    "designs_only",
    "dollars",
    "duration",
    "looked_up",
    "metrics",
    "number",
    "plural",
    "shows_fitness",
    "with_spread",
    "words",
]


_COUNTS = ("params", "flops")


def containment(config: Mapping[str, Any]) -> str:
    """Return a warning where a run's configuration gives candidates the user's rights; empty where they are held."""
    if designs_only(config):
        return ""  # they are read, not run
    executor = config.get("executor", {})
    if executor.get("name") == "inline":
        return "no sandbox: candidates run in this very process, with your rights and nothing between them and the run"
    if executor.get("options", {}).get("sandbox") == "off":
        return "the sandbox is off: candidates run with your rights and can read your files and use the network"
    return ""


def designs_only(config: Mapping[str, Any]) -> bool:
    """Whether a run's candidates are designs of a fixed space, so that nothing of theirs is executed or trained."""
    try:
        return kind_of(registry.load("tasks", config["task"]["name"])) == "spaces"
    except (KeyError, UsageError):
        return False


def looked_up(config: Mapping[str, Any]) -> bool:
    """Whether a run's candidates are designs whose worth is known without a training."""
    return designs_only(config) and not getattr(registry.load("tasks", config["task"]["name"]), "resumable", False)


def number(value: float) -> str:
    """Return a number with thousands separated, and three or four significant digits below 100."""
    if not isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15 and (abs(value) >= 1 or value == 0):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.4f}" if abs(value) >= 0.0001 else f"{value:.1e}"


def with_spread(mean: float, spread: float) -> str:
    """Return "mean ± standard deviation"."""
    return f"{number(mean)} ± {number(spread)}"


def words(name: str) -> str:
    """Return a metric's name as words: "val_error" becomes "val error"."""
    return name.replace("_", " ")


def metrics(values: Mapping[str, float], objectives: Sequence[Objective]) -> str:
    """Return the objectives among `values` in one line, such as "4,210 params, val error 0.062"."""
    parts = []
    for objective in objectives:
        if objective.name in values:
            text = number(values[objective.name])
            parts.append(f"{text} {words(objective.name)}" if objective.name in _COUNTS else f"{words(objective.name)} {text}")
    return ", ".join(parts)


def shows_fitness(objectives: Sequence[Objective]) -> bool:
    """Whether the fitness says more than the objectives do: where one alone counts, it is that number again."""
    return len(objectives) != 1


def dollars(value: float) -> str:
    """Return US dollars as "$12.34", below a dollar with three significant digits, such as "$0.0123"."""
    if value >= 1 or value == 0:
        return f"${value:,.2f}"
    if value < 1e-6:
        return "<$0.000001"
    return f"${value:.{2 - floor(log10(value))}f}"


def duration(seconds: float) -> str:
    """Return a time span as "0:42", "12:03" or "1:02:03"."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, last = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{last:02}" if hours else f"{minutes}:{last:02}"


def plural(count: int, noun: str) -> str:
    """Return "1 child" or "2 seeds": the count with its noun."""
    special = {"child": "children", "reply": "replies"}
    return f"{count:,} {noun if count == 1 else special.get(noun, noun + 's')}"


def counts(statuses: Mapping[Status, int]) -> str:
    """Return "ok 12, invalid 3" in the order of `Status`."""
    return ", ".join(f"{status.value} {statuses[status]:,}" for status in Status if statuses.get(status))


def clip(text: str, width: int) -> str:
    """Return the text in at most `width` characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"
