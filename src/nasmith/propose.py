"""Turns a strategy's brief into requests to a language model, and its replies into programs.

Everything here is a function of the brief, the parents' texts and the replies, so that a resumed run proposes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from types import MappingProxyType

from nasmith.errors import UnknownNameError
from nasmith.seeding import derive, generator
from nasmith.source import cuts, definitions, end_of_lines, end_of_program, holes, names
from nasmith.types import Brief, Candidate, Completion, Description, Example, Request

__all__ = ["OPERATORS", "Child", "Planned", "children", "crossover", "example", "infill", "regrow", "requests"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A request, and what makes programs of its replies.

    Attributes:
        request: What the language model is asked.
        operator: Who planned it.
        parents: Ids of the programs that it is made from, the rewritten one first.
        head: Program text before the reply.
        tail: Program text after it.
        helpers: Source of functions and classes of the parents, by name; a child that uses one and does not
            define it gets it.
    """

    request: Request
    operator: str
    parents: tuple[int, ...]
    head: str
    tail: str = ""
    helpers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Child:
    """A proposed program; `text` is empty where the reply held none."""

    text: str
    parents: tuple[int, ...]
    operator: str


def requests(
    brief: Brief, parents: Sequence[Candidate], description: Description, max_tokens: int | None = None
) -> list[Planned]:
    """Plan the requests that a brief needs; their counts of replies add up to `brief.sampling.n`.

    Args:
        brief: What the strategy wants.
        parents: The candidates that `brief.parents` names, in that order.
        description: The task's.
        max_tokens: Limit of one reply; None for the operator's own.

    Raises:
        UnknownNameError: There is no such operator.
        ValueError: `parents` are not those of the brief.
    """
    if brief.operator not in OPERATORS:
        raise UnknownNameError("operator", brief.operator, OPERATORS)
    if tuple(parent.id for parent in parents) != brief.parents:
        raise ValueError(f"the brief names the parents {brief.parents}, not {tuple(parent.id for parent in parents)}")
    return OPERATORS[brief.operator](brief, parents, description, max_tokens)


def children(planned: Planned, completions: Sequence[Completion]) -> list[Child]:
    """Make one program of each reply, in order: cut it where it is complete and put it in its place."""
    made = []
    for completion in completions:
        reply = _cut(planned, completion.text)
        text = _with_helpers(_tidy(planned.head + reply + planned.tail), planned.helpers) if reply.strip() else ""
        made.append(Child(text, planned.parents, planned.operator))
    return made


def example(prompt: str, text: str, description: Description) -> Example:
    """Return what a language model should learn from a child: its prompt, and the program's text from where the prompt ends.

    Args:
        prompt: The prompt of the child's completion.
        text: The child's program.
        description: The task's.

    Raises:
        ValueError: The prompt does not end with a beginning of the program.
    """
    head = prompt[prompt.rfind(description.first_line) :]
    begin = text.find(head)
    if description.first_line not in prompt or begin < 0:
        raise ValueError("the prompt does not end with a beginning of the program")
    return Example(prompt, text[begin + len(head) :].rstrip() + "\n")


def crossover(
    brief: Brief, parents: Sequence[Candidate], description: Description, max_tokens: int | None = None
) -> list[Planned]:
    """Ask for whole programs after the parents and their metrics (Chen, Dohan, So 2023, section 3.2)."""
    shown = [_shown(facts, parent.text) for facts, parent in zip(brief.facts, parents, strict=True)]
    request = Request(
        prompt="\n".join([*shown, _header(brief.target) + description.first_line]),
        n=brief.sampling.n,
        temperature=brief.sampling.temperature,
        seed=brief.sampling.seed,
        max_tokens=max_tokens or 240,
        stop=partial(end_of_program, description.first_line),
    )
    helpers = _definitions(parents)
    return [Planned(request, "crossover", brief.parents, description.first_line, helpers=helpers)]


def infill(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
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
        max_tokens: Limit of one reply.
        samples_per_hole: Replies at one place.
        lines: Lines that a reply may hold.
        replaced: Layers that a reply stands for; with 0 it is inserted.
        examples: Other parents that stand before the rewritten one in the prompt.
        arguments: Share of the places that lie within a line: the layer's kind stays, its arguments are written anew.
        ends: Whether the first and the last line may be rewritten too. They meet the shapes of the task's inputs and outputs,
            and hardly any other line does.
    """
    subject = _Subject.of(brief, parents, examples)
    found = holes(subject.text)
    usable = range(len(found)) if ends or len(found) < 4 else range(1, len(found) - 1)
    if not usable:
        return crossover(brief, parents, description, max_tokens)
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
        planned.append(Planned(request, "infill", subject.ids, head, tail, subject.helpers))
    return planned


def regrow(
    brief: Brief, parents: Sequence[Candidate], description: Description, max_tokens: int | None = None, *, points: int = 4
) -> list[Planned]:
    """Ask for the rest of one parent from a random line on; `points` such places are tried. Not weighted by default."""
    subject = _Subject.of(brief, parents)
    found = holes(subject.text)
    if not found:
        return crossover(brief, parents, description, max_tokens)
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
        )
        planned.append(Planned(request, "regrow", subject.ids, head, helpers=subject.helpers))
    return planned


_Operator = Callable[[Brief, Sequence[Candidate], Description, int | None], list[Planned]]
OPERATORS: Mapping[str, _Operator] = MappingProxyType({"crossover": crossover, "infill": infill, "regrow": regrow})
"""How children can be made from parents, by the name that briefs use."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """The parent that is rewritten, drawn by the brief's seed, and what stands before it in a prompt."""

    text: str
    ids: tuple[int, ...]
    prompt: str
    helpers: Mapping[str, str]
    random: Random

    @classmethod
    def of(cls, brief: Brief, parents: Sequence[Candidate], examples: int = 1) -> _Subject:
        """Draw it; up to `examples` of the others are shown before the target."""
        random = generator(brief.sampling.seed, brief.operator)
        order = list(range(len(parents)))
        random.shuffle(order)
        shown = order[1 : 1 + examples]
        blocks = [_shown(brief.facts[place], parents[place].text) for place in reversed(shown)]
        return cls(
            text=parents[order[0]].text,
            ids=tuple(dict.fromkeys(parents[place].id for place in (order[0], *shown))),
            prompt="\n".join([*blocks, _header(brief.target)]),
            helpers=_definitions([parents[place] for place in shown]),
            random=random,
        )


def _share(n: int, places: int, place: int) -> int:
    """How many of `n` replies fall to one of `places`; the first get what is left over."""
    return n // places + (place < n % places)


def _header(metrics: Mapping[str, str]) -> str:
    return f'"""Metrics:\n{dict(metrics)!r}\n"""\n'


def _shown(facts: Mapping[str, str], text: str) -> str:
    return f"{_header(facts)}{text.rstrip()}\n"


def _cut(planned: Planned, reply: str) -> str:
    end = planned.request.stop(reply) if planned.request.stop else None
    return reply if end is None else reply[:end]


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).rstrip() + "\n"


def _definitions(parents: Sequence[Candidate]) -> Mapping[str, str]:
    """The functions and classes that stand in the parents' texts, by name."""
    found: dict[str, str] = {}
    for parent in parents:
        try:
            found.update(definitions(parent.text))
        except ValueError:
            continue
    return MappingProxyType(found)


def _with_helpers(text: str, helpers: Mapping[str, str]) -> str:
    """Put those helpers above a program that it uses, directly or through one another, and does not define."""
    needed: dict[str, str] = {}
    try:
        wanted = names(text) - set(definitions(text))
        while new := [name for name in helpers if name in wanted and name not in needed]:
            needed.update((name, helpers[name]) for name in new)
            wanted = set().union(*(names(helpers[name]) for name in new))
    except ValueError:
        return text  # it does not parse; the screen says so
    return "\n\n".join([*(code for name, code in helpers.items() if name in needed), text]) if needed else text
