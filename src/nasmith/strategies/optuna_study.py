"""Searches of a space by a sampler of Optuna (Akiba et al. 2019, arXiv:1907.10902), which never evaluate a design twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from nasmith.errors import MissingDependencyError, UsageError
from nasmith.seeding import derive, generator
from nasmith.space import Design, Space
from nasmith.strategies.rounds import Rounds, Told, children_planned
from nasmith.strategies.unseen import Unseen, suggestion
from nasmith.types import Candidate, Evaluation, Wish

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

__all__ = ["Direction", "OptunaSearch", "OptunaStudy"]

Direction = Literal["minimize", "maximize"]

_REPEATS = 20  # proposals without a new design


class OptunaStudy:
    """A study in memory: one categorical parameter for each position of a space.

    A proposal that is equal to an earlier design is answered with what is known of that one, and another is asked for; after
    20 such, the design is drawn uniformly from those that are unseen. In place of one that misses the space's limits, one near
    it is evaluated.

    Args:
        space: The space.
        directions: One for each value.
        sampler: Makes Optuna's sampler, given its samplers.
        failed_is_bad: Tell the sampler that a failed design is worse than all others ("pruned"), where it can learn from that.
            False tells it nothing but that there is no value.

    Raises:
        MissingDependencyError: Optuna is not installed.
    """

    def __init__(
        self, space: Space, directions: Sequence[Direction], sampler: Callable[[Any], Any], failed_is_bad: bool = False
    ) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingDependencyError('Optuna is not installed: pip install "nasmith[optuna]"') from error
        former = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # it writes on the screen that there is a study
        try:
            self._study = optuna.create_study(directions=list(directions), sampler=sampler(optuna.samplers))
        finally:
            optuna.logging.set_verbosity(former)
        self._distributions: dict[str, BaseDistribution] = {
            str(place): optuna.distributions.CategoricalDistribution(tuple(range(size)))
            for place, size in enumerate(space.sizes)
        }
        states = optuna.trial.TrialState
        self._failed, self._unknown = states.PRUNED if failed_is_bad else states.FAIL, states.FAIL
        self._space, self._unseen = space, Unseen(space)
        self._values: dict[Design, Sequence[float] | None] = {}  # what was told, by canonical form; None where it failed

    def propose(self, draw: Random) -> tuple[Design, Trial] | None:
        """Take a design that has no equal so far, with what `learn` wants back; None where there is none.

        Args:
            draw: What a design is drawn with where the sampler repeats itself.
        """
        for _ in range(_REPEATS):
            trial = self._study.ask(self._distributions)
            design = self._mended(proposed := self._design(trial), draw)
            if design != proposed:  # it misses the limits: one near it is evaluated in its place
                self._study.tell(trial, state=self._unknown)
                if self._unseen.take(design):
                    return design, self._given(design)
                continue
            if self._unseen.take(design):
                return design, trial
            form = self._space.canonical(design)
            if form in self._values:
                self._tell(trial, self._values[form])
            else:
                self._study.tell(trial, state=self._unknown)  # it is being evaluated
        drawn = self._unseen.draw(draw)
        return None if drawn is None else (drawn, self._given(drawn))

    def learn(self, design: Design, trial: Trial | None, values: Sequence[float] | None) -> None:
        """Tell how a design did.

        Args:
            design: The design.
            trial: What came with it; None where it was not proposed here.
            values: One for each direction; None where it failed.
        """
        self._unseen.take(design)
        self._values[self._space.canonical(design)] = values
        self._tell(self._given(design) if trial is None else trial, values)

    def _given(self, design: Design) -> Trial:
        """Return a trial of a design that the sampler did not propose."""
        self._study.enqueue_trial(dict(zip(self._distributions, design, strict=True)))
        return self._study.ask(self._distributions)

    def _mended(self, design: Design, draw: Random) -> Design:
        """Return a design near this one that keeps the space's limits."""
        if self._space.limited is None:
            return design
        import numpy as np

        return self._space.limited.mended(design, np.random.default_rng(draw.getrandbits(63)))

    def _design(self, trial: Trial) -> Design:
        chosen = trial.params
        return tuple(chosen[name] for name in self._distributions)

    def _tell(self, trial: Trial, values: Sequence[float] | None) -> None:
        if values is None:
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, list(values))


class OptunaSearch:
    """Asks a study for designs in rounds, and tells it how they did.

    Args:
        name: The strategy's, which is the operator of its suggestions too.
        evaluations: Designs of the whole search.
        batch: Designs that are out at a time.
    """

    def __init__(self, name: str, evaluations: int, batch: int) -> None:
        self._name, self._evaluations = name, evaluations
        self._rounds: Rounds[tuple[Design, Trial]] = Rounds(evaluations, batch)
        self._space: Space | None = None

    @property
    def planned(self) -> int:
        """Designs that the whole search makes."""
        return children_planned(self._evaluations, self._space)

    def enter(self, space: Space | None) -> None:
        """Take the space.

        Raises:
            UsageError: There is none.
        """
        if space is None:
            raise UsageError(f"the strategy {self._name} proposes designs of a fixed space, and the task has none.")
        self._space = space

    def begin(
        self, seed: int, objectives: Mapping[str, Direction], sampler: Callable[[Any, int], Any], failed_is_bad: bool = False
    ) -> None:
        """Take the run's seed, and begin a study.

        Args:
            seed: The run's.
            objectives: Metrics that count, each with its direction.
            sampler: Makes Optuna's sampler, given its samplers and a seed.
            failed_is_bad: As in `OptunaStudy`.

        Raises:
            MissingDependencyError: Optuna is not installed.
        """
        assert self._space is not None
        self._seed, self._metrics = seed, list(objectives)
        self._study = OptunaStudy(
            self._space,
            list(objectives.values()),
            lambda samplers: sampler(samplers, derive(seed, self._name)),
            failed_is_bad,
        )

    def ask(self) -> Wish | None:
        """Return the next design; None while a round is out and at the end."""
        return self._rounds.ask(self._make, self._learn)

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn how a design did."""
        self._rounds.tell(candidate, evaluation)

    def _make(self) -> tuple[Wish, tuple[Design, Trial]] | None:
        assert self._space is not None
        proposed = self._study.propose(generator(self._seed, "child", self._rounds.asked))
        return None if proposed is None else (suggestion(self._space, proposed[0], self._name, self._rounds.number), proposed)

    def _learn(self, told: Sequence[Told[tuple[Design, Trial]]]) -> None:
        assert self._space is not None
        for each in told:
            design, trial = each.kept if each.kept is not None else (self._space.read(each.candidate.text), None)
            values = None if each.fitness is None else [each.evaluation.metrics[name] for name in self._metrics]
            self._study.learn(design, trial, values)
