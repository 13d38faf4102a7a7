"""The task of a search whose candidates are trained in a loop of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nasmith import valuing
from nasmith.errors import ConfigError, SeedError
from nasmith.frames import agree
from nasmith.protocols import Data
from nasmith.source import definitions
from nasmith.types import Bound, Description, Objective, Outcome, Purpose
from nasmith.valuing import Selection

__all__ = ["OwnTask", "goals_of", "limits_of"]


class OwnTask:
    """The `Task` of a search whose candidates are trained elsewhere: programs and objectives, no data.

    Args:
        programs: Seed programs by name.
        goals: Fields of an `Objective` each.
        first_line: The line that every program opens with; may be empty.
        statement: What a program must be, and what counts.
        preamble: Code above every program.
        limits: Fields of a `Bound` each.
        selection: How objectives make one number.

    Raises:
        ConfigError, SeedError: As for `OwnLoop`.
    """

    name = "own-loop"

    def __init__(
        self,
        programs: Mapping[str, str],
        goals: Sequence[Mapping[str, Any]],
        first_line: str = "def Model():",
        statement: str = "",
        preamble: str = "",
        limits: Sequence[Mapping[str, Any]] = (),
        selection: Selection = "product",
    ) -> None:
        self.programs, self.goals, self.limits, self.selection = programs, goals, limits, selection
        self.first_line, self.statement, self.preamble = first_line, statement, preamble
        self.objectives: Sequence[Objective] = tuple(Objective(**goal) for goal in goals)
        self.bounds: Sequence[Bound] = tuple(Bound(**limit) for limit in limits)
        if not isinstance(programs, Mapping) or not all(isinstance(text, str) for text in programs.values()):
            raise ConfigError(f"seeds must be texts of programs by name, as in {{'mine': text}}; got {programs!r}.")
        if selection not in valuing.SELECTIONS:
            raise ConfigError(f"selection must be one of {', '.join(valuing.SELECTIONS)}, got {selection!r}.")
        valuing.check(self.objectives, selection)
        try:
            self._fixed = agree(programs)
        except ValueError as error:
            raise SeedError(f"{error}.") from error
        for label, text in programs.items():
            _check_seed(label, text, self.describe().entry)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a run has where the user names nothing. There is no verification: nobody would train anything again."""
        options = {"error_threshold": 1.0} | ({"selection": "pareto"} if self.selection == "pareto" else {})
        return {"strategy": {"name": "evoprompting", "options": options}, "verify": {"best": 0}}

    @property
    def needed(self) -> tuple[str, ...]:
        """Metrics that each training has to measure."""
        return tuple(dict.fromkeys([*(aim.name for aim in self.objectives), *(bound.name for bound in self.bounds)]))

    def describe(self) -> Description:
        """What the user says of the programs."""
        aims = [f"{'low' if aim.direction == 'minimize' else 'high'} {aim.name}" for aim in self.objectives]
        said = self.statement or f"A program in Python that begins with `{self.first_line}`. Wanted: {', '.join(aims)}."
        return Description("a training loop of one's own", self.first_line, self.preamble, statement=said, fixed=self._fixed)

    def seeds(self) -> Mapping[str, str]:
        """The programs to begin with."""
        return self.programs

    def workload(self) -> _Elsewhere:
        """Nothing that could run a program."""
        return _Elsewhere()

    def data(self) -> Data:
        """None: the user has them."""
        return {}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """The metrics as they were told."""
        return outcome.facts

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """One number of the objectives; higher is better."""
        return valuing.value(metrics, self.objectives, self.selection)

    def best_state(self, outcome: Outcome) -> None:
        """None: there is no second account of a training that was run elsewhere."""


class _Elsewhere:
    """The `Workload` of programs that are run by the user."""

    def warm(self) -> None:
        raise RuntimeError("candidates of this task are run by the user's own loop")

    def screen(self, text: str) -> Mapping[str, float]:
        raise RuntimeError("candidates of this task are run by the user's own loop")

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        raise RuntimeError("candidates of this task are run by the user's own loop")

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        raise RuntimeError("candidates of this task are run by the user's own loop")


def _check_seed(label: str, text: str, entry: str) -> None:
    try:
        known = definitions(text)
    except ValueError as error:
        raise SeedError(f"seed {label!r}: {error}.") from error
    if entry and entry not in known:
        raise SeedError(
            f'seed {label!r} does not define {entry}: every program must, as first_line says. Say it otherwise, or "".'
        )


def goals_of(objectives: Mapping[str, str] | Sequence[Objective | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write out objectives as plain values.

    Raises:
        ConfigError: They are none.
    """
    items = [{name: direction} for name, direction in objectives.items()] if isinstance(objectives, Mapping) else objectives
    goals: list[dict[str, Any]] = []
    for item in items:
        goal = asdict(item) if isinstance(item, Objective) else dict(item) if isinstance(item, Mapping) else {"": item}
        if len(goal) == 1 and "name" not in goal:
            ((name, direction),) = goal.items()
            goal = {"name": name, "direction": direction}
        unknown = goal.keys() - Objective.__dataclass_fields__.keys()
        if unknown or not goal.get("name") or goal.get("direction") not in ("minimize", "maximize"):
            raise ConfigError(
                f'objectives must be as in {{"val_error": "minimize", "params": "minimize"}}, with "minimize" or "maximize"; '
                f"got {item!r}."
            )
        goals.append(goal)
    names = [goal["name"] for goal in goals]
    if not names or len(set(names)) < len(names) or "fitness" in names:
        raise ConfigError(
            f"objectives must be one metric at least, each named once, and none called fitness, which nasmith computes; "
            f"got {', '.join(names) or 'none'}."
        )
    return goals


def limits_of(bounds: Mapping[str, Mapping[str, float]] | Sequence[Bound]) -> list[dict[str, Any]]:
    """Write out bounds as plain values.

    Raises:
        ConfigError: They are none.
    """
    if not isinstance(bounds, Mapping):
        return [asdict(bound) for bound in bounds]
    for name, bound in bounds.items():
        wrong = not isinstance(bound, Mapping) or not bound or bound.keys() - {"at_most", "at_least"}
        if wrong or not all(isinstance(limit, int | float) for limit in bound.values()):
            raise ConfigError(
                f'bounds must be as in {{"params": {{"at_most": 100_000}}}}, or "at_least"; got {name!r}: {bound!r}.'
            )
    return [{"name": name, **bound} for name, bound in bounds.items()]
