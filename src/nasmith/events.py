"""What a running search tells its observers: plain facts, in order, after they are stored.

An observer is any callable that takes one event. Observers run on the loop's thread: they must be quick. One that raises
`nasmith.stopping.StopSearch` ends the search in good order; any other exception stops the run like any other bug.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nasmith.types import Call, Candidate, Completion, Evaluation, Run, Tuning, Wish

__all__ = [
    "Asked",
    "Called",
    "Climbed",
    "Evaluated",
    "Event",
    "Finished",
    "Observer",
    "Proposed",
    "Replied",
    "Started",
    "Stopping",
    "Submitted",
    "Tuned",
    "TuningProgress",
    "Verifying",
]


@dataclass(frozen=True, slots=True)
class Started:
    """The run exists in the storage. `planned` is the number of children that it will make, None where nobody knows."""

    run: Run
    resumed: bool
    slots: int
    planned: int | None = None
    rounds: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The strategy made its wish number `step`; the language model works on it next (or its stored replies are read)."""

    step: int
    action: Wish


@dataclass(frozen=True, slots=True)
class Replied:
    """The language model answered one request of a step. Not sent for replies read from the storage."""

    step: int
    completions: tuple[Completion, ...]


@dataclass(frozen=True, slots=True)
class Called:
    """An exchange with the language model gave no completion: the check at the start, or something that went wrong."""

    call: Call


@dataclass(frozen=True, slots=True)
class Proposed:
    """A candidate exists. `replayed` where it came from the storage."""

    candidate: Candidate
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Submitted:
    """A candidate was handed to the executor."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation is stored and told. `fitness` (higher is better) is None unless its status is OK."""

    candidate: Candidate
    evaluation: Evaluation
    fitness: float | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Climbed:
    """A training reached a rung, where it may be given up; its evaluation there is stored."""

    candidate: Candidate
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class TuningProgress:
    """The language model is learning: `done` of `total` optimiser steps."""

    round: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """A round of tuning is stored. `replayed` where it came from the storage."""

    tuning: Tuning
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Stopping:
    """The search was asked to stop: what runs is finished and stored, nothing new begins."""


@dataclass(frozen=True, slots=True)
class Verifying:
    """The search is over; these candidates (ids) are trained again with `seeds` new seeds and scored on the test set."""

    candidates: tuple[int, ...]
    seeds: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. `reason` is for people; `complete` is False where the run can be resumed."""

    reason: str
    complete: bool


Event = (
    Started
    | Asked
    | Called
    | Replied
    | Proposed
    | Submitted
    | Climbed
    | Evaluated
    | TuningProgress
    | Tuned
    | Stopping
    | Verifying
    | Finished
)
Observer = Callable[[Event], None]
