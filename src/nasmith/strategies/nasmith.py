"""nasmith's own strategy for spaces: a belief about designs, corrected by what was measured.

The belief is prior knowledge, stated once and the same for every space: more capacity helps until it does not, in operations
and in activations (the pieces that a network of ReLUs can make of its input: Montufar et al. 2014, arXiv:1402.1869), and a
shortcut from the input to the output of a block helps (He et al. 2016, arXiv:1512.03385). It needs what can be counted of a
network without training it, and no language model. A Gaussian process learns where the belief is wrong, and the design with the
largest expected improvement (Jones, Schonlau, Welch 1998) is next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from nasmith.errors import ConfigError, UsageError
from nasmith.seeding import derive
from nasmith.space import Design, Space
from nasmith.strategies.pool import Designs, Pool
from nasmith.strategies.rounds import Rounds, Told, at_least, children_planned
from nasmith.strategies.surrogate import Surrogate, expected_improvement
from nasmith.strategies.unseen import Unseen, suggestion
from nasmith.types import Candidate, Evaluation, Objective, Wish

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Nasmith"]

_MEMORY = 400  # designs that the surrogate learns from: its time grows with the cube
_FEW = 10  # candidates that are not thinned out


class Nasmith:
    """Believe in capacity and shortcuts, and learn where that is wrong.

    The first design is the one in which most is believed. Each later one has the largest expected improvement over the best
    predicted accuracy, among those that differ at up to `radius` positions from one of the `incumbents` designs that are
    predicted best, and `explorers` drawn from the whole space; of these a random share `keep` is looked at, so that runs
    with other seeds take other ways. Designs that are equal to an earlier one, break the task's bounds, or join their input
    with no output are left out. After 400 designs the surrogate learns from the best 200 and the last 200.

    Args:
        evaluations: Designs of the whole search.
        batch: Designs that are out at a time; the next ones are asked once all of these are told.
        capacity: What one standard deviation of the logarithm of FLOPs (of parameters, where FLOPs are not known) is believed
            to be worth, in standard deviations of what the belief does not explain. 0: nothing.
        activations: What one standard deviation of the logarithm of the number of activations is believed to be worth.
        shortcut: What a shortcut from input to output is believed to be worth, in the same unit.
        surrogate: Learn from what was measured; False takes the designs in the order of the belief.
        noise: Variance of the measurement as a share of that of what the belief does not explain.
        radius: Positions at which a candidate may differ from an incumbent.
        incumbents: Designs around which candidates are looked for.
        explorers: Candidates from anywhere.
        keep: Share of the candidates that a step looks at.
        recommend: Which design counts as the best at the end: the one with the best "observed" accuracy, with the best
            "predicted" one, or with the best "blend", the mean of the two.
    """

    suits = frozenset({"spaces"})
    lm_free = frozenset({"spaces"})

    def __init__(
        self,
        evaluations: int = 100,
        batch: int = 1,
        capacity: float = 1.0,
        activations: float = 1.0,
        shortcut: float = 1.0,
        surrogate: bool = True,
        noise: float = 0.5,
        radius: int = 2,
        incumbents: int = 3,
        explorers: int = 100,
        keep: float = 0.5,
        recommend: Literal["observed", "predicted", "blend"] = "observed",
    ) -> None:
        at_least(1, "nasmith", evaluations=evaluations, batch=batch, radius=radius, incumbents=incumbents)
        at_least(0, "nasmith", explorers=explorers)
        if not noise > 0:
            raise ConfigError(f"nasmith: noise must be above 0, got {noise}.")
        if not 0 < keep <= 1:
            raise ConfigError(f"nasmith: keep is a share and must lie in (0, 1], got {keep}.")
        if recommend not in ("observed", "predicted", "blend"):
            raise ConfigError(f"nasmith: recommend must be 'observed', 'predicted' or 'blend', got {recommend!r}.")
        self.evaluations, self.batch = evaluations, batch
        self.capacity, self.activations, self.shortcut = capacity, activations, shortcut
        self.surrogate, self.noise = surrogate, noise
        self.radius, self.incumbents, self.explorers, self.keep = radius, incumbents, explorers, keep
        self.recommend = recommend
        self._rounds: Rounds[Design] = Rounds(evaluations, batch)
        self._space: Space | None = None
        self._ids: list[int] = []  # of what was measured
        self._designs: list[Design] = []
        self._accuracies: list[float] = []

    @property
    def planned(self) -> int:
        """Designs that a whole search makes."""
        return children_planned(self.evaluations, self._space)

    @property
    def recommends(self) -> bool:
        """Whether another design than the fittest may count as the best."""
        return self.recommend != "observed" and self.surrogate

    @property
    def recommendation(self) -> int | None:
        """Id of the candidate that counts as the best of all that was told; None before anything was measured."""
        import numpy as np

        fresh = [each for each in self._rounds.fresh if each.fitness is not None]
        ids = [*self._ids, *(each.candidate.id for each in fresh)]
        if not ids:
            return None
        values = np.array([*self._accuracies, *(each.fitness for each in fresh)], dtype=float)
        if self.recommends:
            predicted = self._predicted([*self._designs, *(_design(self._space, each) for each in fresh)], values)
            values = predicted if self.recommend == "predicted" else (values + predicted) / 2
        return ids[int(values.argmax())]

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the space.

        Raises:
            UsageError: There is none.
        """
        if space is None:
            raise UsageError("the strategy nasmith proposes designs of a fixed space, and the task has none.")
        self._space = space

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed, and list the space."""
        import numpy as np

        assert self._space is not None
        size = "flops" if "flops" in self._space.measures else "params"
        self._draw = np.random.Generator(np.random.PCG64(derive(seed, "nasmith")))
        self._unseen = Unseen(self._space)
        belief = {size: self.capacity, "activations": self.activations, "shortcut": self.shortcut}
        self._pool = Pool(self._space, belief, self._draw)
        self._model = Surrogate(len(self._space.positions), self.noise)

    def ask(self) -> Wish | None:
        """Return the next design; None while a round is out and at the end."""
        return self._rounds.ask(self._make, self._learn)

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Accept all."""
        return True

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn how a design did."""
        self._rounds.tell(candidate, evaluation)

    def _make(self) -> tuple[Wish, Design] | None:
        assert self._space is not None
        design = self._next()
        return None if design is None else (suggestion(self._space, design, "nasmith", self._rounds.number), design)

    def _learn(self, told: Sequence[Told[Design]]) -> None:
        for each in told:
            design = _design(self._space, each)
            self._unseen.take(design)
            if each.fitness is not None:
                self._ids.append(each.candidate.id)
                self._designs.append(design)
                self._accuracies.append(each.fitness)

    def _next(self) -> Design | None:
        """Take the most promising unseen design; None where there is none."""
        import numpy as np

        if not self._designs or not self.surrogate:
            best = self._pool.largest_beliefs()
            return self._first_unseen(best, best.belief)
        known, observed = self._remembered(self._designs, np.array(self._accuracies))
        self._model.fit(known.onehot, known.belief, observed)
        smooth, _ = self._model.posterior(known.onehot, known.belief)
        centres = known.choices[(-smooth).argsort()[: self.incumbents]]
        candidates = self._pool.near(centres, self.radius, self.explorers)
        if self.keep < 1 and len(candidates) > _FEW:
            candidates = candidates.take((self._draw.random(len(candidates)) < self.keep).nonzero()[0])
        mean, deviation = self._model.posterior(candidates.onehot, candidates.belief)
        found = self._first_unseen(candidates, expected_improvement(mean, deviation, float(smooth.max())))
        return found or self._first_unseen(self._pool.designs, self._pool.designs.belief)

    def _first_unseen(self, designs: Designs, values: np.ndarray) -> Design | None:
        """Take the unseen design with the largest value, a random one of equals."""
        import numpy as np

        shuffled = self._draw.permutation(len(designs))
        for place in shuffled[np.argsort(-values[shuffled], kind="stable")]:
            design: Design = tuple(designs.choices[place].tolist())
            if self._unseen.take(design):
                return design
        return None

    def _remembered(self, designs: Sequence[Design], accuracies: np.ndarray) -> tuple[Designs, np.ndarray]:
        """Return what the surrogate learns from: designs, and their accuracies."""
        import numpy as np

        places = np.arange(len(accuracies))
        if len(places) > _MEMORY:
            last = places[-_MEMORY // 2 :]
            earlier = places[: -_MEMORY // 2]
            best = earlier[(-accuracies[earlier]).argsort(kind="stable")[: _MEMORY // 2]]
            places = np.concatenate([np.sort(best), last])
        return self._pool.of(np.array(designs)[places]), accuracies[places]

    def _predicted(self, designs: Sequence[Design], accuracies: np.ndarray) -> np.ndarray:
        """Return the predicted accuracy of all that was measured."""
        import numpy as np

        known, observed = self._remembered(designs, accuracies)
        model = Surrogate(len(designs[0]), self.noise)
        model.fit(known.onehot, known.belief, observed)
        everything = self._pool.of(np.array(designs))
        return model.posterior(everything.onehot, everything.belief)[0]


def _design(space: Space | None, told: Told[Design]) -> Design:
    """Return the design of a candidate; a seed brings its text alone."""
    assert space is not None
    return told.kept if told.kept is not None else space.read(told.candidate.text)
