"""Makes programs and designs of a language model's replies, and lessons of programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from nasmith.frames import Frame
from nasmith.replies import NoEditsError, apply_edits, check_length, design_in, fenced, program_in, unix
from nasmith.source import complete, definitions, names
from nasmith.space import Design, Space
from nasmith.types import Candidate, Completion, Description, Example, Message, Request

__all__ = ["Child", "Planned", "children", "example", "helpers_in"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A request, and what makes candidates of its replies.

    A reply to messages holds a program, or edits of one. Any other continues `head`. Where there is a space it holds a design.

    Attributes:
        request: What the language model is asked.
        operator: Who planned it.
        parents: Ids of the programs that it is made from, the rewritten one first.
        head: Program text before the reply.
        tail: Program text after it.
        helpers: Source of functions and classes of the parents, by name; a child that uses one and does not
            define it gets it, unless only marked parts of it may change.
        entry: The name that a program defines; empty where it need not define any.
        edited: The program that the reply's edits are made in; empty where a whole one is asked for.
        space: Of the design that is asked for; None for programs.
        known: Designs that the model was shown; a reply may speak of them.
        frame: What may not change in a program; None where all of it may.
    """

    request: Request
    operator: str
    parents: tuple[int, ...]
    head: str = ""
    tail: str = ""
    helpers: Mapping[str, str] = field(default_factory=dict)
    entry: str = "Model"
    edited: str = ""
    space: Space | None = None
    known: tuple[Design, ...] = ()
    frame: Frame | None = None

    @property
    def chat(self) -> bool:
        """Whether messages are answered."""
        return bool(self.request.messages)


@dataclass(frozen=True, slots=True)
class Child:
    """A proposed program or design; `text` is empty where the reply held none, and `flaw` says why."""

    text: str
    parents: tuple[int, ...]
    operator: str
    flaw: str = ""


def children(planned: Planned, completions: Sequence[Completion]) -> list[Child]:
    """Make one program, or one design, of each reply, in order.

    What continues a program is cut where it is complete and put in its place. In an answer the program or design is looked for.
    """
    made = []
    for completion in completions:
        text = flaw = ""
        try:
            text = _text(planned, completion)
            if planned.helpers and planned.frame is None:
                text = _with_helpers(text, planned.helpers)
        except ValueError as error:
            flaw = str(error)
        made.append(Child(text, planned.parents, planned.operator, flaw))
    return made


def example(prompt: str, text: str, description: Description, messages: Sequence[Message] = ()) -> Example:
    """Return what a language model should learn from a child: what it was asked, and the reply that makes the program.

    To messages that is the program in a fenced block; otherwise the program's text from where the prompt ends.

    Args:
        prompt: The prompt of the child's completion.
        text: The child's program.
        description: The task's.
        messages: The conversation that was answered, if there was one.

    Raises:
        ValueError: The prompt does not end with a beginning of the program.
    """
    text = unix(text)
    if messages:
        return Example(prompt, fenced(text, "python") + "\n", tuple(messages))
    begun = _begun(prompt, text, description.first_line)
    return Example(prompt, text[begun:].rstrip() + "\n")


def _begun(prompt: str, text: str, first_line: str) -> int:
    """Return how much of a program has been written where a prompt ends; ValueError where that is not known.

    A prompt ends with the beginning of the program, or with its first line, which helpers may stand above, or before all of it.
    """
    shared = _overlap(prompt, text)
    if any(map(str.isalnum, text[:shared])):  # not the quotes alone that end a header and begin a program
        return shared
    if not first_line and prompt.endswith("\n"):
        return 0
    head = prompt[prompt.rfind(first_line) :]
    begin = text.find(head)
    if not first_line or first_line not in prompt or begin < 0:
        raise ValueError("the prompt does not end with a beginning of the program")
    return begin + len(head)


def _overlap(one: str, other: str) -> int:
    """Return the length of the longest text that ends `one` and begins `other` (Knuth, Morris, Pratt 1977: in linear time)."""
    text = f"{other}\0{one[-len(other) :]}" if other else ""
    lengths = [0] * len(text)
    length = 0
    for place in range(1, len(text)):
        while length and text[place] != text[length]:
            length = lengths[length - 1]
        length += text[place] == text[length]
        lengths[place] = length
    return lengths[-1] if lengths else 0


def helpers_in(parents: Sequence[Candidate]) -> Mapping[str, str]:
    """Return the functions and classes that stand in the parents' texts, by name."""
    found: dict[str, str] = {}
    for parent in parents:
        try:
            found.update(definitions(parent.text))
        except ValueError:
            continue
    return MappingProxyType(found)


def _text(planned: Planned, completion: Completion) -> str:
    """Return the program of a reply; ValueError with the reason where there is none."""
    if completion.finish == "failed":
        raise ValueError(completion.message or "no reply")
    if planned.chat or planned.space is not None:
        return _answered(planned, completion)
    check_length(completion.text)
    reply = _cut(planned, completion.text)
    if not reply.strip():
        raise ValueError("the reply was empty")
    text = planned.head + reply + planned.tail
    if planned.frame is not None:
        return planned.frame.restored(text)
    return _tidy(text if planned.entry or planned.tail else complete(text))


def _answered(planned: Planned, completion: Completion) -> str:
    try:
        if planned.space is not None:
            reply = completion.text if planned.chat else _cut(planned, completion.text)
            return planned.space.write(design_in(reply, planned.space, planned.known))
        return _edited(planned, completion.text) if planned.edited else _whole(planned, completion.text)
    except ValueError as error:
        if completion.finish == "length":
            raise ValueError(f"the reply was cut at its limit of tokens: {error}") from error
        raise


def _edited(planned: Planned, reply: str) -> str:
    """Return the edited program. A model that writes a whole one instead has answered too.

    Where only a part may change, any text could be that part: so edits that cannot be made are not taken for one.
    """
    try:
        return apply_edits(planned.edited, reply, planned.frame)
    except ValueError as error:
        if planned.frame is not None and not isinstance(error, NoEditsError):
            raise
        try:
            return _whole(planned, reply)
        except ValueError:
            raise error from None


def _whole(planned: Planned, reply: str) -> str:
    return program_in(reply, planned.entry, planned.frame)


def _cut(planned: Planned, reply: str) -> str:
    end = planned.request.stop(reply) if planned.request.stop else None
    return reply if end is None else reply[:end]


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in unix(text).strip("\n").split("\n")).rstrip() + "\n"


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
