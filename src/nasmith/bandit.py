"""Draws among arms in proportion to what each has lately paid for its cost, and says what a child is worth.

The rule is probability matching (Thierens 2005, "An adaptive pursuit strategy for allocating operator probabilities", GECCO),
with reward per cost as the quality of an arm (Tran-Thanh, Chapman, Rogers, Jennings 2012, "Knapsack based optimal policies for
budget-limited multi-armed bandits", AAAI) and a window instead of its discount: what an operator is worth changes as a search
goes on.

The arms are those with a weight above 0; K is their number and w_a an arm's weight divided by the mean weight. Of each arm the
last W results count. A result is a reward r in [0, 1] at a cost of c = max(1e-6, seconds * second_price + dollars) dollars.
R_a and C_a are the sums of an arm's rewards and costs, R, C and N the sums and the count over all arms. Then

    r0 = (1 + R) / (1 + N)                                the mean reward, as if one more result had the reward 1
    c0 = C / N, or 1 where N = 0                          the mean cost
    pay_a = (R_a + k * w_a * r0) / (C_a + k * c0)         as if each arm had k average results, its weight times as good
    P(a) = exploration / K + (1 - exploration) * pay_a / (sum of all pay)

So the weights are an opinion held before the first result, worth k results; what has paid replaces it. Every arm keeps a
probability of at least exploration / K, so that one that was unlucky, or has become good, is found again.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from nasmith.errors import ConfigError
from nasmith.types import Evaluation, Status

__all__ = ["Bandit", "Settings", "reward", "weights_of"]

LEAST_COST = 1e-6
"""US dollars that a result costs at least, so that what is free has a finite pay."""

_VALID = 0.25


@dataclass(frozen=True, slots=True)
class Settings:
    """How a bandit learns.

    Attributes:
        window: Results of an arm that count, the last ones (W).
        exploration: Share of the draws that is uniform, in [0, 1].
        prior_results: Results that the arms' weights are worth (k), above 0.
        second_price: US dollars that a second is worth; the default is 0.36 an hour, a small machine.
    """

    window: int = 48
    exploration: float = 0.1
    prior_results: float = 4.0
    second_price: float = 0.0001

    def __post_init__(self) -> None:
        rules = {
            "window": (self.window >= 1, "at least 1"),
            "exploration": (0 <= self.exploration <= 1, "a share from 0 to 1"),
            "prior_results": (0 < self.prior_results < math.inf, "above 0"),
            "second_price": (0 <= self.second_price < math.inf, "0 or more US dollars"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ConfigError(f"bandit: {name} must be {rule}, got {getattr(self, name)!r}.")


class Bandit:
    """Arms with what they have lately paid. The module's docstring has the formula.

    Args:
        weights: Relative weights by arm; an arm of weight 0 is never drawn.
        settings: How it learns.
    """

    def __init__(self, weights: Mapping[str, float], settings: Settings = Settings()) -> None:
        self.weights, self.settings = dict(weights), settings
        drawn = {arm: weight for arm, weight in weights.items() if weight > 0}
        if not drawn or min(weights.values()) < 0 or not math.isfinite(sum(weights.values())):
            raise ConfigError(f"weights must be 0 or more, one of them above 0, got {dict(weights)}.")
        mean = sum(drawn.values()) / len(drawn)
        self._weights = {arm: weight / mean for arm, weight in drawn.items()}
        self._results: dict[str, deque[tuple[float, float]]] = {arm: deque(maxlen=settings.window) for arm in drawn}

    def learn(self, arm: str, reward: float, seconds: float, dollars: float) -> None:
        """Take a result of an arm: a reward in [0, 1], and what it took."""
        if not 0 <= reward <= 1:
            raise ValueError(f"a reward lies in [0, 1], got {reward}")
        self._results[arm].append((reward, max(LEAST_COST, seconds * self.settings.second_price + dollars)))

    def probabilities(self) -> dict[str, float]:
        """Return the chance of each arm that can be drawn; they add up to 1."""
        sums = {arm: (sum(r for r, _ in results), sum(c for _, c in results)) for arm, results in self._results.items()}
        count = sum(map(len, self._results.values()))
        reward = (1 + sum(r for r, _ in sums.values())) / (1 + count)
        cost = sum(c for _, c in sums.values()) / count if count else 1.0
        k = self.settings.prior_results
        pay = {arm: (r + k * self._weights[arm] * reward) / (c + k * cost) for arm, (r, c) in sums.items()}
        total, exploration = sum(pay.values()), self.settings.exploration
        return {arm: exploration / len(pay) + (1 - exploration) * value / total for arm, value in pay.items()}

    def draw(self, random: Random) -> str:
        """Draw an arm: one number of `random`."""
        chances = self.probabilities()
        return random.choices(list(chances), weights=list(chances.values()))[0]


def reward(evaluation: Evaluation, earlier: Sequence[float]) -> float:
    """Return what a child is worth, in [0, 1]: 0 unless it is OK, else 0.25 + 0.75 times the share of `earlier` that it beats.

    A new program that trains is worth something: it is what most replies fail at, and the next generation can build on it. The
    rest is for being better. A rank needs no scale of the fitness, and does not let one lucky child outweigh all others.

    Args:
        evaluation: The child's. Without the metric "fitness" it beats nobody.
        earlier: The fitness of all that were scored before, seeds included, ascending. Where there are none, it beats all.
    """
    if evaluation.status is not Status.OK:
        return 0.0
    fitness = evaluation.metrics.get("fitness")
    if fitness is None:
        return _VALID
    share = bisect_left(earlier, fitness) / len(earlier) if earlier else 1.0
    return _VALID + (1 - _VALID) * share


def weights_of(operators: str | Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """Return relative weights by operator: of one name, of a list of names (equal weights), or of a mapping.

    Raises:
        ConfigError: It is something else, there is none, or a weight is not a number from 0 up with one above 0.
    """
    names = [operators] if isinstance(operators, str) else operators
    weights = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, 1)
    fit = all(isinstance(name, str) and name for name in weights) and all(
        isinstance(weight, int | float) and 0 <= weight < math.inf for weight in weights.values()
    )
    if not fit or not any(weights.values()):
        raise ConfigError(
            "operators must be a name, a list of names, or names with weights (numbers from 0 up, one of them above 0), "
            f"got {operators!r}."
        )
    return {name: float(weight) for name, weight in weights.items()}
