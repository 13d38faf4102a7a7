"""Designs of a space that have no equal so far, and suggestions of them."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from nasmith.space import Design, Space
from nasmith.types import Suggestion

__all__ = ["Unseen", "forms", "suggestion"]

_TRIES = 100  # without success, nearly all of the space has been seen
_LISTED = 1_000_000  # a larger space is not written down
_LAST_TRIES = 10_000


class Unseen:
    """The designs of a space that no design so far is equal to (`Space.canonical`) and that keep the task's bounds.

    Drawing takes about as long as writing a design. Once most of the space was seen, what is left is listed, once; a space
    of more than a million designs counts as used up where 10,000 draws found nothing new.

    Args:
        space: The space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._seen: set[Design] = set()  # canonical
        self._rest: list[int] | None = None  # places in `space.designs()` of what was unseen when it was listed

    def __contains__(self, design: Design) -> bool:
        return self._space.canonical(design) not in self._seen and self._admitted(design)

    def take(self, design: Design) -> bool:
        """Count a design and its equals as seen from now on; return whether it was unseen and keeps the bounds."""
        form = self._space.canonical(design)
        if form in self._seen:
            return False
        self._seen.add(form)
        return self._admitted(design)

    def draw(self, random: Random) -> Design | None:
        """Take one, drawn uniformly from all unseen designs that can be written; None where there are none."""
        if self._rest is None:
            few = self._space.size <= _LISTED or self._space.limits  # a draw that keeps limits takes a hundred times as long
            for _ in range(_TRIES if few else _LAST_TRIES):
                design = self._space.sample(random)
                if self.take(design):
                    return design
            if self._space.size > _LISTED:
                return None
            self._rest = [
                place for place, form in enumerate(forms(self._space, self._space.designs())) if form not in self._seen
            ]
        rest = self._rest
        while rest:
            place = random.randrange(len(rest))
            rest[place], rest[-1] = rest[-1], rest[place]
            design = self._numbered(rest.pop())
            if self.take(design):
                return design
        return None

    def _admitted(self, design: Design) -> bool:
        if self._space.admits is None:
            return True
        import numpy as np

        return bool(self._space.admits(np.array([design]))[0])

    def _numbered(self, place: int) -> Design:
        """Return the design at a place in `space.designs()`."""
        design = []
        for size in reversed(self._space.sizes):
            place, index = divmod(place, size)
            design.append(index)
        return tuple(reversed(design))


def forms(space: Space, designs: Iterable[Design]) -> list[Design]:
    """Return the canonical form of each design; of many, in a fraction of the time that `Space.canonical` takes."""
    listed = list(designs)
    if space.form is None or not listed:
        return listed
    import numpy as np

    return [tuple(form) for form in space.form(np.array(listed)).tolist()]


def suggestion(space: Space, design: Design, operator: str, round: int, *parents: int) -> Suggestion:
    """Return the wish for one design."""
    return Suggestion((space.write(design),), operator, parents, round)
