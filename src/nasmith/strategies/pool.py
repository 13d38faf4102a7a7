"""The designs that a strategy chooses among, with what is thought of each before anything was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nasmith.space import Space

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Designs", "Pool"]

_LISTED = 50_000  # a larger space is drawn from
_DRAWN = 4_000
_CLIMB = 100  # steps to a design that has no neighbour with a higher belief


@dataclass(frozen=True)
class Designs:
    """Some designs: the choices (n, positions) int64, one-hot (n, all choices) float32, and the belief (n,) float64."""

    choices: np.ndarray
    onehot: np.ndarray
    belief: np.ndarray

    def __len__(self) -> int:
        return len(self.choices)

    def take(self, places: np.ndarray) -> Designs:
        """Return those at `places`."""
        return Designs(self.choices[places], self.onehot[places], self.belief[places])


class Pool:
    """The different, connected designs of a space that keep its bounds: all of a small one, parts of a large one.

    The belief is a sum of what measurements say, each with a weight: a count ("flops", "params", "activations") by the standard
    deviations that its logarithm lies above the mean of the space, any other as it is.

    Args:
        space: The space.
        weights: By name of the measurement; those that the space does not know are left out.
        draw: For what is drawn.
    """

    def __init__(self, space: Space, weights: Mapping[str, float], draw: np.random.Generator) -> None:
        self._space, self._weights, self._draw = space, dict(weights), draw
        self._listed = space.size <= _LISTED
        self._choices = _all(space, space.form, space.measure, space.admits) if self._listed else self._drawn(_DRAWN)
        measured = self._measured(self._choices)
        self._scales = {name: _scale(column) for name, column in measured.items() if name in ("flops", "params", "activations")}
        self.designs = self.of(self._choices)
        """All designs of a small space, some of a large one."""

    def of(self, choices: np.ndarray) -> Designs:
        """Return designs with what is thought of them."""
        import numpy as np

        belief = np.zeros(len(choices))
        for name, column in self._measured(choices).items():
            if name in self._scales:
                mean, deviation = self._scales[name]
                column = (np.log(column) - mean) / deviation
            belief += self._weights[name] * column
        return Designs(choices, self._onehot(choices), belief)

    def largest_beliefs(self) -> Designs:
        """Return designs in which most is believed: all of a small space; of a large one what climbing from draws leads to."""
        import numpy as np

        if self._listed:
            return self.designs
        best = self.designs.take(np.argsort(-self.designs.belief)[:10])
        for _ in range(_CLIMB):
            near = self.of(self._kept(np.concatenate([best.choices, self._neighbours(best.choices)])))
            better = near.take(np.argsort(-near.belief)[:10])
            if better.belief.max() <= best.belief.max():
                break
            best = better
        return best

    def near(self, centres: np.ndarray, radius: int, others: int) -> Designs:
        """Return designs that differ from one of `centres`, (n, positions), at up to `radius` positions, and `others` drawn.

        Of a large space, all that differ at one position, and as many draws of those that differ at more.
        """
        import numpy as np

        if self._listed:
            agree = self.designs.onehot @ self._onehot(centres).T
            places = np.flatnonzero((agree > centres.shape[1] - radius - 0.5).any(axis=1))
            drawn = self._draw.integers(len(self.designs), size=others)
            return self.designs.take(np.unique(np.concatenate([places, drawn])))
        near = [self._neighbours(centres)]
        for _ in range(radius - 1):
            near.append(self._changed(near[-1]))
        return self.of(self._kept(np.concatenate([*near, self._drawn(others)])))

    def _measured(self, choices: np.ndarray) -> dict[str, np.ndarray]:
        space = self._space
        if space.measure is None:
            return {}
        columns = space.measure(choices)
        return {name: columns[:, space.measures.index(name)] for name in self._weights if name in space.measures}

    def _onehot(self, choices: np.ndarray) -> np.ndarray:
        import numpy as np

        starts = np.concatenate([[0], np.cumsum(self._space.sizes)[:-1]])
        onehot = np.zeros((len(choices), sum(self._space.sizes)), dtype=np.float32)
        onehot[np.arange(len(choices))[:, None], starts + choices] = 1
        return onehot

    def _drawn(self, count: int) -> np.ndarray:
        import numpy as np

        sizes, limited = np.array(self._space.sizes), self._space.limited
        drawn = (self._draw.random((count, len(sizes))) * sizes).astype(np.int64)
        return self._kept(drawn if limited is None else limited.drawn(drawn, self._draw))

    def _neighbours(self, choices: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.array([near for design in choices for near in self._space.neighbours(tuple(design.tolist()))])

    def _changed(self, choices: np.ndarray) -> np.ndarray:
        """Return each design with another choice at a drawn position."""
        import numpy as np

        sizes, rows = np.array(self._space.sizes), np.arange(len(choices))
        places = self._draw.integers(len(sizes), size=len(choices))
        moved = choices.copy()
        step = 1 + (self._draw.random(len(choices)) * (sizes[places] - 1)).astype(np.int64)
        moved[rows, places] = (moved[rows, places] + step) % sizes[places]
        return moved

    def _kept(self, choices: np.ndarray) -> np.ndarray:
        return _different(choices, self._space)


@lru_cache(maxsize=4)
def _all(space: Space, *_: object) -> np.ndarray:
    """List a space; what its functions return takes part in the key of the cache."""
    import numpy as np

    return _different(np.array(list(space.designs()), dtype=np.int64), space)


def _different(choices: np.ndarray, space: Space) -> np.ndarray:
    """Return one of each class of equal designs, of those that are connected and keep the bounds."""
    import numpy as np

    if space.form is not None:
        choices = np.unique(space.form(choices), axis=0)
    kept = np.ones(len(choices), dtype=bool) if space.admits is None else space.admits(choices)
    if space.measure is not None and "dead" in space.measures:
        kept &= space.measure(choices)[:, space.measures.index("dead")] == 0
    different: np.ndarray = np.unique(choices[kept], axis=0) if space.form is None else choices[kept]
    return different


def _scale(column: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm."""
    import numpy as np

    logarithms = np.log(column)
    return float(logarithms.mean()), float(logarithms.std()) or 1.0
