"""Sums what a run's language model cost: by model, operator and outcome, and for a child that trained. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nasmith.analysis import Records
from nasmith.types import Brief, Call, Completion, Status

__all__ = ["NOT_EVALUATED", "NO_REPLY", "Cost", "Key", "PerChild", "by", "costs", "per_trained_child", "total"]

NO_REPLY = "no reply"
"""Outcome of a completion that stands for a reply that could not be had."""

NOT_EVALUATED = "not evaluated"
"""Outcome of a reply whose child has no evaluation yet."""

Key = Literal["model", "operator", "outcome"]

_ADAPTER = re.compile(r"\+adapter-\d+$")  # a model that has learned is still that model
_STATUSES = [status.value for status in Status]
_ORDER = {name: place for place, name in enumerate([*_STATUSES, NOT_EVALUATED, NO_REPLY])}


@dataclass(frozen=True, slots=True)
class Cost:
    """What the calls with one model, operator and outcome took; a key that was summed over is empty.

    Attributes:
        model: Name of the model, its adapter left off.
        operator: Of the candidate, or of the brief where no candidate came; "check" for the check at the start.
        outcome: Of a reply, the status of its child's search evaluation, `NOT_EVALUATED` or `NO_REPLY`. Of an exchange that
            gave no completion, its own, after "request " where a status has that name too ("failed", "timeout").
        calls: Replies, and exchanges that gave none. A request for eight replies counts eight times.
        tokens_in: Tokens of prompts; those of a request count with its first reply.
        tokens_cached: Those of `tokens_in` that the provider had in its cache.
        tokens_out: Tokens sampled.
        cost: US dollars.
        seconds: Wall time, summed over calls: more than passed where several ran at a time.
    """

    model: str = ""
    operator: str = ""
    outcome: str = ""
    calls: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PerChild:
    """What one child that trained cost: everything that was spent, divided by the children whose status is OK."""

    children: int
    tokens_in: float
    tokens_out: float
    cost: float
    seconds: float


def costs(records: Records) -> list[Cost]:
    """Return a row for each model, operator and outcome that occur together, in that order."""
    children = {(child.step, child.index): child for child in records.candidates.values() if child.step >= 0}
    statuses: dict[int, Status] = {}
    for evaluation in records.evaluations:
        if evaluation.purpose == "search":
            statuses.setdefault(evaluation.candidate, evaluation.status)
    rows = []
    for place, completion in records.completions.items():
        child = children.get(place)
        status = statuses.get(child.id) if child else None
        outcome = NO_REPLY if completion.finish == "failed" else status.value if status else NOT_EVALUATED
        rows.append(_row(completion, child.operator if child else _operator(records, place[0]), outcome))
    for call in records.calls:
        outcome = f"request {call.outcome}" if call.outcome in _STATUSES else call.outcome
        rows.append(_row(call, _operator(records, call.step), outcome))
    return by(rows, "model", "operator", "outcome")


def by(rows: Iterable[Cost], *keys: Key) -> list[Cost]:
    """Sum over all but the named keys; outcomes stand in the order of `Status`, others after them."""
    sums: dict[tuple[str, str, str], Cost] = {}
    for row in rows:
        model = row.model if "model" in keys else ""
        operator = row.operator if "operator" in keys else ""
        outcome = row.outcome if "outcome" in keys else ""
        old = sums.get((model, operator, outcome), Cost(model, operator, outcome))
        sums[model, operator, outcome] = replace(
            old,
            calls=old.calls + row.calls,
            tokens_in=old.tokens_in + row.tokens_in,
            tokens_cached=old.tokens_cached + row.tokens_cached,
            tokens_out=old.tokens_out + row.tokens_out,
            cost=old.cost + row.cost,
            seconds=old.seconds + row.seconds,
        )
    return sorted(sums.values(), key=lambda row: (row.model, row.operator, _ORDER.get(row.outcome, len(_ORDER)), row.outcome))


def total(rows: Iterable[Cost]) -> Cost:
    """Sum all rows."""
    return next(iter(by(rows)), Cost())


def per_trained_child(rows: Sequence[Cost]) -> PerChild | None:
    """Return what a child that trained cost; None where none did."""
    trained = sum(row.calls for row in rows if row.outcome == Status.OK)
    whole = total(rows)
    if not trained:
        return None
    return PerChild(
        trained, whole.tokens_in / trained, whole.tokens_out / trained, whole.cost / trained, whole.seconds / trained
    )


def _row(item: Completion | Call, operator: str, outcome: str) -> Cost:
    tokens = item.tokens_in, item.tokens_cached, item.tokens_out
    return Cost(_ADAPTER.sub("", item.model), operator, outcome, 1, *tokens, item.cost, item.seconds)


def _operator(records: Records, step: int) -> str:
    """The operator that a step's wish names; "check" for the check, which comes before the first."""
    wish = records.asked[step] if 0 <= step < len(records.asked) else None
    return wish.operator if isinstance(wish, Brief) else "check" if step < 0 else ""
