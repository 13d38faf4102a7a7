"""TPE: the tree-structured Parzen estimator, a Bayesian optimisation, by way of Optuna.

Source: Bergstra, Bardenet, Bengio, Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011; the version for
categorical parameters is Optuna's (Watanabe 2023, arXiv:2304.11127), with its defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasmith.space import Space
from nasmith.strategies.optuna_study import OptunaSearch
from nasmith.strategies.rounds import at_least
from nasmith.types import Candidate, Evaluation, Objective, Wish

__all__ = ["TPE"]


class TPE:
    """Draw designs where good ones are dense and bad ones are not, and take the most promising.

    It maximises the fitness; a failed design counts as worse than all others. Needs `nasmith[optuna]`. A proposal equal to an
    earlier design costs no evaluation: Optuna is told again what is known of it, and asked anew, up to 20 times; then an
    unseen design is drawn at random. So `evaluations` counts different designs.

    Args:
        evaluations: Designs of the whole search.
        batch: Designs that are out at a time; the next ones are asked once all of these are told.
        startup: Designs drawn at random before the estimator is used; Optuna's default is 10.
    """

    suits = frozenset({"spaces"})
    lm_free = frozenset({"spaces"})

    def __init__(self, evaluations: int = 100, batch: int = 1, startup: int = 10) -> None:
        at_least(1, "tpe", evaluations=evaluations, batch=batch, startup=startup)
        self.evaluations, self.batch, self.startup = evaluations, batch, startup
        self._search = OptunaSearch("tpe", evaluations, batch)

    @property
    def planned(self) -> int:
        """Designs that a whole search makes."""
        return self._search.planned

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the space.

        Raises:
            UsageError: There is none.
        """
        self._search.enter(space)

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed, and load Optuna.

        Raises:
            MissingDependencyError: Optuna is not installed.
        """
        self._search.begin(
            seed,
            {"fitness": "maximize"},
            lambda samplers, seed: samplers.TPESampler(n_startup_trials=self.startup, seed=seed),
            failed_is_bad=True,
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
