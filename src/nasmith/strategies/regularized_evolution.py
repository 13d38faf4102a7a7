"""Regularized evolution: tournaments, mutations, and a population in which the oldest dies.

Source: Real, Aggarwal, Huang, Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019,
arXiv:1802.01548, Algorithm 1.

Where it deviates, and why:
- The paper has a population of 100 and a sample of 25, for 20,000 models. With 100 evaluations that would be random search, so
  that the population is a fifth of the evaluations where none is given, at least 10 and at most 100; the sample is a quarter
  of the population, as in the paper.
- A design equal to an earlier one would cost nothing and tell nothing, so that it is drawn again: up to 20 mutations of the
  parent, then of the last mutation, and so on, five times; then an unseen design is drawn at random. The paper trains again.
- What fails has no fitness and joins no population. It counts among the first ones, which are drawn at random. A seed program
  that runs but breaks a bound joins it below all others: there may be nothing else to begin with.
- A tournament is won by the fitness, whatever the objectives: a rank among fronts is no property of a member alone, and would
  change with every death.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from nasmith.population import Scored
from nasmith.seeding import generator
from nasmith.space import Design, Space
from nasmith.strategies.briefing import Briefing
from nasmith.strategies.rounds import Rounds, Told, at_least, children_planned
from nasmith.strategies.unseen import Unseen, suggestion
from nasmith.types import Candidate, Evaluation, Objective, Wish

__all__ = ["RegularizedEvolution"]

_MUTATIONS, _STEPS = 20, 5


@dataclass(frozen=True, slots=True)
class _Member:
    scored: Scored
    fitness: float
    design: Design | None


class RegularizedEvolution:
    """Let the winner of a tournament have a child by mutation, and the oldest die.

    In a space a mutation sets one position, drawn uniformly, to another choice, drawn uniformly. On programs the seeds are the
    first population, and a mutation is a prompt with the one parent.

    Args:
        evaluations: Children of the whole search.
        batch: Children that are out at a time; the next ones are asked once all of these are told.
        population: Members (P). None for a fifth of the evaluations, at least 10 and at most 100. The paper's: 100.
        sample: Members of a tournament (S), drawn uniformly with replacement. None for a quarter of the population. The
            paper's: 25.
        temperatures: As in EvoPrompting; a space needs none.
        operators: As in EvoPrompting; a space needs none.
        size: Metric that counts parameters, for prompts.
        error: Metric that holds the validation error, for prompts.
    """

    suits = frozenset({"programs", "spaces"})
    lm_free = frozenset({"spaces"})

    def __init__(
        self,
        evaluations: int = 100,
        batch: int = 1,
        population: int | None = None,
        sample: int | None = None,
        temperatures: Sequence[float] | None = None,
        operators: str | Sequence[str] | Mapping[str, float] | None = None,
        size: str = "params",
        error: str = "val_error",
    ) -> None:
        at_least(1, "regularized-evolution", evaluations=evaluations, batch=batch)
        members = min(100, max(10, evaluations // 5)) if population is None else population
        rivals = max(1, members // 4) if sample is None else sample
        at_least(1, "regularized-evolution", population=members, sample=rivals)
        self.evaluations, self.batch, self.population, self.sample = evaluations, batch, population, sample
        self.temperatures, self.operators, self.size, self.error = temperatures, operators, size, error
        self._most, self._rivals = members, rivals
        self._briefing = Briefing(temperatures, operators, size, error)
        self._rounds: Rounds[Design | None] = Rounds(evaluations, batch)
        self._space: Space | None = None
        self._members: list[_Member] = []  # the oldest first
        self._seeds = 0

    @property
    def planned(self) -> int:
        """Children that a whole search makes."""
        return children_planned(self.evaluations, self._space)

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the space, None for programs, and the task's objectives, which prompts speak of."""
        self._space = space
        self._briefing.enter(objectives)
        if space is not None:
            self._unseen = Unseen(space)

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed, and what suits the language model."""
        self._seed = seed
        self._briefing.begin(seed, temperatures, operators)

    def ask(self) -> Wish | None:
        """Return the next child; None while a round is out and at the end."""
        return self._rounds.ask(self._make, self._learn)

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Accept all."""
        return True

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn how a candidate did."""
        self._rounds.tell(candidate, evaluation)

    def _make(self) -> tuple[Wish, Design | None] | None:
        number, round = self._rounds.asked, self._rounds.number
        draw = generator(self._seed, "child", number)
        if self._space is not None and (not self._members or self._seeds + number < self._most):
            design = self._unseen.draw(draw)
            return None if design is None else (suggestion(self._space, design, "random", round), design)
        if not self._members:
            return None
        parent = max(draw.choices(self._members, k=self._rivals), key=lambda member: (member.fitness, -member.scored.id))
        if self._space is None:
            return self._briefing.brief([parent.scored], draw, number, round), None
        assert parent.design is not None
        design = self._mutated(parent.design, draw)
        if design is not None:
            return suggestion(self._space, design, "mutation", round, parent.scored.id), design
        design = self._unseen.draw(draw)
        return None if design is None else (suggestion(self._space, design, "random", round), design)

    def _mutated(self, parent: Design, draw: Random) -> Design | None:
        """Return an unseen design near the parent; None where none was found."""
        assert self._space is not None
        sizes = self._space.sizes
        places = [place for place, size in enumerate(sizes) if size > 1]
        for _ in range(_STEPS if places else 0):
            child = parent
            for _ in range(_MUTATIONS):
                place = draw.choice(places)
                index = draw.randrange(sizes[place] - 1)
                child = (*parent[:place], index + (index >= parent[place]), *parent[place + 1 :])
                if self._unseen.take(child):
                    return child
            parent = child
        return None

    def _learn(self, told: Sequence[Told[Design | None]]) -> None:
        """Add a round's children, the earliest first; for each above the population's size the oldest dies."""
        for each in told:
            design = each.kept
            if each.candidate.step < 0:
                self._seeds += 1
                if self._space is not None:
                    design = self._space.read(each.candidate.text)
                    self._unseen.take(design)
            fitness = each.fitness
            if fitness is None and self._space is None and each.is_working_seed:
                fitness = -math.inf
            if fitness is None:
                continue
            self._members.append(_Member(Scored(each.candidate.id, each.evaluation.metrics), fitness, design))
            if len(self._members) > self._most:
                self._members.pop(0)
