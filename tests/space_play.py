"""Plays searches of spaces: without a loop, with a fitness that a test makes up; and whole ones that break off and go on."""

import pytest

import nasmith
from nasmith.events import Evaluated
from nasmith.testing import TOY_SPACE, ToySpaceTask
from nasmith.types import Candidate, Evaluation, Objective, Status, Suggestion
from toy_runs import records

OBJECTIVES = (Objective("accuracy", "maximize"), Objective("params", "minimize"))


def told(number, design, fitness):
    """Return the evaluation of a design; a fitness of None is a failure."""
    if fitness is None:
        return Evaluation(number, Status.INVALID, message="it is too large")
    return Evaluation(number, Status.OK, {"accuracy": fitness, "params": float(sum(design)), "fitness": fitness})


def begun(strategy, seed=0, space=TOY_SPACE, seeds=()):
    """Begin a search; `seeds` are pairs of a design and its fitness."""
    strategy.enter(space, OBJECTIVES)
    strategy.begin(seed, (1.0,), {"none": 1.0})
    for number, (design, fitness) in enumerate(seeds, start=1):
        strategy.tell(Candidate(number, space.write(design), index=number - 1), told(number, design, fitness))
    return strategy


def play(strategy, fitness, seed=0, space=TOY_SPACE, seeds=()):
    """Search to the end; return [(candidate, its design)] without seeds. `fitness(design)` is None where it fails."""
    begun(strategy, seed, space, seeds)
    made, running = [], []
    while True:
        while (wish := strategy.ask()) is not None:
            assert isinstance(wish, Suggestion)
            (text,) = wish.texts
            number = len(seeds) + len(made) + 1
            candidate = Candidate(number, text, wish.parents, wish.operator, step=len(made), round=wish.round)
            made.append((candidate, space.read(text)))
            running.append(made[-1])
        if not running:
            return made
        for candidate, design in reversed(running):
            strategy.tell(candidate, told(candidate.id, design, fitness(design)))
        running = []


def designs(made):
    """The designs of what `play` returned, in order."""
    return [design for _, design in made]


class StoppedError(Exception):
    """The process was ended."""


def check_whole_search(make, folder, children):
    """Search the toy space through nasmith, once as a whole and once broken off in the middle; return the first's result."""
    settings = {"name": "run", "seed": 3}
    result = nasmith.search(ToySpaceTask(), strategy=make(), storage=folder / "whole.sqlite3", **settings)
    counted = []

    def stop(event):
        counted.append(event) if isinstance(event, Evaluated) else None
        if len(counted) == children // 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        nasmith.search(ToySpaceTask(), strategy=make(), storage=folder / "parts.sqlite3", observers=[stop], **settings)
    nasmith.resume("run", folder / "parts.sqlite3")
    assert records(folder / "whole.sqlite3") == records(folder / "parts.sqlite3")
    candidates = records(folder / "whole.sqlite3")[0]
    assert len(candidates) == children == len({candidate.canonical for candidate in candidates})
    return result
