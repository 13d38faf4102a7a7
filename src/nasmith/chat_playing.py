"""Plays a recorded chat through nasmith's own loop: strategy, reader of replies and bounds are those of a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nasmith import registry
from nasmith.api import search
from nasmith.loop import Budget
from nasmith.types import Candidate, Evaluation, Status
from nasmith.verify import Verification

if TYPE_CHECKING:
    from nasmith.tasks.imagenet.recorded_chat import Played, Turn

__all__ = ["play"]


def play(path: Path) -> Played:
    """Play a chat about the ImageNet mobile space, and put what nasmith decides beside what the record did.

    Args:
        path: The record (`tasks/imagenet/recorded_chat.py`).

    Raises:
        UsageError: It is no such record.
    """
    from nasmith.storage.memory import Memory
    from nasmith.tasks.imagenet.recorded_chat import ChatTask, compared, read_record

    record = read_record(path)
    count = len(record.answers)
    storage = Memory()
    result = search(
        ChatTask(record),
        registry.create("lms", "scripted", {"replies": [answer.text for answer in record.answers], "chat": True}),
        registry.create("strategies", "genius", {"designs": count, "repairs": count}),
        "inline",
        storage,
        budget=Budget(evaluations=count),
        verify=Verification(best=0),
    )
    candidates = {candidate.id: candidate for candidate in storage.candidates(result.run.name)}
    evaluations = sorted(storage.evaluations(result.run.name), key=lambda evaluation: evaluation.candidate)
    turns: list[Turn] = []
    known: dict[str, Turn] = {}
    for answer, evaluation in zip(record.answers, evaluations, strict=True):
        candidate = candidates[evaluation.candidate]
        turn = _turn(answer.message, candidate, evaluation, known)
        known.setdefault(candidate.canonical, turn)
        turns.append(turn)
    return compared(record, turns)


def _turn(message: int, candidate: Candidate, evaluation: Evaluation, known: dict[str, Turn]) -> Turn:
    """Return what was decided about a candidate; one that was out of range before is so again."""
    import numpy as np

    from nasmith.tasks.imagenet.mobile_space import mobile, table
    from nasmith.tasks.imagenet.ranges import FLOPS
    from nasmith.tasks.imagenet.recorded_chat import Turn

    if not candidate.text:
        return Turn(message, None, "unreadable", why=evaluation.message)
    design = mobile().read(candidate.text)
    amount = round(FLOPS.amount(float(table().measure(np.array([design]))[0, 1])))
    if evaluation.status is Status.DUPLICATE:
        former = known[candidate.canonical].decision
        return Turn(message, design, "repeated" if former in ("in range", "repeated") else former, amount)
    if evaluation.status is Status.OK:
        return Turn(message, design, "in range", amount)
    side = "above" if " above " in evaluation.message else "below"
    return Turn(message, design, side, amount)
