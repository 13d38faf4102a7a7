"""Operators of base models: the prompt is a text that ends within a program, and the reply goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from types import MappingProxyType

from nasmith.propose.making import Planned, helpers_in
from nasmith.propose.templates import DEFAULT, Templates
from nasmith.seeding import derive, generator
from nasmith.source import cuts, end_of_lines, end_of_program, holes
from nasmith.types import Brief, Candidate, Description, Request

__all__ = ["OPERATORS", "crossover", "infill", "regrow"]

# At column 0 each begins what is no part of the program any more. A string that holds such a line is cut with it: `stop` would
# let it stand, but a server cannot read Python.
_NEXT = ("\ndef ", "\nclass ", "\nif __name__")


def crossover(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
) -> list[Planned]:
    """Ask for whole programs after the parents and their metrics (Chen, Dohan, So 2023, section 3.2)."""
    writer = _Writer(brief, parents, description, prompts)
    request = Request(
        prompt="\n".join([*map(writer.shown, range(len(parents))), writer.header + description.first_line]),
        n=brief.sampling.n,
        temperature=brief.sampling.temperature,
        seed=brief.sampling.seed,
        max_tokens=max_tokens or 240,
        stop=partial(end_of_program, description.first_line),
        stop_texts=_stop_texts(writer.header),
    )
    helpers = helpers_in(parents)
    return [Planned(request, "crossover", brief.parents, description.first_line, helpers=helpers, entry=description.entry)]


def infill(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
    *,
    samples_per_hole: int = 2,
    lines: int = 1,
    replaced: int = 1,
    examples: int = 1,
    arguments: float = 0.0,
    ends: bool = False,
) -> list[Planned]:
    """Ask for a few lines of one parent anew, given the program before them; several places are tried, each a few times.

    Args:
        brief: What the strategy wants.
        parents: One of them, drawn by the brief's seed, is rewritten.
        description: The task's.
        prompts: Templates.
        max_tokens: Limit of one reply.
        samples_per_hole: Replies at one place.
        lines: Lines that a reply may hold.
        replaced: Layers that a reply stands for; with 0 it is inserted.
        examples: Other parents that stand before the rewritten one in the prompt.
        arguments: Share of the places that lie within a line: the layer's kind stays, its arguments are written anew.
        ends: Whether the first and the last line may be rewritten too. They meet the shapes of the task's inputs and outputs,
            and hardly any other line does.
    """
    subject = _Subject.of(_Writer(brief, parents, description, prompts), examples)
    found = holes(subject.text)
    usable = range(len(found)) if ends or len(found) < 4 else range(1, len(found) - 1)
    if not usable:
        return crossover(brief, parents, description, prompts, max_tokens)
    chosen = sorted(subject.random.sample(usable, min(len(usable), max(1, brief.sampling.n // samples_per_hole))))
    text = subject.text.splitlines()
    planned = []
    for place, index in enumerate(chosen):
        hole = found[index]
        last = found[min(index + replaced, len(found)) - 1].end if replaced else hole.start
        first = "\n" + text[hole.start]
        columns = cuts(first) if subject.random.random() < arguments else []
        begun = first[: subject.random.choice(columns)] if columns else ""
        head, tail = "\n".join(text[: hole.start]) + begun, "\n" + "\n".join(text[last:])
        request = Request(
            prompt=subject.prompt + head,
            n=_share(brief.sampling.n, len(chosen), place),
            temperature=brief.sampling.temperature,
            seed=derive(brief.sampling.seed, "place", place),
            max_tokens=max_tokens or 64 * lines,
            stop=partial(end_of_lines, begun, lines=lines),
        )
        planned.append(Planned(request, "infill", subject.ids, head, tail, subject.helpers, description.entry))
    return planned


def regrow(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
    *,
    points: int = 4,
) -> list[Planned]:
    """Ask for the rest of one parent from a random line on; `points` such places are tried. Not weighted by default."""
    writer = _Writer(brief, parents, description, prompts)
    subject = _Subject.of(writer)
    found = holes(subject.text)
    if not found:
        return crossover(brief, parents, description, prompts, max_tokens)
    chosen = sorted(subject.random.sample(range(len(found)), min(len(found), points, brief.sampling.n)))
    planned = []
    for place, index in enumerate(chosen):
        head = "\n".join(subject.text.splitlines()[: found[index].start])
        request = Request(
            prompt=subject.prompt + head,
            n=_share(brief.sampling.n, len(chosen), place),
            temperature=brief.sampling.temperature,
            seed=derive(brief.sampling.seed, "place", place),
            max_tokens=max_tokens or 240,
            stop=partial(end_of_program, head),
            stop_texts=_stop_texts(writer.header),
        )
        planned.append(Planned(request, "regrow", subject.ids, head, helpers=subject.helpers, entry=description.entry))
    return planned


OPERATORS: Mapping[str, Callable[..., list[Planned]]] = MappingProxyType(
    {"crossover": crossover, "infill": infill, "regrow": regrow}
)
"""How a base model makes children of parents, by the name that briefs use."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the parts of a prompt."""

    brief: Brief
    parents: Sequence[Candidate]
    description: Description
    prompts: Templates

    @property
    def header(self) -> str:
        """What stands before the program that is asked for."""
        return _whole_lines(self.prompts.render("target", self.description, target=dict(self.brief.target)))

    def shown(self, place: int) -> str:
        """One of the parents with its metrics."""
        facts, program = dict(self.brief.facts[place]), self.parents[place].text.rstrip()
        return _whole_lines(self.prompts.render("example", self.description, metrics=facts, program=program))


@dataclass(frozen=True, slots=True)
class _Subject:
    """The parent that is rewritten, drawn by the brief's seed, and what stands before it in a prompt."""

    text: str
    ids: tuple[int, ...]
    prompt: str
    helpers: Mapping[str, str]
    random: Random

    @classmethod
    def of(cls, writer: _Writer, examples: int = 1) -> _Subject:
        """Draw it; up to `examples` of the others are shown before the target."""
        parents = writer.parents
        random = generator(writer.brief.sampling.seed, writer.brief.operator)
        order = list(range(len(parents)))
        random.shuffle(order)
        shown = order[1 : 1 + examples]
        return cls(
            text=parents[order[0]].text,
            ids=tuple(dict.fromkeys(parents[place].id for place in (order[0], *shown))),
            prompt="\n".join([*map(writer.shown, reversed(shown)), writer.header]),
            helpers=helpers_in([parents[place] for place in shown]),
            random=random,
        )


def _share(n: int, places: int, place: int) -> int:
    """How many of `n` replies fall to one of `places`; the first get what is left over."""
    return n // places + (place < n % places)


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _stop_texts(header: str) -> tuple[str, ...]:
    """Texts that come after a program: the next header, unless its first line could stand in a program, and other code."""
    first = header.partition("\n")[0]
    return (*(["\n" + first] if first.strip("\"'# \t") else []), *_NEXT)
