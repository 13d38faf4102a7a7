"""Chooses who proposes, and how: wraps a strategy, and draws model and operator of each brief by what has paid lately.

Order of wrapping: `Repairing(Choosing(strategy))`. Every strategy, wrapped or not, is told of candidates whose `step` counts
its own wishes; a wrapper that adds some of its own renumbers, as `Repairing` does. So a child's step leads to the arm that was
drawn for it, whatever a model calls itself in its replies. All that was paid for one place among the children of a step is that
arm's cost: a fix is part of what it costs to make children in a way that needs fixing.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from nasmith.bandit import Bandit, Settings, reward, weights_of
from nasmith.errors import ConfigError
from nasmith.protocols import CostAwareStrategy, Strategy
from nasmith.seeding import generator
from nasmith.types import Brief, Candidate, Completion, Evaluation, Wish

__all__ = ["Choice", "Choosing"]


@dataclass(frozen=True, slots=True)
class Choice(Settings):
    """How operators are chosen, and the members of an ensemble.

    Attributes:
        by: "bandit": by what has paid lately for its cost; "weights": by the weights alone, and any member that has the
            operator; "auto": "bandit" where a model's replies cannot be had again anyway, so that nothing is lost by deciding
            by measured seconds, and otherwise "weights".
        fix: Have failed children fixed, by models that answer messages.
    """

    by: Literal["auto", "bandit", "weights"] = "auto"
    fix: bool = True

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.by not in ("auto", "bandit", "weights"):
            raise ConfigError(f"choice: by must be 'auto', 'bandit' or 'weights', got {self.by!r}.")


class Choosing:
    """Decide for each brief of a strategy which model is asked, and for which operator.

    Model and operator are drawn together. Before the first result, but for exploration, each model is as likely as any other,
    and its operators are as likely as their weights say. A brief with an operator that is not one to choose from, as a fix, is
    passed on as it is.

    With `learning`, what is drawn depends on measured seconds, so that another run of the same seed may go another way. A run
    that is resumed does not: seconds are stored, and count from when a candidate is told, not from when its reply arrived.

    `planned` and `rounds` are the strategy's.

    Args:
        strategy: Whose briefs they are. Where its attribute `operators` is given, the user has chosen: only these are used.
        models: For each model, the operators that suit it, with relative weights. One model alone is not named in briefs.
        can: For each model, all operators that it can do, of which the user may choose; None for those that suit it.
        settings: How it learns.
        learning: Draw by what has paid lately. False leaves the operator to the strategy, and draws uniformly among the models
            that have it.
    """

    def __init__(
        self,
        strategy: Strategy,
        models: Mapping[str, Mapping[str, float]],
        can: Mapping[str, Collection[str]] | None = None,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        learning: bool = True,
    ) -> None:
        self.strategy, self.models, self.can, self.settings, self.learning = strategy, models, can, settings, learning
        self.planned: int = strategy.planned
        self.rounds: int | None = getattr(strategy, "rounds", None)
        chosen = getattr(strategy, "operators", None)
        usable = _usable(models, can if can is not None else models, None if chosen is None else weights_of(chosen))
        self._operators = {operator for weights in models.values() for operator in weights} | set(chosen or ())
        self._arms = {f"{model}|{operator}": (model, operator) for model, weights in usable.items() for operator in weights}
        shares = {model: sum(weights.values()) for model, weights in usable.items()}
        self._bandit = Bandit(
            {arm: usable[model][operator] / shares[model] for arm, (model, operator) in self._arms.items()}, settings
        )
        self._seed = 0
        self._drawn: list[str] = []  # the arm of each wish; empty where none was drawn
        self._spent: dict[tuple[int, int], tuple[float, float]] = {}  # seconds and dollars of replies, by step and index
        self._scored: list[float] = []  # the fitness of all so far, ascending

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed."""
        self._seed = seed
        self.strategy.begin(seed, temperatures, operators)

    def ask(self) -> Wish | None:
        """Return the strategy's wish; a brief with the model and the operator that were drawn."""
        action = self.strategy.ask()
        if action is None:
            return None
        arm = ""
        if isinstance(action, Brief) and action.operator in self._operators:
            # The draw depends on (seed, step) and the tells before it alone.
            arm = self._draw(action.operator, generator(self._seed, "choose", len(self._drawn)))
            model, operator = self._arms[arm]
            action = replace(action, operator=operator, model=model if len(self.models) > 1 else action.model)
        self._drawn.append(arm)
        return action

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Whether the strategy accepts it."""
        return self.strategy.accepts(metrics)

    def paid(self, candidate: Candidate, completion: Completion) -> None:
        """Note what a child's reply took. It counts from when the child is told: replies arrive at no certain point."""
        place = candidate.step, candidate.index
        seconds, dollars = self._spent.get(place, (0.0, 0.0))
        self._spent[place] = seconds + completion.seconds, dollars + completion.cost
        if isinstance(self.strategy, CostAwareStrategy):
            self.strategy.paid(candidate, completion)

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn what an arm has paid, and pass it on."""
        seconds, dollars = self._spent.pop((candidate.step, candidate.index), (0.0, 0.0))
        arm = self._drawn[candidate.step] if candidate.step >= 0 else ""
        if arm:
            self._bandit.learn(arm, reward(evaluation, self._scored), seconds + evaluation.seconds, dollars)
        if "fitness" in evaluation.metrics:
            insort(self._scored, evaluation.metrics["fitness"])
        self.strategy.tell(candidate, evaluation)

    def _draw(self, operator: str, random: Random) -> str:
        """Draw an arm, where the strategy itself drew this operator."""
        if self.learning:
            return self._bandit.draw(random)
        same = [arm for arm, (_, own) in self._arms.items() if own == operator]
        if same:
            return random.choice(same)
        # No model can do what the strategy drew: one of what the user chose as well.
        return random.choices(list(self._arms), weights=[self._bandit.weights[arm] for arm in self._arms])[0]


def _usable(
    models: Mapping[str, Mapping[str, float]], can: Mapping[str, Collection[str]], chosen: Mapping[str, float] | None
) -> dict[str, dict[str, float]]:
    """Return, for each model, what may be drawn and with which weight; models with nothing are left out."""
    usable = {}
    for model, suits in models.items():
        own = suits if chosen is None else {operator: weight for operator, weight in chosen.items() if operator in can[model]}
        drawn = {operator: weight for operator, weight in own.items() if weight > 0}
        if drawn:
            usable[model] = drawn
    if not usable:
        wanted = "the language model's own operators" if chosen is None else f"the operators {', '.join(chosen)}"
        has = "; ".join(f"{model or 'it'} can do: {', '.join(can[model]) or 'none'}" for model in models)
        raise ConfigError(f"operators: no language model can do any of {wanted}. Choose among what one can do. {has}.")
    return usable
