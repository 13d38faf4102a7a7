"""Operators of base models: the prompt is a text that ends within a program, and the reply goes on with it.

Where only marked parts of a program may change, lines are rewritten within them alone. A whole program is not asked for then,
as nothing holds a base model to what is fixed: `crossover` is an infill there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from types import MappingProxyType

from nasmith.frames import Frame, end_at_mark
from nasmith.propose.making import Planned, helpers_in
from nasmith.propose.templates import DEFAULT, Templates
from nasmith.replies import unix
from nasmith.seeding import derive, generator
from nasmith.source import Hole, cuts, end_of_body, end_of_function, end_of_lines, end_of_program, end_of_text, holes
from nasmith.types import Brief, Candidate, Description, Request

__all__ = ["OPERATORS", "crossover", "infill", "regrow"]

# At column 0 each begins what is no part of the program any more. A string that holds such a line is cut with it: `stop` would
# let it stand, but a server cannot read Python.
_NEXT = ("\ndef ", "\nclass ", "\nif __name__")
_MAX_TOKENS = 240  # of a function that builds a network of a few layers
_MOST_TOKENS = 2048


def crossover(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    prompts: Templates = DEFAULT,
    max_tokens: int | None = None,
) -> list[Planned]:
    """Ask for whole programs after the parents and their metrics (Chen, Dohan, So 2023, section 3.2).

    Where only marked parts may change it is an infill. Without a first line, a reply is a whole text behind the target.
    """
    if description.fixed:
        return infill(brief, parents, description, prompts, max_tokens)
    writer = _Writer(brief, parents, description, prompts)
    first = description.first_line
    request = Request(
        prompt="\n".join([*map(writer.shown, range(len(parents))), writer.header + first]),
        n=brief.sampling.n,
        temperature=brief.sampling.temperature,
        seed=brief.sampling.seed,
        max_tokens=max_tokens or _room(description, max((len(parent.text) for parent in parents), default=0)),
        stop=partial(end_of_program, first) if first else partial(end_of_text, _ending(writer.header)),
        stop_texts=_stop_texts(writer.header, _NEXT if first else _NEXT[-1:]),
    )
    return [Planned(request, "crossover", brief.parents, first, helpers=helpers_in(parents), entry=description.entry)]


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
    found = subject.holes()
    usable = range(len(found)) if ends or len(found) < 4 else range(1, len(found) - 1)
    if not usable:
        return crossover(brief, parents, description, prompts, max_tokens)
    chosen = sorted(subject.random.sample(usable, min(len(usable), max(1, brief.sampling.n // samples_per_hole))))
    text = subject.text.split("\n")
    planned = []
    for place, index in enumerate(chosen):
        hole = found[index]
        following = found[index : index + replaced]
        last = max([hole.start, *(each.end for each in following if each.end <= subject.limit(hole))])
        first = "\n" + text[hole.start]
        columns = cuts(first) if last > hole.start and subject.random.random() < arguments else []
        begun = first[: subject.random.choice(columns)] if columns else ""
        head, tail = "\n".join(text[: hole.start]) + begun, "\n" + "\n".join(text[last:])
        request = Request(
            prompt=subject.prompt + head,
            n=_share(brief.sampling.n, len(chosen), place),
            temperature=brief.sampling.temperature,
            seed=derive(brief.sampling.seed, "place", place),
            max_tokens=max_tokens or 64 * lines,
            stop=subject.within(partial(end_of_lines, begun, lines=lines)),
        )
        planned.append(subject.planned("infill", request, head, tail))
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
    """Ask for the rest of one parent from a random line on; `points` such places are tried. Not weighted by default.

    Where only a part may change, or where the program need not define an entry, the rest of the function is asked for alone.
    """
    writer = _Writer(brief, parents, description, prompts)
    subject = _Subject.of(writer)
    found = subject.holes()
    if not found:
        return crossover(brief, parents, description, prompts, max_tokens)
    chosen = sorted(subject.random.sample(range(len(found)), min(len(found), points, brief.sampling.n)))
    planned = []
    text = subject.text.split("\n")
    for place, index in enumerate(chosen):
        head = "\n".join(text[: found[index].start])
        last, indent = (None, 0) if description.entry and subject.frame is None else subject.rest(found[index])
        tail = "" if last is None else "\n" + "\n".join(text[last:])
        request = Request(
            prompt=subject.prompt + head,
            n=_share(brief.sampling.n, len(chosen), place),
            temperature=brief.sampling.temperature,
            seed=derive(brief.sampling.seed, "place", place),
            max_tokens=max_tokens or _room(description, sum(map(len, text[found[index].start : last]))),
            stop=partial(end_of_program, head) if last is None else subject.within(partial(end_of_body, head, indent=indent)),
            stop_texts=_stop_texts(writer.header),
        )
        planned.append(subject.planned("regrow", request, head, tail))
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
        facts, program = dict(self.brief.facts[place]), unix(self.parents[place].text).rstrip()
        return _whole_lines(self.prompts.render("example", self.description, metrics=facts, program=program))


@dataclass(frozen=True, slots=True)
class _Subject:
    """The parent that is rewritten, drawn by the brief's seed, and what stands before it in a prompt."""

    entry: str
    frame: Frame | None
    text: str
    ids: tuple[int, ...]
    prompt: str
    helpers: Mapping[str, str]
    random: Random

    @classmethod
    def of(cls, writer: _Writer, examples: int = 1) -> _Subject:
        """Draw it; up to `examples` of the others are shown before the target.

        A parent that was drawn twice is shown once: where the same program stands before it, a small model copies the line.
        """
        parents = writer.parents
        random = generator(writer.brief.sampling.seed, writer.brief.operator)
        order = list(range(len(parents)))
        random.shuffle(order)
        shown = [place for place in order[1:] if parents[place].id != parents[order[0]].id][:examples]
        return cls(
            entry=writer.description.entry,
            frame=Frame.of_parts(writer.description.fixed),
            text=unix(parents[order[0]].text),
            ids=tuple(dict.fromkeys(parents[place].id for place in (order[0], *shown))),
            prompt="\n".join([*map(writer.shown, reversed(shown)), writer.header]),
            helpers=helpers_in([parents[place] for place in shown]),
            random=random,
        )

    def holes(self) -> list[Hole]:
        """The lines that can be rewritten; where only parts may change there is always one, if need be a whole part."""
        if self.frame is None:
            return holes(self.text)
        spans = self._spans
        for everywhere in (False, True):
            found = holes(self.text, everywhere=everywhere)
            if inner := [hole for hole in found if any(start <= hole.start and hole.end <= end for start, end in spans)]:
                return inner
        return [Hole(start, end) for start, end in spans]

    def limit(self, hole: Hole) -> int:
        """The index after the last line that may be rewritten together with a hole."""
        return self._around(hole)[1]

    def rest(self, hole: Hole) -> tuple[int, int]:
        """Where the function ends that holds a hole, or the part that may change, and how its lines are indented at least."""
        (start, limit), function = self._around(hole), end_of_function(self.text, hole.start)
        if function is not None and function[0] <= limit:
            return function
        mark = self.text.split("\n")[max(0, start - 1)]
        return limit, max(function[1] if function else 0, len(mark) - len(mark.lstrip()))

    def within(self, stop: Callable[[str], int | None]) -> Callable[[str], int | None]:
        """Have a reply end at a mark too, where there are some."""
        return stop if self.frame is None else partial(_first_end, stop)

    def planned(self, operator: str, request: Request, head: str, tail: str) -> Planned:
        """Return the request with what makes children of its replies."""
        return Planned(request, operator, self.ids, head, tail, self.helpers, self.entry, frame=self.frame)

    @property
    def _spans(self) -> list[tuple[int, int]]:
        return [] if self.frame is None else self.frame.spans(self.text)

    def _around(self, hole: Hole) -> tuple[int, int]:
        """The lines of the part that may change around a hole."""
        whole = 0, self.text.count("\n") + 1
        return next((span for span in self._spans if span[0] <= hole.start <= span[1]), whole)


def _share(n: int, places: int, place: int) -> int:
    """How many of `n` replies fall to one of `places`; the first get what is left over."""
    return n // places + (place < n % places)


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _first_end(stop: Callable[[str], int | None], reply: str) -> int | None:
    """Return where a reply ends: at a mark, or before."""
    return min((end for end in (stop(reply), end_at_mark(reply)) if end is not None), default=None)


def _room(description: Description, length: int) -> int:
    """Return how many tokens suffice for what stands in the place of `length` characters, at two characters each or more.

    A function `Model` that builds a network is short, whatever else stands in its parents.
    """
    if description.first_line.startswith("def Model(") and not description.fixed:
        return _MAX_TOKENS
    return min(max(_MAX_TOKENS, length // 2), _MOST_TOKENS)


def _ending(header: str) -> str:
    """Return the first line of the next header, unless it could stand in a program."""
    first = header.partition("\n")[0]
    return first if first.strip("\"'# \t") else ""


def _stop_texts(header: str, following: Sequence[str] = _NEXT) -> tuple[str, ...]:
    """Texts that come after a program: the next header, and other code."""
    first = _ending(header)
    return (*(["\n" + first] if first else []), *following)
