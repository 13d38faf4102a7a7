"""Recorded chats about the ImageNet mobile space: what was answered, what was decided, and where nasmith decides otherwise.

A record is a JSON list of messages, {"role", "content"}, as GENIUS kept them: an iteration begins with a system message and the
problem; answers are followed by what was wrong with them, until one is accepted, which the next problem lists as an experiment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nasmith.errors import UsageError
from nasmith.protocols import Data
from nasmith.replies import designs_in
from nasmith.space import Design, Space
from nasmith.tasks.imagenet.mobile_space import mobile
from nasmith.tasks.imagenet.ranges import FLOPS, Range
from nasmith.types import Description, Objective, Outcome, Purpose

__all__ = ["Answer", "ChatTask", "Played", "Record", "Turn", "compared", "read_record"]

_RANGE = re.compile(r"\[\s*(\d{2,4})\s*,\s*(\d{2,4})\s*\]")
_AMOUNT = re.compile(r"(?:result\w*|total|with|has|have)\b[^.\n\d]{0,40}?(\d+(?:\.\d+)?)\s*M?\s*FLOP", re.IGNORECASE)
_ACCURACY = re.compile(r"accuracy\s+of\s+(\d+(?:\.\d+)?)\s*%", re.IGNORECASE)
_EXPERIMENT = re.compile(r"^\W*Experiment\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_ABOVE = re.compile(r"higher|above|exceed|over the upper|more than", re.IGNORECASE)
_BELOW = re.compile(r"lower|below|under the|less than", re.IGNORECASE)
_REPEATED = re.compile(r"already|repeat|been\s+(?:tried|tested)", re.IGNORECASE)
_ACCEPTED = re.compile(r"satisf|meets? the", re.IGNORECASE)
_FAILED = re.compile(r"fail|not (?:satisf|meet)", re.IGNORECASE)
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and what the record decided about it.

    Attributes:
        message: Its place in the record, from 0.
        text: What the language model said.
        decision: "in range", "above", "below" or "repeated"; empty where the record ends.
        amount: Millions of FLOPs that the record told; None where it told none.
        accuracy: In percent, of a design in range; None where none is known.
        listed: The design that later problems list for it; None where none does.
    """

    message: int
    text: str
    decision: str = ""
    amount: int | None = None
    accuracy: float | None = None
    listed: Design | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A recorded chat.

    Attributes:
        answers: In their order.
        flops: The range that was asked for.
    """

    answers: tuple[Answer, ...]
    flops: Range


@dataclass(frozen=True, slots=True)
class Turn:
    """What nasmith's loop made of an answer.

    Attributes:
        message: The answer's place in the record.
        design: What was read from it; None where it holds no design.
        decision: "in range", "above", "below", "repeated" or "unreadable".
        amount: Millions of FLOPs; None where there is no design.
        why: Where it is unreadable, the reason.
    """

    message: int
    design: Design | None
    decision: str
    amount: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """A record beside what nasmith's loop made of it.

    Attributes:
        answers: The record's.
        turns: nasmith's, one for each answer.
        differences: Where both disagree, in words.
        notes: What else is odd in the record, in words.
    """

    answers: tuple[Answer, ...]
    turns: tuple[Turn, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return a table for people, at most 80 characters wide but for the sentences below it."""
        lines = [f"{'message':>7}  {'M FLOPs':>7}  {'nasmith':<10}  {'record':<10}  {'told':>5}  accuracy"]
        for answer, turn in zip(self.answers, self.turns, strict=True):
            amount, told = ("" if each is None else str(each) for each in (turn.amount, answer.amount))
            accuracy = "" if answer.accuracy is None else f"{answer.accuracy:.2f}%"
            row = (
                f"{answer.message:>7}  {amount:>7}  {turn.decision:<10}  {answer.decision or 'ends':<10}  {told:>5}  {accuracy}"
            )
            lines.append(row.rstrip())
        lines += ["", *(f"difference: {each}" for each in self.differences), *(f"note: {each}" for each in self.notes)]
        count = len(self.differences)
        return [*lines, f"{len(self.turns)} answers, {count or 'no'} difference{'' if count == 1 else 's'}"]

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def read_record(path: Path) -> Record:
    """Read a recorded chat.

    Raises:
        UsageError: The file cannot be read, or is no such record.
    """
    expected = 'a record is a JSON list of messages, {"role": "system" | "user" | "assistant", "content": "…"}'
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}): {expected}.") from error
    if isinstance(values, dict):
        values = values.get("messages")
    if not isinstance(values, list) or not all(
        isinstance(each, dict) and {"role", "content"} <= each.keys() for each in values
    ):
        raise UsageError(f"{path} holds something else: {expected}.")
    messages = [(str(each["role"]), _text(each["content"])) for each in values]
    asked = [text for role, text in messages if role == "user"]
    ranges = next((found for text in asked if (found := _RANGE.findall(text))), None)
    if ranges is None:
        raise UsageError(f'{path} names no range of FLOPs, such as "remains in [270, 330]", in what was asked.')
    answers = tuple(_answer(messages, place) for place, (role, _) in enumerate(messages) if role == "assistant")
    if not answers:
        raise UsageError(f"{path} holds no answer: no message has the role assistant.")
    least, most = ranges[-1]
    return Record(_with_listed(answers, asked), Range.parse(FLOPS, f"{least}..{most}"))


def _text(content: Any) -> str:
    """Return the text of a message; newer records hold it in parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content)


def _answer(messages: Sequence[tuple[str, str]], place: int) -> Answer:
    """Return an answer with what the message behind it says."""
    answer = Answer(place, messages[place][1])
    behind = messages[place + 1 :]
    if not behind:
        return answer
    role, said = behind[0]
    if role == "user" and not _EXPERIMENT.search(said) and len(_RANGE.findall(said)) == 0:
        return replace(answer, **_told(said))
    problem = next((text for kind, text in behind[:2] if kind == "user"), "")  # the next iteration: it was accepted
    last = _EXPERIMENT.split(problem)[-1] if _EXPERIMENT.search(problem) else ""
    return replace(answer, decision="in range", amount=_amount(last), accuracy=_accuracy(last))


def _told(said: str) -> dict[str, Any]:
    """Return what a message within an iteration decided."""
    amount, accuracy = _amount(said), _accuracy(said)
    if accuracy is not None or (_ACCEPTED.search(said) and not _FAILED.search(said)):
        return {"decision": "in range", "amount": amount, "accuracy": accuracy}
    if amount is None:
        return {"decision": "repeated" if _REPEATED.search(said) else ""}
    return {"decision": "above" if _ABOVE.search(said) else "below" if _BELOW.search(said) else "", "amount": amount}


def _amount(text: str) -> int | None:
    found = _AMOUNT.findall(text)
    return round(float(found[0])) if found else None


def _accuracy(text: str) -> float | None:
    found = _ACCURACY.findall(text)
    return float(found[0]) if found else None


def _with_listed(answers: Sequence[Answer], asked: Sequence[str]) -> tuple[Answer, ...]:
    """Add the designs that the longest list of experiments shows, to the answers in range in their order."""
    longest = max(asked, key=lambda text: len(_EXPERIMENT.findall(text)))
    blocks = _EXPERIMENT.split(longest)[2::2]
    listed = [next(iter(designs_in(block, mobile())), None) for block in blocks]
    found, number = [], 0
    for answer in answers:
        accepted = answer.decision == "in range"
        found.append(replace(answer, listed=listed[number]) if accepted and number < len(listed) else answer)
        number += accepted
    return tuple(found)


def compared(record: Record, turns: Sequence[Turn]) -> Played:
    """Put a record beside what nasmith made of it, and say where they disagree and why."""
    differences: list[str] = []
    notes: list[str] = []
    networks: dict[Design, int] = {}
    experiment = 0
    for answer, turn in zip(record.answers, turns, strict=True):
        experiment += answer.decision == "in range"
        if answer.decision and turn.decision != answer.decision:
            differences.append(f"message {answer.message}: the record decided {answer.decision!r}, nasmith {_why(turn)}.")
        elif answer.amount is not None and turn.amount is not None and answer.amount != turn.amount:
            differences.append(
                f"message {answer.message}: the record told {answer.amount} M FLOPs; the table's sum for its design, with 1.62 "
                f"for what the table leaves out, is {turn.amount}. The decision is the same, {turn.decision!r}: the number "
                "belongs to another design."
            )
        if answer.listed is not None and turn.design is not None and answer.listed != turn.design:
            notes.append(
                f"message {answer.message}: the record lists another design than the answer's as experiment {experiment}; the "
                "number and the accuracy beside it belong to the answer."
            )
        if turn.design is not None and turn.decision == "in range":
            form = mobile().canonical(turn.design)
            if form in networks:
                notes.append(f"message {answer.message}: its design is the same network as that of message {networks[form]}.")
            networks.setdefault(form, answer.message)
    return Played(record.answers, tuple(turns), tuple(differences), tuple(notes))


def _why(turn: Turn) -> str:
    if turn.decision == "unreadable":
        return f"found no design: {turn.why}"
    return f"{turn.decision!r}" + ("" if turn.amount is None else f" ({turn.amount} M FLOPs)")


class ChatTask:
    """Judges designs as a record's task did: by their FLOPs, and by their texts, two of which may be one network.

    Nothing is trained. The accuracy is the record's; where it has none it is 0.

    Args:
        record: The record.
    """

    name = "recorded-chat"
    objectives: Sequence[Objective] = (Objective("val_accuracy", "maximize", "%"), Objective("flops", "minimize", log=True))

    def __init__(self, record: Record) -> None:
        self.record = record
        limits = (("flops", *record.flops.limits),)
        self.space: Space = replace(mobile(), form=None, stated=("flops",), limits=limits)
        self._accuracies: dict[Design, float] = {}
        for answer in record.answers:
            for design in designs_in(answer.text, self.space)[-1:]:
                self._accuracies.setdefault(design, answer.accuracy or 0.0)

    def describe(self) -> Description:
        """What prompts need to know; nobody reads them here."""
        return Description("A recorded chat", "a design")

    def seeds(self) -> Mapping[str, str]:
        """None are needed."""
        return {}

    def workload(self) -> _ChatWorkload:
        """What judges designs."""
        return _ChatWorkload(self.space, self.record.flops)

    def data(self) -> Data:
        """Nothing is trained."""
        return {"train": {}, "val": {}, "test": {}}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Look the record's accuracy up."""
        design = tuple(int(index) for index in outcome.arrays["design"])
        return {"val_accuracy": self._accuracies.get(design, 0.0), "flops": outcome.facts["flops"]}

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """The accuracy."""
        return metrics["val_accuracy"]

    def best_state(self, outcome: Outcome) -> None:
        """Nothing was trained."""


@dataclass(frozen=True)
class _ChatWorkload:
    """Measures designs."""

    space: Space
    flops: Range

    def warm(self) -> None:
        """Need nothing."""

    def screen(self, text: str) -> Mapping[str, float]:
        """Return the FLOPs of a design; ValueError where they miss the range."""
        import numpy as np

        assert self.space.measure is not None
        flops = float(self.space.measure(np.array([self.space.read(text)]))[0, 1])
        if flaw := self.flops.broken(flops):
            raise ValueError(flaw)
        return {"flops": flops}

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Return the design."""
        import numpy as np

        return {"design": np.array(self.space.read(text))}, {}

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Return the design again."""
        return self.fit(text, 0, data)
