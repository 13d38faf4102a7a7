"""The candidates of a run as they are made: numbered, told apart, and with what the language model was shown for each."""

from __future__ import annotations

from collections.abc import Mapping

from nasmith.canonical import canonical_hash
from nasmith.proposals import Reply
from nasmith.propose import children, example
from nasmith.types import Candidate, Description, Example

__all__ = ["Roster", "flaw", "identity"]


class Roster:
    """All candidates so far, by id. Ids count from 1 in the order in which candidates are made, seeds first."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._candidates: dict[int, Candidate] = {}
        self._first: dict[str, int] = {}  # the first candidate of each canonical form
        self._prompts: dict[int, str] = {}  # what the language model was shown, by child

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
            self._prompts[number] = reply.completions[offset].prompt
            candidate = Candidate(
                id=number,
                text=child.text,
                parents=child.parents,
                operator=child.operator,
                canonical=identity(child.text),
                step=reply.step,
                index=reply.first + offset,
                round=reply.round,
            )
            made.append(self._enter(candidate))
        return made

    def twin(self, candidate: Candidate) -> int | None:
        """Return the id of an earlier candidate that is the same program."""
        first = self._first.get(candidate.canonical, candidate.id)
        return first if first != candidate.id else None

    def lesson(self, number: int) -> Example:
        """Return what the language model can learn from a child: to write it, given the prompt."""
        return example(self._prompts[number], self[number].text, self._description)

    def _enter(self, candidate: Candidate) -> Candidate:
        self._candidates[candidate.id] = candidate
        if candidate.canonical:
            self._first.setdefault(candidate.canonical, candidate.id)
        return candidate


def identity(text: str) -> str:
    """Return the hash of a program's canonical form; empty for what is no program."""
    return "" if flaw(text) else canonical_hash(text)


def flaw(text: str) -> str:
    """Say why a text is no program; empty for a program."""
    if not text.strip():
        return "the reply was empty"
    try:
        canonical_hash(text)
    except ValueError as error:
        return str(error)
    return ""
