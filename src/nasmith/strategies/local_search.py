"""Local search: evaluate the neighbours of the best, move to a better one, and begin anew at a local optimum.

Source: White, Nolen, Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, arXiv:2005.02960,
Algorithm 1 (hill climbing), begun anew until the evaluations are used up; `first_improvement` is its variant that moves on as
soon as it finds a better neighbour.

Where it deviates, and why: a neighbour equal to an earlier design is not evaluated again; what is known of it counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasmith.population import Scored
from nasmith.seeding import generator
from nasmith.space import Design, Space
from nasmith.strategies.briefing import Briefing
from nasmith.strategies.rounds import Rounds, Told, at_least, children_planned
from nasmith.strategies.unseen import Unseen, forms, suggestion
from nasmith.types import Candidate, Evaluation, Objective, Wish

__all__ = ["LocalSearch"]


class LocalSearch:
    """Climb from a random design to better neighbours; begin anew where there are none.

    Neighbours differ at one position, and are evaluated in random order. On programs, which have no neighbours, every prompt
    shows the best program so far alone, until a child beats it: at first the best seed, or where all break a bound the first.

    Args:
        evaluations: Children of the whole search.
        batch: Children that are out at a time; the next ones are asked once all of these are told.
        initial: Random designs at the beginning of each climb, which starts from the best of them. One that fails does not
            count where all do.
        first_improvement: Move on as soon as a better neighbour is found. False evaluates all neighbours first and moves to the
            best, as in the paper.
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
        initial: int = 1,
        first_improvement: bool = False,
        temperatures: Sequence[float] | None = None,
        operators: str | Sequence[str] | Mapping[str, float] | None = None,
        size: str = "params",
        error: str = "val_error",
    ) -> None:
        at_least(1, "local-search", evaluations=evaluations, batch=batch, initial=initial)
        self.evaluations, self.batch = evaluations, batch
        self.initial, self.first_improvement = initial, first_improvement
        self.temperatures, self.operators, self.size, self.error = temperatures, operators, size, error
        self._briefing = Briefing(temperatures, operators, size, error)
        self._rounds: Rounds[Design | None] = Rounds(evaluations, batch)
        self._climb: _Climb | None = None
        self._space: Space | None = None
        self._best: Scored | None = None  # of the programs
        self._height = -math.inf  # its fitness

    @property
    def planned(self) -> int:
        """Children that a whole search makes."""
        return children_planned(self.evaluations, self._space)

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the space, None for programs, and the task's objectives, which prompts speak of."""
        self._space = space
        self._briefing.enter(objectives)

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed, and what suits the language model."""
        self._seed = seed
        self._briefing.begin(seed, temperatures, operators)
        if self._space is not None:
            self._climb = _Climb(self._space, seed, self.initial, self.first_improvement)

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
        if self._climb is not None and self._space is not None:
            design, parents = self._climb.next(number), self._climb.parents
            operator = "neighbour" if parents else "random"
            return None if design is None else (suggestion(self._space, design, operator, round, *parents), design)
        if self._best is None:
            return None
        return self._briefing.brief([self._best], generator(self._seed, "child", number), number, round), None

    def _learn(self, told: Sequence[Told[Design | None]]) -> None:
        if self._climb is not None and self._space is not None:
            designs = [self._space.read(each.candidate.text) if each.kept is None else each.kept for each in told]
            self._climb.learn(
                [_Known(each.candidate.id, design, each.fitness) for each, design in zip(told, designs, strict=True)]
            )
            return
        for each in told:
            fitness = -math.inf if each.fitness is None and each.is_working_seed else each.fitness
            if fitness is not None and (self._best is None or fitness > self._height):
                self._best, self._height = Scored(each.candidate.id, each.evaluation.metrics), fitness


@dataclass(frozen=True, slots=True)
class _Known:
    """A design that was evaluated; it has no fitness where it failed."""

    id: int
    design: Design
    fitness: float | None


class _Climb:
    """Where a climb stands, and what it is to evaluate next.

    Args:
        space: The space.
        seed: The run's.
        initial: Random designs at the beginning of each climb.
        first_improvement: Move on as soon as a better neighbour is found.
    """

    def __init__(self, space: Space, seed: int, initial: int, first_improvement: bool) -> None:
        self._space, self._seed, self._initial, self._first = space, seed, initial, first_improvement
        self._unseen = Unseen(space)
        self._known: dict[Design, _Known] = {}  # by canonical form
        self._starts: list[_Known] = []  # what this climb may start from
        self._drawn = 0  # random designs of this climb
        self._top: _Known | None = None  # where it stands; None until it has started
        self._around: list[Design] = []  # canonical forms of the neighbours
        self._queue: list[Design] = []  # neighbours that are to be evaluated, the next one last
        self._places = 0  # where it has stood, all climbs together

    @property
    def parents(self) -> tuple[int, ...]:
        """Id of the design whose neighbours are evaluated; empty at the beginning of a climb."""
        return () if self._top is None else (self._top.id,)

    def next(self, number: int) -> Design | None:
        """Take the next design, the `number`-th of the search; None where those that are out must be known first."""
        if self._top is None:
            if self._drawn == self._initial:
                return None
            design = self._unseen.draw(generator(self._seed, "child", number))
            self._drawn += design is not None
            return design
        while self._queue:
            design = self._queue.pop()
            if self._unseen.take(design):  # two neighbours may be equal to each other
                return design
        return None

    def learn(self, known: Sequence[_Known]) -> None:
        """Take in what was evaluated, and move."""
        for each in known:
            self._unseen.take(each.design)
            self._known[self._space.canonical(each.design)] = each
        if self._top is None:
            self._starts += [each for each in known if each.fitness is not None]
            self._start()
        self._go_on()

    def _start(self) -> None:
        """Start from the best, once all are drawn; draw one more where all have failed."""
        if self._drawn < self._initial:
            return
        best = _best(self._starts)
        if best is None:
            self._drawn -= 1
            return
        self._stand(best)

    def _go_on(self) -> None:
        """Move while a better neighbour is known and that is enough; begin anew where all are known and none is better."""
        while self._top is not None:
            whole = not any(design in self._unseen for design in self._queue)
            if not whole and not self._first:
                return
            best = _best([self._top, *(self._known[form] for form in self._around if form in self._known)])
            if best is not None and best.fitness != self._top.fitness:
                self._stand(best)
            elif whole:
                self._top, self._starts, self._drawn = None, [], 0
            else:
                return

    def _stand(self, known: _Known) -> None:
        """Move, and queue the neighbours in random order."""
        self._top = known
        neighbours = self._space.neighbours(known.design)
        generator(self._seed, "neighbours", self._places).shuffle(neighbours)
        self._places += 1
        self._around = forms(self._space, neighbours)
        self._queue = [design for design, form in zip(neighbours, self._around, strict=True) if form not in self._known]


def _best(among: Sequence[_Known]) -> _Known | None:
    """Return the fittest, the earliest of equals; None where all have failed."""
    scored = [(each.fitness, -each.id, each) for each in among if each.fitness is not None]
    return max(scored, key=lambda entry: entry[:2])[2] if scored else None
