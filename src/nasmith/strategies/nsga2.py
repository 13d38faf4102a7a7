"""NSGA-II: evolution towards all objectives of a task at once, by way of Optuna.

Source: Deb, Pratap, Agarwal, Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on
Evolutionary Computation 6(2), 2002; crossover and mutation are Optuna's defaults (uniform; one position on average).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasmith.space import Space
from nasmith.strategies.optuna_study import Direction, OptunaSearch
from nasmith.strategies.rounds import at_least
from nasmith.types import Candidate, Evaluation, Objective, Wish

__all__ = ["NSGA2"]


class NSGA2:
    """Cross and mutate designs that no other one beats in all objectives, and that lie apart from each other.

    The objectives are the task's; the fitness is not asked. A failed design joins no population. Needs `nasmith[optuna]`. A
    proposal equal to an earlier design costs no evaluation: Optuna is told again what is known of it, and asked anew, up to 20
    times; then an unseen design is drawn at random. So `evaluations` counts different designs.

    Args:
        evaluations: Designs of the whole search.
        batch: Designs that are out at a time; the next ones are asked once all of these are told.
        population: Designs of a generation, repeated proposals included. None for a fifth of the evaluations, at least 10 and
            at most Optuna's default of 50.
    """

    suits = frozenset({"spaces"})
    lm_free = frozenset({"spaces"})

    def __init__(self, evaluations: int = 100, batch: int = 1, population: int | None = None) -> None:
        at_least(1, "nsga2", evaluations=evaluations, batch=batch)
        members = min(50, max(10, evaluations // 5)) if population is None else population
        at_least(2, "nsga2", population=members)
        self.evaluations, self.batch, self.population = evaluations, batch, population
        self._members = members
        self._search = OptunaSearch("nsga2", evaluations, batch)
        self._objectives: dict[str, Direction] = {}

    @property
    def planned(self) -> int:
        """Designs that a whole search makes."""
        return self._search.planned

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the space and the objectives.

        Raises:
            UsageError: There is no space.
        """
        self._search.enter(space)
        self._objectives = {objective.name: objective.direction for objective in objectives}

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed, and load Optuna.

        Raises:
            MissingDependencyError: Optuna is not installed.
        """
        self._search.begin(
            seed,
            self._objectives,
            lambda samplers, seed: samplers.NSGAIISampler(population_size=self._members, seed=seed),
        )

    def ask(self) -> Wish | None:
        """Return the next design; None while a round is out and at the end."""
        return self._search.ask()

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Accept all."""
        return True

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn how a design did."""
        self._search.tell(candidate, evaluation)
