"""EvoPrompting: a language model as the mutation and crossover of an evolutionary search over code.

Source: Chen, Dohan, So, "EvoPrompting: Language Models for Code-Level Neural Architecture Search", NeurIPS 2023,
arXiv:2302.14838, Algorithms 1 to 3. The defaults are the paper's numbers.

Where it deviates, and why:
- The paper's one operator is `crossover` (a two-shot prompt that the model continues with a whole program). The operators here
  are weighted; a model too small for the paper's form brings a second one, `infill`. `operators={"crossover": 1}` is the paper.
- Temperatures default to what the language model recommends: the paper's {0.2, 0.6, 0.8, 1.0} for large models.
- When no child is left that may become a parent, the former parents stay. The paper does not say what happens then.
- Other objectives than the paper's two have a fitness, too, and prompts speak of them; `selection="pareto"` chooses parents by
  rank. What breaks a bound of the task's has no fitness, and is dropped like what is above the error threshold.
- A prompt shows the accuracy and target to a tenth of a percent, and a target size of at least 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from nasmith.bandit import weights_of
from nasmith.errors import ConfigError, SeedError
from nasmith.population import Scored, ranked, top
from nasmith.seeding import derive, generator
from nasmith.space import Space
from nasmith.strategies.metrics_prompt import MetricsPrompt
from nasmith.types import Brief, Candidate, Evaluation, Objective, Sampling, Status, Tune

__all__ = ["EvoPrompting"]


class EvoPrompting:
    """Evolve programs with a language model that is tuned between rounds.

    Args:
        rounds: Rounds (T).
        prompts: Prompts in a round (m).
        samples: Programs sampled from a prompt (n).
        parents: Programs shown in a prompt (k), drawn uniformly with replacement.
        survivors: Parents of the next round (p).
        error_threshold: Children with at least this validation error are dropped (alpha); a task without one drops none.
        temperatures: One is drawn for each prompt; None for what suits the language model.
        operators: A name, a list of names, or relative weights by name: one is drawn for each prompt. None for what suits the
            language model.
        tuning: Tune the language model between rounds. False is a control of the paper.
        tune_on: "rest" tunes on a round's scored children that were not chosen as parents (the paper's algorithm), "all" on all
            of them (the caption of one of its figures).
        random_parents: Choose survivors at random among the scored. True is a control of the paper.
        selection: What makes survivors: the task's "fitness", or "pareto", the rank among fronts of the objectives and within a
            front the distance to others (NSGA-II; Deb, Pratap, Agarwal, Meyarivan 2002, doi:10.1109/4235.996017).
        size: Metric that counts parameters.
        error: Metric that holds the validation error.
    """

    def __init__(
        self,
        rounds: int = 10,
        prompts: int = 10,
        samples: int = 16,
        parents: int = 2,
        survivors: int = 10,
        error_threshold: float = 0.5,
        temperatures: Sequence[float] | None = None,
        operators: str | Sequence[str] | Mapping[str, float] | None = None,
        tuning: bool = True,
        tune_on: Literal["rest", "all"] = "rest",
        random_parents: bool = False,
        selection: Literal["fitness", "pareto"] = "fitness",
        size: str = "params",
        error: str = "val_error",
    ) -> None:
        for name, value in {
            "rounds": rounds, "prompts": prompts, "samples": samples, "parents": parents, "survivors": survivors,
        }.items():  # fmt: skip
            if value < 1:
                raise ConfigError(f"evoprompting: {name} must be at least 1, got {value}.")
        if not 0 < error_threshold <= 1:
            raise ConfigError(f"evoprompting: error_threshold is a share and must lie in (0, 1], got {error_threshold}.")
        if tune_on not in ("rest", "all"):
            raise ConfigError(f"evoprompting: tune_on must be 'rest' or 'all', got {tune_on!r}.")
        if selection not in ("fitness", "pareto"):
            raise ConfigError(f"evoprompting: selection must be 'fitness' or 'pareto', got {selection!r}.")
        _check_sampling(temperatures, operators)
        self.rounds, self.prompts, self.samples = rounds, prompts, samples
        self.parents, self.survivors, self.error_threshold = parents, survivors, error_threshold
        self.temperatures, self.operators = temperatures, operators
        self.tuning, self.tune_on, self.random_parents = tuning, tune_on, random_parents
        self.selection, self.size, self.error = selection, size, error
        self._prompt = MetricsPrompt(size, error)
        self._objectives: Sequence[Objective] = (Objective(size, "minimize", log=True), Objective(error, "minimize"))
        self._seed = 0
        self._round = 0
        self._asked = 0  # briefs of this round
        self._told: list[tuple[Candidate, Evaluation]] = []  # of this round
        self._pool: list[Scored] = []  # P, the parents of this round
        self._failed: list[tuple[int, str]] = []  # seeds that did not train, and why
        self._scored: list[Scored] = []  # G, all scored children
        self._former: set[int] = set()  # ids that were parents once
        self._tune: Tune | None = None

    @property
    def planned(self) -> int:
        """Children that a whole search makes."""
        return self.rounds * self.prompts * self.samples

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the task's objectives; there is no space."""
        self._objectives = objectives
        self._prompt = self._prompt.about(objectives)

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed, and the language model's preferences where the user has none."""
        self._seed = seed
        self._temperatures = tuple(self.temperatures or temperatures)
        self._operators = dict(operators) if self.operators is None else weights_of(self.operators)

    def ask(self) -> Brief | Tune | None:
        """Return the next prompt of the round, or the tuning between two rounds, or None while the round is out."""
        if self._asked == self.prompts and len(self._told) >= self.prompts * self.samples:
            self._end_round()
        if self._tune is not None:
            tune, self._tune = self._tune, None
            return tune
        if self._round == self.rounds or self._asked == self.prompts:
            return None
        self._asked += 1
        return self._brief(self._asked - 1)

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Whether the error is below the threshold; a task without one accepts all."""
        return self.error not in metrics or metrics[self.error] < self.error_threshold

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn how a seed (before the first ask) or a child did."""
        if candidate.step >= 0:
            self._told.append((candidate, evaluation))
        elif evaluation.status is Status.OK:
            self._pool.append(Scored(candidate.id, evaluation.metrics))
            self._pool.sort(key=lambda seed: seed.id)
        else:
            self._failed.append((candidate.id, evaluation.message or str(evaluation.status)))

    def _brief(self, index: int) -> Brief:
        """Draw parents, operator and temperature; the draw depends on (seed, round, index) alone."""
        if not self._pool and self._failed:
            why = min(self._failed)[1]
            raise SeedError(f"no seed program could be trained, so that there are no parents. The first failed so: {why}")
        draw = generator(self._seed, "brief", self._round, index)
        parents = draw.choices(self._pool, k=self.parents)
        operator = draw.choices(list(self._operators), weights=list(self._operators.values()))[0]
        return Brief(
            operator=operator,
            parents=tuple(parent.id for parent in parents),
            facts=tuple(self._prompt.facts(parent.metrics) for parent in parents),
            target=self._prompt.target(parent.metrics for parent in parents),
            sampling=Sampling(self.samples, draw.choice(self._temperatures), derive(self._seed, "sample", self._round, index)),
            round=self._round,
        )

    def _end_round(self) -> None:
        """Choose the parents of the next round and what to tune on. Ordered by id: workers may finish in any order."""
        children = [
            Scored(candidate.id, evaluation.metrics)
            for candidate, evaluation in sorted(self._told, key=lambda pair: pair[0].id)
            if evaluation.status is Status.OK and "fitness" in evaluation.metrics and self.accepts(evaluation.metrics)
        ]
        self._scored += children
        self._told, self._asked = [], 0
        self._round += 1
        if self._round == self.rounds:
            return
        self._former |= {parent.id for parent in self._pool}
        eligible = [child for child in self._scored if child.id not in self._former]
        if eligible and self.random_parents:
            draw = generator(self._seed, "parents", self._round)
            self._pool = draw.sample(eligible, min(self.survivors, len(eligible)))
        elif eligible and self.selection == "pareto":
            self._pool = ranked(eligible, self._objectives)[: self.survivors]
        elif eligible:
            self._pool = top(eligible, self.survivors)
        chosen = {parent.id for parent in self._pool} if self.tune_on == "rest" else set()
        lessons = tuple(child.id for child in children if child.id not in chosen)
        if self.tuning and lessons:
            self._tune = Tune(self._round - 1, lessons, derive(self._seed, "tune", self._round - 1))


def _check_sampling(temperatures: Sequence[float] | None, operators: str | Sequence[str] | Mapping[str, float] | None) -> None:
    """Refuse what cannot be drawn from."""
    if temperatures is not None and (not temperatures or min(temperatures) < 0):
        raise ConfigError(f"temperatures must be a list of numbers, each at least 0, got {list(temperatures)}.")
    if operators is not None:
        weights_of(operators)
