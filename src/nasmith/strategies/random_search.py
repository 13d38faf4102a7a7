"""Random search: the control that every other strategy has to beat.

Source for spaces: Li, Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019,
arXiv:1902.07638. On programs nothing can be drawn uniformly; there the language model varies programs that nothing selected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasmith.population import Scored
from nasmith.seeding import generator
from nasmith.space import Design, Space
from nasmith.strategies.briefing import Briefing
from nasmith.strategies.rounds import Rounds, Told, at_least, children_planned
from nasmith.strategies.unseen import Unseen, suggestion
from nasmith.types import Candidate, Evaluation, Objective, Wish

__all__ = ["RandomSearch"]


class RandomSearch:
    """Draw designs uniformly, none equal to an earlier one; on programs, children of parents drawn from all so far.

    In a space the search ends early where no unseen design is left. On programs each prompt shows parents that are drawn
    uniformly, with replacement, from the seeds that run and all children that have a fitness.

    Args:
        evaluations: Children of the whole search.
        batch: Children that are out at a time; the next ones are asked once all of these are told.
        parents: Programs shown in a prompt; a space needs none.
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
        parents: int = 2,
        temperatures: Sequence[float] | None = None,
        operators: str | Sequence[str] | Mapping[str, float] | None = None,
        size: str = "params",
        error: str = "val_error",
    ) -> None:
        at_least(1, "random", evaluations=evaluations, batch=batch, parents=parents)
        self.evaluations, self.batch, self.parents = evaluations, batch, parents
        self.temperatures, self.operators, self.size, self.error = temperatures, operators, size, error
        self._briefing = Briefing(temperatures, operators, size, error)
        self._rounds: Rounds[Design | None] = Rounds(evaluations, batch)
        self._space: Space | None = None
        self._programs: list[Scored] = []

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
        if self._space is not None:
            design = self._unseen.draw(draw)
            return None if design is None else (suggestion(self._space, design, "random", round), design)
        if not self._programs:
            return None
        parents = draw.choices(self._programs, k=self.parents)
        return self._briefing.brief(parents, draw, number, round), None

    def _learn(self, told: Sequence[Told[Design | None]]) -> None:
        for each in told:
            if self._space is not None and each.kept is None:  # a seed
                self._unseen.take(self._space.read(each.candidate.text))
            elif self._space is None and (each.fitness is not None or each.is_working_seed):
                self._programs.append(Scored(each.candidate.id, each.evaluation.metrics))
