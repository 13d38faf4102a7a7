"""The candidates of a run as they are made: numbered, told apart, and with what the language model was shown for each."""

from __future__ import annotations

from collections.abc import Mapping

from nasmith.canonical import canonical_hash
from nasmith.proposals import Reply
from nasmith.propose import children, example
from nasmith.types import Candidate, Completion, Description, Example, Message

__all__ = ["Roster", "identity"]


class Roster:
    """All candidates so far, by id. Ids count from 1 in the order in which candidates are made, seeds first."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._candidates: dict[int, Candidate] = {}
        self._first: dict[str, int] = {}  # the first candidate of each canonical form
        self._replies: dict[int, tuple[Completion, tuple[Message, ...]]] = {}  # what a child came from, and what was asked
        self._flaws: dict[int, str] = {}  # why a child's reply holds no program

    def __getitem__(self, number: int) -> Candidate:
        return self._candidates[number]

    def __contains__(self, number: int) -> bool:
        return number in self._candidates

    def __len__(self) -> int:
        return len(self._candidates)

    def plant(self, seeds: Mapping[str, str]) -> list[Candidate]:
        """Make the seed programs the first candidates."""
        return [
            self._enter(Candidate(index + 1, text, index=index, label=label, canonical=identity(text)))
            for index, (label, text) in enumerate(seeds.items())
        ]

    def born(self, reply: Reply) -> list[Candidate]:
        """Make candidates of a reply: one of each completion, broken ones too."""
        made = []
        for offset, child in enumerate(children(reply.planned, reply.completions)):
            number = len(self) + 1
            self._replies[number] = reply.completions[offset], reply.planned.request.messages
            flaw = child.flaw or _flaw(child.text)
            if flaw:
                self._flaws[number] = flaw
            candidate = Candidate(
                id=number,
                text=child.text,
                parents=child.parents,
                operator=child.operator,
                canonical="" if flaw else canonical_hash(child.text),
                step=reply.step,
                index=reply.first + offset,
                round=reply.round,
            )
            made.append(self._enter(candidate))
        return made

    def flaw(self, candidate: Candidate) -> str:
        """Say why a candidate is no program; empty for a program."""
        return self._flaws.get(candidate.id, "")

    def completion(self, candidate: Candidate) -> Completion | None:
        """Return the reply that a child came from; None for a seed."""
        return self._replies[candidate.id][0] if candidate.id in self._replies else None

    def twin(self, candidate: Candidate) -> int | None:
        """Return the id of an earlier candidate that is the same program."""
        first = self._first.get(candidate.canonical, candidate.id)
        return first if first != candidate.id else None

    def lesson(self, number: int) -> Example:
        """Return what the language model can learn from a child: to write it, given the prompt."""
        completion, messages = self._replies[number]
        return example(completion.prompt, self[number].text, self._description, messages)

    def _enter(self, candidate: Candidate) -> Candidate:
        self._candidates[candidate.id] = candidate
        if candidate.canonical:
            self._first.setdefault(candidate.canonical, candidate.id)
        return candidate


def identity(text: str) -> str:
    """Return the hash of a program's canonical form.

    Raises:
        ValueError: The text is no program; the message says why.
    """
    if flaw := _flaw(text):
        raise ValueError(flaw)
    return canonical_hash(text)


def _flaw(text: str) -> str:
    """Say why a text is no program; empty for a program."""
    if not text.strip():
        return "the reply was empty"
    try:
        canonical_hash(text)
    except ValueError as error:
        return str(error)
    return ""
