"""The candidates of a run as they are made: numbered, told apart, and with what the language model was shown for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nasmith.canonical import canonical_hash
from nasmith.proposals import Reply
from nasmith.propose import children, example
from nasmith.space import Space
from nasmith.types import Candidate, Completion, Description, Example, Message, Suggestion

__all__ = ["Roster", "identity"]


class Roster:
    """All candidates so far, by id. Ids count from 1 in the order in which candidates are made, seeds first.

    Args:
        description: The task's.
        space: The space whose designs the candidates are; None for programs.
    """

    def __init__(self, description: Description, space: Space | None = None) -> None:
        self._description, self._space = description, space
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
            self._enter(Candidate(index + 1, text, index=index, label=label, canonical=self._identity(text)))
            for index, (label, text) in enumerate(seeds.items())
        ]

    def born(self, reply: Reply) -> list[Candidate]:
        """Make candidates of a reply: one of each completion, broken ones too."""
        made = []
        for offset, child in enumerate(children(reply.planned, reply.completions)):
            number = len(self) + 1
            self._replies[number] = reply.completions[offset], reply.planned.request.messages
            candidate = Candidate(
                id=number,
                text=child.text,
                parents=child.parents,
                operator=child.operator,
                step=reply.step,
                index=reply.first + offset,
                round=reply.round,
            )
            made.append(self._examined(candidate, child.flaw))
        return made

    def suggested(self, step: int, suggestion: Suggestion) -> list[Candidate]:
        """Make candidates of what a strategy has made itself."""
        made = []
        for index, text in enumerate(suggestion.texts):
            number = len(self) + 1
            candidate = Candidate(
                number, text, suggestion.parents, suggestion.operator, step=step, index=index, round=suggestion.round
            )
            made.append(self._examined(candidate))
        return made

    def reply(self, candidate: Candidate) -> str:
        """Return the text of the reply that a candidate came from; empty where none did."""
        completion = self.completion(candidate)
        return "" if completion is None else completion.text

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

    def _identity(self, text: str) -> str:
        return identity(text, self._space, self._description.entry)

    def _examined(self, candidate: Candidate, flaw: str = "") -> Candidate:
        """Enter a candidate with its identity, or with what is wrong with it."""
        try:
            if flaw:
                raise ValueError(flaw)
            candidate = replace(candidate, canonical=self._identity(candidate.text))
        except ValueError as error:
            self._flaws[candidate.id] = str(error)
        return self._enter(candidate)

    def _enter(self, candidate: Candidate) -> Candidate:
        self._candidates[candidate.id] = candidate
        if candidate.canonical:
            self._first.setdefault(candidate.canonical, candidate.id)
        return candidate


def identity(text: str, space: Space | None = None, entry: str = "Model") -> str:
    """Return what equal candidates have in common: the hash of a program's canonical form, or the canonical design.

    Args:
        text: A program, or a design as it is written.
        space: The space of the design; None for a program.
        entry: The name that the program defines; empty where it need not define any.

    Raises:
        ValueError: The text is no program, or no design of the space; the message says why.
    """
    if not text.strip():
        raise ValueError("the reply was empty")
    return canonical_hash(text, entry) if space is None else space.write(space.canonical(space.read(text)))
