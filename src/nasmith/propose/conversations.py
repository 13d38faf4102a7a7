"""Operators for spaces: they ask for a design in one of three conversations, or have a base model continue a list of designs.

Source of the conversations: Zheng et al., "Can GPT-4 Perform Neural Architecture Search?", 2023, arXiv:2304.10970. All words
are nasmith's own, in templates (`prompts/design_*.jinja`).

A brief's parents are what is shown, in order. What their facts hold says how: "accuracy" of a design that was measured, "error"
of an answer of this iteration that cannot be used; an answer without facts lends its principles alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from nasmith.propose.chat import transcript
from nasmith.propose.design_lines import end_of_design, grammar, line
from nasmith.propose.making import Planned
from nasmith.propose.principles import principles_in
from nasmith.propose.templates import DEFAULT, Templates
from nasmith.replies import thinking
from nasmith.space import Choice, Design, Space
from nasmith.types import Brief, Candidate, Description, Message, Request

__all__ = ["DESIGN_OPERATORS"]

_MAX_TOKENS = 4096  # room for a model that thinks before it answers
# Of a base model. Colder, it goes on as its list began: the best of ten designs of Channel-Bench-Macro (ResNet) by the embedded
# 135M model had 92.9% at 0, and 93.3 to 93.7% at 1 (three seeds).
_LEAST_TEMPERATURE = 1.0
_UNKNOWN_TARGET = "100.00"  # for a first design, before any accuracy is known


def _ask(
    form: str,
    brief: Brief,
    parents: Sequence[Candidate],
    replies: Sequence[str],
    description: Description,
    space: Space,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
    *,
    chat: bool = True,
) -> list[Planned]:
    """Ask for a design in one of the three conversations, or have a base model go on with a list."""
    talk = _Talk(form, brief, parents, replies, description, space, prompts)
    return [talk.planned(talk.messages(), max_tokens) if chat else talk.continued(max_tokens)]


DESIGN_OPERATORS: Mapping[str, Callable[..., list[Planned]]] = MappingProxyType(
    {form: partial(_ask, form) for form in ("rebuilt", "running", "restarted")}
)
"""How a language model is asked for a design, by the name that briefs use. A base model is asked in one way by all.

- rebuilt: anew for each design; one message holds the problem and all results, and wants nothing but the list.
- running: one conversation goes on; the problem, then each answer as it was given, and what its design reached.
- restarted: each iteration begins again, with the problem, the principles of the first answer and all results.
"""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A parent with what is said of it, and the reply that it came from."""

    candidate: Candidate
    facts: Mapping[str, str]
    reply: str


@dataclass(frozen=True, slots=True)
class _Talk:
    """Writes the messages, or the prompt, that a brief needs."""

    form: str
    brief: Brief
    parents: Sequence[Candidate]
    replies: Sequence[str]
    description: Description
    space: Space
    prompts: Templates

    def messages(self) -> tuple[Message, ...]:
        """Return the conversation; one that is running tells measured designs as answers with feedback instead of results."""
        shown, in_turns = list(self._shown()), self.form == "running"
        measured = [each for each in shown if "accuracy" in each.facts]
        turns = [each for each in shown if "error" in each.facts or (in_turns and "accuracy" in each.facts)]
        problem = self._render("design_problem", principles=self._principles(shown), experiments=[] if in_turns else measured)
        messages = [
            Message("system", self.prompts.render("design_system", self.description).rstrip()),
            Message("user", problem),
        ]
        for each in turns:
            if said := self._said(each):
                messages += [Message("assistant", said), Message("user", self._feedback(each.facts))]
        return tuple(messages)

    def planned(self, messages: tuple[Message, ...], max_tokens: int | None) -> Planned:
        """Return the request of a conversation."""
        request = Request(
            prompt=transcript(messages),
            n=self.brief.sampling.n,
            temperature=self.brief.sampling.temperature,
            seed=self.brief.sampling.seed,
            max_tokens=max_tokens or _MAX_TOKENS,
            messages=messages,
        )
        return Planned(request, self.form, self.brief.parents, space=self.space, known=self._known())

    def continued(self, max_tokens: int | None) -> Planned:
        """Return the request to a base model: a list of designs by accuracy that ends where a better one must follow."""
        measured = [each for each in self._shown() if "accuracy" in each.facts]
        measured.sort(key=lambda each: float(each.facts["accuracy"]))
        target = self.brief.target.get("accuracy", _UNKNOWN_TARGET)
        request = Request(
            prompt=self._render("design_line", experiments=measured, target=target),
            n=self.brief.sampling.n,
            temperature=max(_LEAST_TEMPERATURE, self.brief.sampling.temperature),
            seed=self.brief.sampling.seed,
            max_tokens=max_tokens or self._longest(),
            stop=partial(end_of_design, self.space),
            options=grammar(self.space, self._known()),
        )
        return Planned(request, self.form, self.brief.parents, space=self.space, known=self._known())

    def _shown(self) -> Iterator[_Shown]:
        replies = [*self.replies, *[""] * (len(self.parents) - len(self.replies))]
        return map(_Shown, self.parents, self.brief.facts, replies)

    def _render(self, name: str, experiments: Sequence[_Shown], **values: object) -> str:
        write = self.space.show if name == "design_problem" else partial(line, self.space)
        designs = [
            {
                "design": write(self.space.read(each.candidate.text)),
                "accuracy": each.facts["accuracy"],
                "stated": ", ".join(value for name, value in each.facts.items() if name != "accuracy"),
            }
            for each in experiments
        ]
        about = {**_about(self.space), "conversation": self.form} if name == "design_problem" else _about(self.space)
        return self.prompts.render(name, self.description, experiments=designs, **about, **values).rstrip()

    def _feedback(self, facts: Mapping[str, str]) -> str:
        accuracy, error = facts.get("accuracy", ""), facts.get("error", "").rstrip(". ")
        values = {"accuracy": accuracy, "error": error, "conversation": self.form}
        return self.prompts.render("design_feedback", self.description, **values).rstrip()

    def _said(self, shown: _Shown) -> str:
        """Return an answer without what was thought before; the design alone where no answer is known."""
        if shown.reply.strip():
            return shown.reply[thinking(shown.reply) or 0 :].strip()
        return self.space.show(self.space.read(shown.candidate.text)) if shown.candidate.text else ""

    def _principles(self, shown: Sequence[_Shown]) -> list[str]:
        """Return the principles of the first answer, once its iteration is over."""
        if self.form != "restarted":
            return []
        first = next((each.reply for each in shown if "error" not in each.facts and each.reply.strip()), "")
        return principles_in(first, self.space)

    def _longest(self) -> int:
        """Return how many tokens suffice for a design: its characters, with a blank and a comma for each choice."""
        return sum(2 + max(len(_word(self.space, choice)) for choice in each.choices) for each in self.space.positions)

    def _known(self) -> tuple[Design, ...]:
        return tuple(self.space.read(parent.text) for parent in self.parents if parent.text)


def _about(space: Space) -> dict[str, Any]:
    """Return what a prompt says of a space. Positions with the same choices are told together."""
    members: dict[tuple[Choice, ...], list[int]] = {}
    for number, position in enumerate(space.positions, start=1):
        members.setdefault(position.choices, []).append(number)
    groups = [
        {"positions": _numbers(numbers), "choices": [_choice(space, choice) for choice in choices]}
        for choices, numbers in members.items()
    ]
    return {
        "count": len(space.positions),
        "positions": [position.name for position in space.positions],
        "groups": groups,
        "words": "numbers" if all(_word(space, c).isdigit() for choices in members for c in choices) else "names",
    }


def _numbers(numbers: Sequence[int]) -> str:
    """Say which positions: "position 2", "positions 1, 2 and 5"."""
    if len(numbers) == 1:
        return f"position {numbers[0]}"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"positions {numbers[0]} to {numbers[-1]}"
    return f"positions {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _choice(space: Space, choice: Choice) -> dict[str, str]:
    """Return what stands for a choice, and what a prompt says about it."""
    name = choice.name if space.shown == "code" else ""
    return {"word": _word(space, choice), "about": ", ".join(filter(None, (name, choice.meaning)))}


def _word(space: Space, choice: Choice) -> str:
    word: str = getattr(choice, space.shown)
    return word
