"""Asks a base model for a design: it continues a list of designs with their accuracies, and can say nothing but a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial
from math import prod

from nasmith.replies import designs_in
from nasmith.space import Design, Space

_MOST_LINES = 50  # that are looked at for the end of a design

__all__ = ["end_of_design", "grammar", "line"]


def grammar(space: Space, known: Iterable[Design] = ()) -> Callable[[str], tuple[str, ...]]:
    """Return what may follow in a reply that holds a design and nothing else: " 2, 0, 1".

    The function takes the reply so far and returns the texts that may come next, none of which begins another: a blank, a
    choice and its comma. It returns none where the design is complete, the reply no beginning of one, or nothing new can come.
    What cannot keep the space's limits any more may not come either.

    Args:
        space: Of the design.
        known: Designs that are not to be said: a small model otherwise repeats what its prompt shows.
    """
    last = len(space.positions) - 1
    steps = []
    for place, position in enumerate(space.positions):
        words = [" " + getattr(choice, space.shown) for choice in position.choices]
        if place < last:
            steps.append(tuple(word + "," for word in words))
        else:  # without a comma one choice may begin another: "1" and "12"
            begins = any(other != word and other.startswith(word) for word in words for other in words)
            steps.append(tuple(word + "\n" for word in words) if begins else tuple(words))
    # How many known designs begin with each sequence of choices; where all do, it leads to nothing new.
    begun = Counter(design[:length] for design in set(known) for length in range(1, last + 2))
    full = {start for start, count in begun.items() if count == prod(space.sizes[len(start) :])}
    return partial(_follows, tuple(steps), frozenset(full), space)


def line(space: Space, design: Design) -> str:
    """Return a design as `grammar` writes it, without the blank before it."""
    return ", ".join(getattr(choice, space.shown) for choice in space.choices(design))


def end_of_design(space: Space, reply: str) -> int | None:
    """Return the length of a reply at the end of the first line after which a design is complete; None where none is yet.

    Args:
        space: Of the design.
        reply: What came so far.
    """
    end = -1
    for _ in range(_MOST_LINES):
        end = reply.find("\n", end + 1)
        if end < 0:
            break
        if designs_in(reply[:end], space):
            return end
    return None


def _follows(steps: Sequence[tuple[str, ...]], full: Container[Design], space: Space, reply: str) -> tuple[str, ...]:
    begin, chosen = 0, tuple[int, ...]()
    for texts in steps:
        taken = next((index for index, text in enumerate(texts) if reply.startswith(text, begin)), None)
        if taken is None:
            rest = reply[begin:]
            ahead = [(text, (*chosen, index)) for index, text in enumerate(texts)]
            limited = space.limited
            free = (t for t, start in ahead if start not in full and (limited is None or limited.reachable(start)))
            return tuple(text[len(rest) :] for text in free if text.startswith(rest))
        begin += len(texts[taken])
        chosen = (*chosen, taken)
    return ()
