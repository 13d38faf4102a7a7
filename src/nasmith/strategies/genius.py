"""GENIUS: a chat model as a black-box optimiser over a fixed space. It proposes a design, is told what it reaches, and so on.

Source: Zheng et al., "Can GPT-4 Perform Neural Architecture Search?", 2023, arXiv:2304.10970. 10 designs at temperature 0.

The three conversations are those of its experiments (`propose/conversations.py` writes them):
- "rebuilt": every request is one message with the problem and all results (NAS-Bench-Macro, Channel-Bench-Macro).
- "running": one conversation that goes on, each answer followed by what its design reached (NAS-Bench-201).
- "restarted": each iteration begins again with the problem, the principles of the first answer and all results (ImageNet).

Where it deviates, and why:
- The paper's scripts end at an answer without a design, or with a repeated one, and a person mended what did not fit. Here the
  model is told what was wrong and asked again, a bounded number of times, in each of the conversations.
- An equal design is never measured twice; the answer counts as a repeat.
- Each repeat raises the temperature of the requests that follow within the iteration, and an iteration without a design that of
  the next one. A model that repeats itself at temperature 0 has no other way out. `warming=0` leaves the paper's temperature.
- A base model is asked in one way, whatever the conversation: it continues a list of designs by their accuracy. Where it can be
  held to a grammar it can say nothing but a design that the list does not have. It is sampled at temperature 1 at least, and
  the accuracy that it is to reach lies a tenth of the way from the best one to 100%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from nasmith.errors import ConfigError, UsageError
from nasmith.seeding import derive
from nasmith.space import Space
from nasmith.types import Brief, Candidate, Evaluation, Objective, Sampling, Status

__all__ = ["Genius"]

_DECIMALS = {"rebuilt": 2, "running": 3, "restarted": 2}
_HOTTEST = 1.0
_MOST_FRUITLESS = 2  # iterations in a row


class Genius:
    """Ask a language model for designs, one after the other, and tell it what each reaches.

    Args:
        designs: Designs that are measured.
        samples: Answers to each request. With more than one, several designs of an iteration may be measured.
        conversation: "rebuilt", "running" or "restarted"; None for the one that belongs to the space.
        temperature: Of the first request of an iteration. A base model is sampled at 1 at least.
        warming: What a repeated design adds to the temperature of the next requests of its iteration, and an iteration in vain
            to that of the next one, up to 1.
        repairs: Follow-ups in an iteration whose answers cannot be used. After two such iterations in a row the search ends.
    """

    suits = frozenset({"spaces"})

    def __init__(
        self,
        designs: int = 10,
        samples: int = 1,
        conversation: Literal["rebuilt", "running", "restarted"] | None = None,
        temperature: float = 0.0,
        warming: float = 0.2,
        repairs: int = 5,
    ) -> None:
        for name, value, least in (("designs", designs, 1), ("samples", samples, 1), ("repairs", repairs, 0)):
            if value < least:
                raise ConfigError(f"genius: {name} must be at least {least}, got {value}.")
        for name, number in (("temperature", temperature), ("warming", warming)):
            if not number >= 0:
                raise ConfigError(f"genius: {name} must be at least 0, got {number}.")
        if conversation is not None and conversation not in _DECIMALS:
            raise ConfigError(f"genius: conversation must be one of {', '.join(_DECIMALS)}, or left out, got {conversation!r}.")
        self.designs, self.samples, self.conversation = designs, samples, conversation
        self.temperature, self.warming, self.repairs = temperature, warming, repairs
        self._form, self._metric, self._seed = "rebuilt", "", 0
        self._stated: tuple[str, ...] = ()
        self._measured: list[tuple[int, float]] = []  # id and accuracy, seeds too
        self._facts: dict[int, dict[str, str]] = {}  # what else is stated of them
        self._found = 0  # of these, designs that were asked for
        self._failed: list[tuple[int, str]] = []  # answers of this iteration that cannot be used, and why
        self._first = 0  # id of the first answer
        self._reached: dict[str, float] = {}  # accuracy by what equal designs share
        self._flaws: dict[str, str] = {}  # why a design cannot be used, likewise
        self._told: list[tuple[Candidate, Evaluation]] = []  # of the brief that is out
        self._out = 0  # children of that brief
        self._iteration = self._attempt = self._fruitless = self._repeats = 0

    @property
    def planned(self) -> int:
        """Designs that a whole search measures; answers that cannot be used come on top."""
        return self.designs

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the space and the objective.

        Raises:
            UsageError: There is no space, or the first objective is no accuracy.
        """
        if space is None:
            raise UsageError("genius searches spaces of designs; this task has programs.")
        first = objectives[0]
        if (first.direction, first.unit) != ("maximize", "%"):
            raise UsageError(
                f"genius tells the language model an accuracy in percent, and the task's first objective is {first.name!r}: "
                f"{first.direction}, unit {first.unit!r}. Put an objective first that is to be maximised, with the unit '%'."
            )
        form = self.conversation or space.conversation
        if form not in _DECIMALS:
            raise UsageError(f"space {space.name!r}: conversation must be one of {', '.join(_DECIMALS)}, got {form!r}.")
        self._form, self._metric, self._stated = form, first.name, space.stated

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed. What suits the language model for programs is not asked."""
        self._seed = seed

    def ask(self) -> Brief | None:
        """Return the next request; None while its answers are out, and at the end."""
        if self._out or self._found >= self.designs or self._fruitless >= _MOST_FRUITLESS:
            return None
        brief = self._brief()
        self._out = brief.sampling.n
        return brief

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Every design that was measured counts."""
        return True

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn what a seed or an answer was worth."""
        if candidate.step < 0:
            if evaluation.status is Status.OK:
                self._measure(candidate, evaluation)
            return
        self._told.append((candidate, evaluation))
        if len(self._told) == self._out:
            self._close()

    def _brief(self) -> Brief:
        shown = {number: {"accuracy": self._said(accuracy), **self._facts[number]} for number, accuracy in self._measured}
        facts: dict[int, Mapping[str, str]] = {}
        if self._form == "restarted" and self._iteration and self._first not in shown:
            facts[self._first] = {}  # it lends its principles
        facts |= {**shown, **{number: {"error": error} for number, error in self._failed}}
        warmed = self.temperature + self.warming * (self._repeats + self._fruitless)
        return Brief(
            operator=self._form,
            parents=tuple(facts),
            facts=tuple(facts.values()),
            target=self._target(),
            sampling=Sampling(
                n=min(self.samples, self.designs - self._found),
                temperature=round(max(self.temperature, min(_HOTTEST, warmed)), 6),
                seed=derive(self._seed, "design", self._iteration, self._attempt),
            ),
            round=self._iteration,
        )

    def _target(self) -> dict[str, str]:
        """Say what a base model's next design should reach."""
        if not self._measured:
            return {}
        best = max(accuracy for _, accuracy in self._measured)
        return {"accuracy": self._said(best + 0.1 * max(0.0, 100.0 - best))}

    def _said(self, accuracy: float) -> str:
        return f"{accuracy:.{_DECIMALS[self._form]}f}"

    def _measure(self, candidate: Candidate, evaluation: Evaluation) -> None:
        accuracy = evaluation.metrics[self._metric]
        self._measured.append((candidate.id, accuracy))
        known = {name: evaluation.metrics[name] for name in self._stated if name in evaluation.metrics}
        self._facts[candidate.id] = {name: _amount(name, value) for name, value in known.items()}
        self._reached[candidate.canonical] = accuracy

    def _close(self) -> None:
        """Take in the answers to a brief, by id: they may be told in any order."""
        for candidate, evaluation in sorted(self._told, key=lambda pair: pair[0].id):
            self._first = self._first or candidate.id
            if evaluation.status is Status.OK:
                self._measure(candidate, evaluation)
                self._found += 1
            else:
                error = self._error(candidate, evaluation)
                self._failed.append((candidate.id, error))
                self._flaws.setdefault(candidate.canonical, error)
                self._repeats += evaluation.status is Status.DUPLICATE
        succeeded = any(evaluation.status is Status.OK for _, evaluation in self._told)
        self._told, self._out = [], 0
        self._attempt += 1
        if succeeded or self._attempt > self.repairs:
            self._fruitless = 0 if succeeded else self._fruitless + 1
            self._iteration += 1
            self._failed, self._attempt, self._repeats = [], 0, 0

    def _error(self, candidate: Candidate, evaluation: Evaluation) -> str:
        """Say why an answer cannot be used, in words for the model."""
        if evaluation.status is Status.DUPLICATE:
            reached = self._reached.get(candidate.canonical)
            if reached is None:
                flaw = self._flaws.get(candidate.canonical, "it cannot be used")
                return f"this design, or one equal to it, was proposed before: {flaw}"
            return f"this design, or one equal to it, was tested before and gives an accuracy of {self._said(reached)}%"
        if evaluation.status is Status.INVALID:
            how = "the design" if evaluation.message.startswith("fails ") else "the design is not accepted:"
            return f"{how} {evaluation.message}" if candidate.text else evaluation.message
        return f"the design could not be measured ({evaluation.status}): {evaluation.message}"


def _amount(name: str, value: float) -> str:
    """Write a metric that is stated beside the accuracy: FLOPs in whole millions, as the paper's conversation has them."""
    return f"{value / 1e6:.0f} M FLOPs" if name == "flops" else f"{name} {value:.4g}"
