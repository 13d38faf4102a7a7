"""Briefs for one child of some programs, where a language model stands in the place of a mutation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from nasmith.bandit import weights_of
from nasmith.errors import ConfigError
from nasmith.population import Scored
from nasmith.seeding import derive
from nasmith.strategies.metrics_prompt import MetricsPrompt
from nasmith.types import Brief, Objective, Sampling

__all__ = ["Briefing"]


class Briefing:
    """Writes briefs, with facts and a target as in EvoPrompting (Chen, Dohan, So 2023, arXiv:2302.14838, section 3.2).

    Args:
        temperatures: One is drawn for each prompt; None for what suits the language model.
        operators: A name, a list of names, or relative weights by name: one is drawn for each prompt. None for what suits the
            language model.
        size: Metric that counts parameters.
        error: Metric that holds the validation error.

    Raises:
        ConfigError: Temperatures or operators that cannot be drawn from.
    """

    def __init__(
        self,
        temperatures: Sequence[float] | None,
        operators: str | Sequence[str] | Mapping[str, float] | None,
        size: str,
        error: str,
    ) -> None:
        if temperatures is not None and (not temperatures or min(temperatures) < 0):
            raise ConfigError(f"temperatures must be a list of numbers, each at least 0, got {list(temperatures)}.")
        self._own_temperatures = temperatures
        self._own_operators = None if operators is None else weights_of(operators)
        self._prompt = MetricsPrompt(size, error)

    def enter(self, objectives: Sequence[Objective]) -> None:
        """Take the task's objectives: prompts speak of them."""
        self._prompt = self._prompt.about(objectives)

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed, and the language model's preferences where the user has none."""
        self._seed = seed
        self._temperatures = tuple(self._own_temperatures or temperatures)
        self._operators = dict(operators if self._own_operators is None else self._own_operators)

    def brief(self, parents: Sequence[Scored], draw: Random, number: int, round: int) -> Brief:
        """Ask for one child of these parents.

        Args:
            parents: In the order in which a prompt shows them.
            draw: What operator and temperature are drawn with.
            number: How many children were asked for before: the seed of the reply hangs on it.
            round: The strategy's round.
        """
        operator = draw.choices(list(self._operators), weights=list(self._operators.values()))[0]
        return Brief(
            operator=operator,
            parents=tuple(parent.id for parent in parents),
            facts=tuple(self._prompt.facts(parent.metrics) for parent in parents),
            target=self._prompt.target(parent.metrics for parent in parents),
            sampling=Sampling(1, draw.choice(self._temperatures), derive(self._seed, "sample", number)),
            round=round,
        )
