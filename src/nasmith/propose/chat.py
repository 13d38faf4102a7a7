"""Operators of chat models: messages ask for a program, for edits of one, or for a repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from nasmith.frames import Frame
from nasmith.propose.making import Planned, helpers_in
from nasmith.propose.templates import DEFAULT, Templates
from nasmith.replies import end_of_block, end_of_edits, unix
from nasmith.seeding import generator
from nasmith.types import Brief, Candidate, Description, Message, Request

__all__ = ["CHAT_OPERATORS", "crossover", "draft", "edit", "fix", "transcript"]

_MAX_TOKENS = 4096  # room for a model that thinks before it answers


def crossover(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
) -> list[Planned]:
    """Ask for a whole program after the parents and their metrics. A parent that was drawn twice is shown once."""
    shown = {parent.id: (parent, facts) for parent, facts in zip(parents, brief.facts, strict=True)}
    blocks = [{"metrics": dict(facts), "program": unix(parent.text).rstrip()} for parent, facts in shown.values()]
    user = prompts.render("crossover", description, parents=blocks, target=dict(brief.target))
    request = _request(brief, description, prompts, user, max_tokens)
    return [_planned(request, "crossover", tuple(shown), description, helpers_in(parents))]


def edit(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
) -> list[Planned]:
    """Ask for edits of one parent, drawn by the brief's seed; of the others only their metrics are said."""
    place = generator(brief.sampling.seed, brief.operator).randrange(len(parents))
    subject = parents[place]
    others = {parent.id: dict(facts) for parent, facts in zip(parents, brief.facts, strict=True) if parent.id != subject.id}
    user = prompts.render(
        "edit",
        description,
        metrics=dict(brief.facts[place]),
        program=unix(subject.text).rstrip(),
        others=list(others.values()),
        target=dict(brief.target),
    )
    request = _request(brief, description, prompts, user, max_tokens, stop=end_of_edits)
    return [_planned(request, "edit", (subject.id,), description, edited=subject.text)]


def fix(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
) -> list[Planned]:
    """Ask for a whole program in place of the one parent, which failed: `brief.facts[0]["error"]` says how."""
    if len(parents) != 1 or "error" not in brief.facts[0]:
        raise ValueError("a fix needs one parent, and its error among the facts")
    error, program = brief.facts[0]["error"], unix(parents[0].text).rstrip()
    user = prompts.render("fix", description, program=program, error=error, target=dict(brief.target))
    request = _request(brief, description, prompts, user, max_tokens)
    return [_planned(request, "fix", brief.parents, description, helpers_in(parents))]


def draft(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
) -> list[Planned]:
    """Ask for a whole program by the task's description alone; its children have no parents."""
    user = prompts.render("draft", description, target=dict(brief.target))
    return [_planned(_request(brief, description, prompts, user, max_tokens), "draft", (), description)]


CHAT_OPERATORS: Mapping[str, Callable[..., list[Planned]]] = MappingProxyType(
    {"crossover": crossover, "edit": edit, "fix": fix, "draft": draft}
)
"""How a chat model makes children of parents, by the name that briefs use."""


def transcript(messages: Iterable[Message]) -> str:
    """Return a conversation as one text. The stated lengths (in characters) make it unambiguous, whatever a message holds."""
    return "\n".join(f"[{each.role}: {len(each.content)} characters]\n{each.content}\n" for each in messages)


def _planned(
    request: Request,
    operator: str,
    parents: tuple[int, ...],
    description: Description,
    helpers: Mapping[str, str] = MappingProxyType({}),
    edited: str = "",
) -> Planned:
    frame = Frame.of_parts(description.fixed)
    return Planned(request, operator, parents, helpers=helpers, entry=description.entry, edited=edited, frame=frame)


def _request(
    brief: Brief,
    description: Description,
    prompts: Templates,
    user: str,
    max_tokens: int | None,
    stop: Callable[[str], int | None] | None = None,
) -> Request:
    """Put the message to the system first: it is the same in all requests of a run, so that providers can cache it."""
    messages = Message("system", prompts.render("system", description).rstrip()), Message("user", user.rstrip())
    return Request(
        prompt=transcript(messages),
        n=brief.sampling.n,
        temperature=brief.sampling.temperature,
        seed=brief.sampling.seed,
        max_tokens=max_tokens or _MAX_TOKENS,
        stop=stop or partial(end_of_block, "" if description.fixed else description.entry),
        messages=messages,
    )
