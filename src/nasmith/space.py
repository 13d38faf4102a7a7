"""Fixed spaces of designs: positions, the choices at each, and how a design is written, read and varied.

A design is a tuple with the index of the choice at each position. Pure functions of designs and text; nothing is measured here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from random import Random
from typing import TYPE_CHECKING, Literal

from nasmith.design_limits import Limit, Limits

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Choice", "Design", "Disguise", "Position", "Space"]

Design = tuple[int, ...]
"""The index of the choice at each position, from 0."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What may stand at a position.

    Attributes:
        code: Short: "3".
        name: What people call it: "nor_conv_3x3", or a number of channels, "128".
        meaning: What it does, for a prompt; may be empty.
    """

    code: str
    name: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a design where something is to be chosen."""

    name: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Space:
    """All designs with one choice at each position.

    Attributes:
        name: Short, for people.
        positions: In the order of a design.
        template: How a design is written, with "{}" for each position; empty for a list, "[1, 2, 0]".
        written: What stands for a choice where a design is written.
        shown: What stands for a choice in the list that a prompt shows.
        form: Returns for each of several designs, (n, positions) int, the one that stands for all equal ones; None where
            designs that differ are different.
        measures: Names of what `measure` returns for a design.
        measure: Returns what can be known of designs without training them, (n, len(measures)) float64, of designs (n,
            positions) int. None where nothing is known. By the names "params" and "flops" a design can be bounded;
            "activations" is the number of outputs of ReLU; "shortcut" is 1 where a path without weights joins the input and the
            output of the part that is searched, otherwise 0, and "dead" is 1 where nothing joins them.
        admits: Returns for each of several designs, (n, positions) int, whether it keeps the task's bounds, (n,) bool; None
            where there are none.
        conversation: How designs of this space are talked about: "rebuilt", "running" or "restarted" (`strategies/genius.py`).
        stated: Names of the metrics that a conversation states beside the accuracy.
        limits: What designs must keep: the name of a measurement, the least and the most (infinite for none). `admits` follows
            from them where it is not given.
    """

    name: str
    positions: tuple[Position, ...]
    template: str = ""
    written: Literal["code", "name"] = "code"
    shown: Literal["code", "name"] = "code"
    form: Callable[[np.ndarray], np.ndarray] | None = None
    measures: tuple[str, ...] = ()
    measure: Callable[[np.ndarray], np.ndarray] | None = field(default=None, compare=False)
    admits: Callable[[np.ndarray], np.ndarray] | None = field(default=None, compare=False)
    conversation: str = "rebuilt"
    stated: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        derived = isinstance(getattr(self.admits, "__self__", None), Limits)  # from other limits, by `replace`
        if self.limited is not None and (self.admits is None or derived):
            object.__setattr__(self, "admits", self.limited.kept)
        for position in self.positions:
            if len({choice.code for choice in position.choices}) != len(position.choices) or not position.choices:
                raise ValueError(f"{self.name}: position {position.name!r} needs choices, each with a code of its own")

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many choices each position has."""
        return tuple(len(position.choices) for position in self.positions)

    @property
    def size(self) -> int:
        """How many designs can be written; equal ones count each."""
        return prod(self.sizes)

    def write(self, design: Design) -> str:
        """Return the design as text that `read` takes."""
        return self._notation.template.format(*(getattr(choice, self.written) for choice in self.choices(design)))

    def show(self, design: Design) -> str:
        """Return the design as the list that prompts show."""
        return "[" + ", ".join(getattr(choice, self.shown) for choice in self.choices(design)) + "]"

    def read(self, text: str) -> Design:
        """Return the design that `write` or `show` wrote.

        Raises:
            ValueError: It is none; the message says why.
        """
        if found := self._notation.pattern.fullmatch(text.strip()):
            return self.chosen(found.groups())
        if text.strip().startswith("["):
            return self.chosen(re.findall(r"[^\s,;|\[\]]+", text))
        example = self.write((0,) * len(self.positions))
        raise ValueError(f"{text.strip()[:80]!r} is no design of {self.name}; one looks like {example}")

    def chosen(self, words: Sequence[str]) -> Design:
        """Return the design of one word for each position: a code, or a name in any case.

        Raises:
            ValueError: Too many, too few, or a choice that does not exist.
        """
        if len(words) != len(self.positions):
            raise ValueError(f"a design has {len(self.positions)} choices, one for each position; {len(words)} came")
        return tuple(self._notation.index(number, word) for number, word in enumerate(words))

    def choices(self, design: Design) -> tuple[Choice, ...]:
        """Return what the design chooses.

        Raises:
            ValueError: It is not of this space.
        """
        self.check(design)
        return tuple(position.choices[index] for position, index in zip(self.positions, design, strict=True))

    def check(self, design: Design) -> None:
        """Raise ValueError where a design is not of this space."""
        if len(design) != len(self.sizes) or not all(0 <= index < size for index, size in zip(design, self.sizes, strict=True)):
            raise ValueError(
                f"{design} is no design of {self.name}: it has {len(self.sizes)} positions of {self.sizes} choices"
            )

    def canonical(self, design: Design) -> Design:
        """Return the one design that stands for all that are equal to this one."""
        if self.form is None:
            return design
        import numpy as np

        formed: Design = tuple(self.form(np.array([design]))[0].tolist())
        return formed

    def neighbours(self, design: Design) -> list[Design]:
        """Return the designs that differ at one position, in a fixed order."""
        return [
            (*design[:place], index, *design[place + 1 :])
            for place, size in enumerate(self.sizes)
            for index in range(size)
            if index != design[place]
        ]

    def sample(self, draw: Random) -> Design:
        """Return a design drawn uniformly from all that can be written; with limits, from those that keep them."""
        design = tuple(draw.randrange(size) for size in self.sizes)
        if self.limited is None:
            return design
        import numpy as np

        found = self.limited.drawn(np.array([design]), np.random.default_rng(draw.getrandbits(63)))
        return tuple(found[0].tolist()) if len(found) else design

    def designs(self) -> Iterator[Design]:
        """Every design that can be written, the last position changing fastest."""
        return product(*(range(size) for size in self.sizes))

    @cached_property
    def limited(self) -> Limits | None:
        """The limits, with ways to keep them; None where there are none."""
        if not self.limits:
            return None
        if self.measure is None:
            raise ValueError(f"{self.name}: limits need a function `measure`")
        columns = tuple(self.measures.index(name) for name, _, _ in self.limits)
        return Limits(self.sizes, columns, self.measure, self.limits)

    @cached_property
    def _notation(self) -> _Notation:
        return _Notation(self)


class _Notation:
    """How the designs of a space are written.

    Attributes:
        template: With "{}" for each position.
        pattern: Matches what the template writes, a group for each position.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.template = space.template or "[" + ", ".join(["{}"] * len(space.positions)) + "]"
        widths = {len(choice.code) for position in space.positions for choice in position.choices}
        word = "([^\\s|~,+]+?)" if space.written == "name" else f"([^\\s,]{{{min(widths)},{max(widths)}}})"
        self.pattern = re.compile(word.join(re.escape(part) for part in self.template.split("{}")))
        # For each position, the index of each choice by its code and by its name.
        self._words = [
            {choice.name.lower(): index for index, choice in enumerate(position.choices)}
            | {choice.code.lower(): index for index, choice in enumerate(position.choices)}
            for position in space.positions
        ]

    def index(self, number: int, word: str) -> int:
        """Return the index of a choice; ValueError where it does not exist."""
        words = self._words[number]
        if word.lower() in words:
            return words[word.lower()]
        position = self._space.positions[number]
        valid = ", ".join(getattr(choice, self._space.shown) for choice in position.choices)
        raise ValueError(f"{word!r} is no choice at position {number + 1} ({position.name}). Valid: {valid}")


class Disguise:
    """The same space under other names: positions and choices permuted and renamed, so that what was read of it is no help.

    Args:
        space: The space.
        seed: Of the permutations.
    """

    def __init__(self, space: Space, seed: int) -> None:
        draw = Random(f"disguise {seed}")
        self._original = space
        self._order = draw.sample(range(len(space.positions)), len(space.positions))  # the original position at each place
        self._choices = [draw.sample(range(space.sizes[place]), space.sizes[place]) for place in self._order]
        positions = tuple(
            Position(f"slot {number + 1}", tuple(Choice(str(i), f"option_{i}") for i in range(len(choices))))
            for number, choices in enumerate(self._choices)
        )
        self.space = Space(
            "disguised space",
            positions,
            form=None if space.form is None else self._form,
            measures=space.measures,
            measure=None if space.measure is None else self._measure,
            admits=None if space.admits is None else self._admits,
            conversation=space.conversation,
            stated=space.stated,
            limits=space.limits,
        )
        """What is shown."""

    def reveal(self, design: Design) -> Design:
        """Return the original design."""
        original = [0] * len(design)
        for place, choices, index in zip(self._order, self._choices, design, strict=True):
            original[place] = choices[index]
        return tuple(original)

    def hide(self, design: Design) -> Design:
        """Return the disguised design of an original one."""
        return tuple(choices.index(design[place]) for place, choices in zip(self._order, self._choices, strict=True))

    def _form(self, designs: np.ndarray) -> np.ndarray:
        assert self._original.form is not None
        formed, hidden = self._original.form(self._revealed(designs)), designs.copy()
        for number, (place, choices) in enumerate(zip(self._order, self._choices, strict=True)):
            hidden[:, number] = _inverse(choices)[formed[:, place]]
        return hidden

    def _measure(self, designs: np.ndarray) -> np.ndarray:
        assert self._original.measure is not None
        return self._original.measure(self._revealed(designs))

    def _admits(self, designs: np.ndarray) -> np.ndarray:
        assert self._original.admits is not None
        return self._original.admits(self._revealed(designs))

    def _revealed(self, designs: np.ndarray) -> np.ndarray:
        """Return the original designs of disguised ones, (n, positions)."""
        import numpy as np

        revealed = designs.copy()
        for number, (place, choices) in enumerate(zip(self._order, self._choices, strict=True)):
            revealed[:, place] = np.asarray(choices)[designs[:, number]]
        return revealed


def _inverse(choices: Sequence[int]) -> np.ndarray:
    """Return the disguised index of each original one."""
    import numpy as np

    return np.argsort(choices)
