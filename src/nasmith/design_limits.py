"""Limits on what is measured of designs: whether designs keep them, and ways to designs that do, however few they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Limit", "Limits"]

Limit = tuple[str, float, float]
"""The name of a measurement, the least and the most, both allowed; infinite for none."""

_STEPS = 20_000  # at most, of a walk towards the limits
_MIXING = 5  # further steps for each position
_TRIED = 32  # designs, to see whether a measurement is a sum


@dataclass(frozen=True)
class Limits:
    """Limits on designs, which are given as (n, positions) int arrays.

    Attributes:
        sizes: How many choices each position has.
        columns: Where in a measurement each limit's value stands.
        measure: Returns what is measured of designs, (n, columns).
        limits: The limits.
    """

    sizes: tuple[int, ...]
    columns: tuple[int, ...]
    measure: Callable[[np.ndarray], np.ndarray]
    limits: tuple[Limit, ...]

    def kept(self, designs: np.ndarray) -> np.ndarray:
        """Return whether each design keeps all limits, (n,) bool."""
        kept: np.ndarray = self.excess(designs) == 0
        return kept

    def excess(self, designs: np.ndarray) -> np.ndarray:
        """Return by how much each design misses the limits, as a share of them, (n,); 0 where it keeps all."""
        import numpy as np

        measured, excess = self.measure(designs), np.zeros(len(designs))
        for column, (_, least, most) in zip(self.columns, self.limits, strict=True):
            values = measured[:, column]
            excess += np.maximum(0, least - values) / max(least, 1.0) + np.maximum(0, values - most) / max(most, 1.0)
        return excess

    def drawn(self, designs: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Walk from uniform draws to designs that keep the limits, and on among these; return those that arrived.

        Random choices at one or two random positions are taken where the limits are missed by no more than before, so that in
        the end all designs that keep them are equally likely.
        """
        designs = self._walked(designs, draw, mixing=_MIXING * len(self.sizes))
        return designs[self.kept(designs)]

    def mended(self, design: Sequence[int], draw: np.random.Generator) -> tuple[int, ...]:
        """Return a design near this one that keeps the limits; itself where it does, or where none was found."""
        import numpy as np

        walked = self._walked(np.array([design]), draw, mixing=0)
        return tuple((walked[0] if self.kept(walked)[0] else np.array(design)).tolist())

    def reachable(self, start: Sequence[int]) -> bool:
        """Say whether a design that begins so may keep the limits: the beginning with the smallest and the largest rest.

        A measurement that is no sum over positions forbids nothing.
        """
        place = len(start)
        for (_, least, most), sums in zip(self.limits, self._sums, strict=True):
            if sums is not None:
                value = sums.base + sum(row[index] for row, index in zip(sums.rows, start, strict=False))
                if value + sums.smallest[place] > most or value + sums.largest[place] < least:
                    return False
        return True

    def _walked(self, designs: np.ndarray, draw: np.random.Generator, mixing: int) -> np.ndarray:
        """Change designs at random until all keep the limits, and `mixing` times more."""
        import numpy as np

        sizes, rows, designs = np.array(self.sizes), np.arange(len(designs)), designs.copy()
        excess, left = self.excess(designs), mixing
        for _ in range(_STEPS + mixing):
            if not excess.any():
                left -= 1
                if left < 0:
                    break
            changed = designs.copy()
            for share in (1.0, 0.5):  # of the designs that are changed at one position, and at another
                places = (draw.random(len(designs)) * len(sizes)).astype(np.int64)
                chosen = (draw.random(len(designs)) * sizes[places]).astype(np.int64)
                changed[rows, places] = np.where(draw.random(len(designs)) < share, chosen, changed[rows, places])
            missed = self.excess(changed)
            taken = missed <= excess
            designs[taken], excess[taken] = changed[taken], missed[taken]
        return designs

    @cached_property
    def _sums(self) -> tuple[_Sum | None, ...]:
        return tuple(_Sum.of(self, column) for column in self.columns)


@dataclass(frozen=True, slots=True)
class _Sum:
    """A measurement that is a sum over positions.

    Attributes:
        base: Of the design of first choices.
        rows: What each choice at each position adds to that.
        smallest: The least that the positions from each one on add, and 0 at the end.
        largest: The most, likewise.
    """

    base: float
    rows: tuple[tuple[float, ...], ...]
    smallest: tuple[float, ...]
    largest: tuple[float, ...]

    @classmethod
    def of(cls, limits: Limits, column: int) -> _Sum | None:
        """Take a measurement apart; None where it is no such sum."""
        import numpy as np

        sizes, first = limits.sizes, np.zeros((1, len(limits.sizes)), dtype=np.int64)
        base = float(limits.measure(first)[0, column])
        rows = []
        for place, size in enumerate(sizes):
            designs = np.repeat(first, size, axis=0)
            designs[:, place] = np.arange(size)
            rows.append(tuple((limits.measure(designs)[:, column] - base).tolist()))
        tried = (np.random.default_rng(0).random((_TRIED, len(sizes))) * sizes).astype(np.int64)
        summed = [base + sum(row[index] for row, index in zip(rows, design, strict=True)) for design in tried.tolist()]
        if not np.allclose(limits.measure(tried)[:, column], summed, rtol=1e-9):
            return None
        smallest, largest = [0.0], [0.0]
        for row in reversed(rows):
            smallest.append(smallest[-1] + min(row))
            largest.append(largest[-1] + max(row))
        return cls(base, tuple(rows), tuple(smallest[::-1]), tuple(largest[::-1]))
