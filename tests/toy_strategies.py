"""Strategies for designs of a space that cost nothing, and a task to disguise: for tests of what compares strategies."""

from __future__ import annotations

import sys

from nasmith.errors import UnknownNameError
from nasmith.seeding import generator
from nasmith.space import Disguise
from nasmith.testing import TOY_SPACE, ToySpaceTask
from nasmith.types import Status, Suggestion


class Masked(ToySpaceTask):
    """The toy space with its optimum, and with other names where that is wanted.

    Args:
        disguise: Seed of the names.
    """

    optimum = 91.0

    def __init__(self, disguise: int | None = None) -> None:
        self.disguise = disguise
        self._mask = None if disguise is None else Disguise(TOY_SPACE, disguise)

    @property
    def space(self):
        return TOY_SPACE if self._mask is None else self._mask.space

    def reveal(self, text):
        design = self.space.read(text)
        return super_reveal(TOY_SPACE.write(design if self._mask is None else self._mask.reveal(design)))


def super_reveal(text):
    return ToySpaceTask().reveal(text)


class Guess:
    """Draw designs at random.

    Args:
        evaluations: How many.
        batch: How many at a time.
    """

    suits = frozenset({"spaces"})
    lm_free = frozenset({"spaces"})

    def __init__(self, evaluations: int = 50, batch: int = 1) -> None:
        self.evaluations, self.batch = evaluations, batch
        self.planned = evaluations

    def enter(self, space, objectives):
        self._space = space

    def begin(self, seed, temperatures, operators):
        self._seed, self._asked, self._told, self._best = seed, 0, 0, None

    def ask(self):
        if self._asked >= self.evaluations or self._asked > self._told:
            return None
        count = min(self.batch, self.evaluations - self._asked)
        texts = tuple(self._text(self._asked + index) for index in range(count))
        self._asked += count
        return Suggestion(texts, "guess", round=self._asked)

    def _text(self, number):
        return self._space.write(self._space.sample(generator(self._seed, "guess", number)))

    def accepts(self, metrics):
        return True

    def tell(self, candidate, evaluation):
        self._told += 1
        if evaluation.status is Status.OK and (self._best is None or evaluation.metrics["fitness"] > self._best[0]):
            self._best = evaluation.metrics["fitness"], candidate


class Climb(Guess):
    """Change the best design at one position.

    Args:
        evaluations: How many.
        batch: How many at a time.
    """

    def _text(self, number):
        if self._best is None:
            return super()._text(number)
        near = self._space.neighbours(self._space.read(self._best[1].text))
        return self._space.write(generator(self._seed, "climb", number).choice(near))


class Stubborn(Guess):
    """Recommend the first design, whatever comes after it.

    Args:
        evaluations: How many.
        batch: How many at a time.
    """

    recommendation = None

    def begin(self, seed, temperatures, operators):
        super().begin(seed, temperatures, operators)
        self.recommendation = None

    def tell(self, candidate, evaluation):
        super().tell(candidate, evaluation)
        if self.recommendation is None and evaluation.status is Status.OK:
            self.recommendation = candidate.id


class Heavy(Guess):
    """Say how heavy the process is: whether it has imported PyTorch.

    Args:
        evaluations: How many.
        batch: How many at a time.
    """

    def ask(self):
        wish = super().ask()
        return wish and Suggestion(wish.texts, "heavy" if "torch" in sys.modules else "light")


class Broken(Guess):
    """Fail after some designs, with an error that pickle cannot carry.

    Args:
        evaluations: How many.
        batch: How many at a time.
    """

    def ask(self):
        if self._told >= 3 and self._seed == 1:
            raise UnknownNameError("design", "x", ["y"])
        return super().ask()
