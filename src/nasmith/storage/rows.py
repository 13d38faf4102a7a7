"""Turns records into rows of the tables, and rows into records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from nasmith.protocols import Storage
from nasmith.redaction import redacted
from nasmith.storage import schema
from nasmith.types import Brief, Call, Candidate, Completion, Evaluation, Run, Sampling, Status, Suggestion, Tune, Tuning, Wish

__all__ = [
    "from_call",
    "from_candidate",
    "from_completion",
    "from_evaluation",
    "from_run",
    "from_tuning",
    "from_wish",
    "hashed",
    "plain",
    "tables",
    "to_call",
    "to_candidate",
    "to_completion",
    "to_evaluation",
    "to_run",
    "to_tuning",
    "to_wish",
]

Row = Mapping[Any, Any]

# The fields that are columns of the same name and need no conversion.
_RUN = ("name", "version", "created", "finished")
_COMPLETION = (
    "text", "model", "tokens_in", "tokens_out", "cost", "seconds", "finish", "tokens_cached", "message",
)  # fmt: skip
_CALL = (
    "model", "outcome", "message", "text", "step", "index", "tokens_in", "tokens_out", "tokens_cached", "cost", "seconds",
)  # fmt: skip
_CANDIDATE = ("id", "text", "operator", "canonical", "step", "index", "round", "label")
_EVALUATION = ("candidate", "seed", "fidelity", "seconds", "message", "purpose", "weights")
_TUNING = ("round", "examples", "accepted", "weights", "seconds", "message")


def from_run(run: Run) -> dict[str, Any]:
    """Return a row of `runs`."""
    return {**_fields(run, _RUN), "config": dict(run.config), "environment": dict(run.environment)}


def to_run(row: Row) -> Run:
    """Return the run of a row."""
    return Run(config=row["config"], environment=row["environment"], **_named(row, _RUN))


def from_wish(step: int, told: int, wish: Wish) -> dict[str, Any]:
    """Return a row of `asked`."""
    return {"step": step, "told": told, "kind": type(wish).__name__.lower(), "data": _data(wish)}


def to_wish(row: Row) -> tuple[int, Wish]:
    """Return the number of evaluations told before a wish, and the wish."""
    return row["told"], _wish(row["kind"], row["data"])


def from_completion(step: int, index: int, completion: Completion) -> dict[str, Any]:
    """Return a row of `completions`; the prompt is a row of its own."""
    return {"step": step, "index": index, "prompt_hash": hashed(completion.prompt), **_fields(completion, _COMPLETION)}


def to_completion(row: Row) -> Completion:
    """Return the reply of a row that was joined with its prompt."""
    return Completion(prompt=row["prompt"], **_named(row, _COMPLETION))


def from_call(call: Call) -> dict[str, Any]:
    """Return a row of `calls`."""
    return {**_fields(call, _CALL), "message": redacted(call.message), "text": redacted(call.text)}


def to_call(row: Row) -> Call:
    """Return the exchange of a row."""
    return Call(**_named(row, _CALL))


def from_candidate(candidate: Candidate) -> dict[str, Any]:
    """Return a row of `candidates`."""
    return {**_fields(candidate, _CANDIDATE), "parents": list(candidate.parents)}


def to_candidate(row: Row) -> Candidate:
    """Return the candidate of a row."""
    return Candidate(parents=tuple(row["parents"]), **_named(row, _CANDIDATE))


def from_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """Return a row of `evaluations`."""
    return {
        **_fields(evaluation, _EVALUATION),
        "status": str(evaluation.status),
        "metrics": plain(evaluation.metrics),
        "message": redacted(evaluation.message),
    }


def to_evaluation(row: Row) -> Evaluation:
    """Return the evaluation of a row."""
    return Evaluation(status=Status(row["status"]), metrics=row["metrics"], **_named(row, _EVALUATION))


def from_tuning(step: int, tuning: Tuning) -> dict[str, Any]:
    """Return a row of `tunings`."""
    return {"step": step, **_fields(tuning, _TUNING), "losses": list(tuning.losses), "message": redacted(tuning.message)}


def to_tuning(row: Row) -> Tuning:
    """Return the tuning of a row."""
    return Tuning(losses=tuple(row["losses"]), **_named(row, _TUNING))


def hashed(text: str) -> str:
    """Return the key of a prompt."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics without NumPy scalars, which JSON does not know."""
    return {name: value if isinstance(value, (int, float)) else float(value) for name, value in metrics.items()}


def tables(source: Storage, run: str) -> list[tuple[sa.Table, list[dict[str, Any]]]]:
    """Return all rows of a run that another storage holds, but for the run itself, in the order in which they can be added."""
    replies = source.completions(run).items()
    return [
        (schema.asked, [from_wish(step, told, wish) for step, (told, wish) in enumerate(source.asked(run))]),
        (schema.completions, [from_completion(step, index, reply) for (step, index), reply in replies]),
        (schema.calls, [from_call(call) for call in source.calls(run)]),
        (schema.candidates, [from_candidate(candidate) for candidate in source.candidates(run)]),
        (schema.evaluations, [from_evaluation(evaluation) for evaluation in source.evaluations(run)]),
        (schema.tunings, [from_tuning(step, tuning) for step, tuning in source.tunings(run).items()]),
    ]


def _fields(record: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _named(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _data(wish: Wish) -> dict[str, Any]:
    if isinstance(wish, Tune):
        return {"round": wish.round, "candidates": list(wish.candidates), "seed": wish.seed}
    if isinstance(wish, Suggestion):
        return {**_fields(wish, ("operator", "round")), "texts": list(wish.texts), "parents": list(wish.parents)}
    return {
        "operator": wish.operator,
        "parents": list(wish.parents),
        "facts": [dict(facts) for facts in wish.facts],
        "target": dict(wish.target),
        "sampling": _fields(wish.sampling, ("n", "temperature", "seed")),
        "round": wish.round,
        **({"model": wish.model} if wish.model else {}),
    }


def _wish(kind: str, data: dict[str, Any]) -> Wish:
    if kind == "tune":
        return Tune(round=data["round"], candidates=tuple(data["candidates"]), seed=data["seed"])
    if kind == "suggestion":
        return Suggestion(**{**data, "texts": tuple(data["texts"]), "parents": tuple(data["parents"])})
    return Brief(
        operator=data["operator"],
        parents=tuple(data["parents"]),
        facts=tuple(data["facts"]),
        target=data["target"],
        sampling=Sampling(**data["sampling"]),
        round=data["round"],
        model=data.get("model", ""),
    )
