"""Plays a search with a strategy without a loop: asks, makes up children and tells them in any order, and can do it again."""

from dataclasses import dataclass
from random import Random

from nasmith.types import Brief, Candidate, Completion, Evaluation, Status, Tune

SEEDS = ((1000, 0.3), (2000, 0.2))
FAILURES = (Status.INVALID, Status.FAILED, Status.DUPLICATE, Status.TIMEOUT, Status.OOM)


@dataclass(frozen=True)
class Told:
    """A child with all that a strategy learns of it."""

    candidate: Candidate
    completion: Completion
    evaluation: Evaluation


def evaluated(candidate, random, brief):
    """Return an evaluation of any kind."""
    if random.random() < 0.5:
        return Evaluation(candidate.id, random.choice(FAILURES), seconds=random.random(), message="it broke")
    params, error = random.randrange(1, 9999), random.random()
    metrics = {"params": float(params), "val_error": error}
    if error < 0.5:
        metrics["fitness"] = -params * error
    return Evaluation(candidate.id, Status.OK, metrics, seconds=random.random())


def play(strategy, seed, evaluate=evaluated, operators=None):
    """Search until the strategy is done; return the course: what was asked (None too) and what was told, in order.

    Replies arrive and children are told in any order, and the strategy is asked for a few wishes at a time, as by the loop.
    `evaluate(candidate, random, brief)` says how a child did.
    """
    random, course, pending, step = Random(seed), [], [], 0
    begin(strategy, operators)
    number = len(SEEDS)
    while True:
        action = strategy.ask()
        course.append(action)
        if isinstance(action, Brief):
            for index in range(action.sampling.n):
                number += 1
                text = "" if random.random() < 0.1 else f"def Model(): {number}"
                child = Candidate(number, text, action.parents, action.operator, step=step, index=index, round=action.round)
                completion = Completion("", text, "any", 1, 1, cost=random.random() / 100, seconds=random.random())
                pending.append((child, completion, action))
        if action is not None:
            step += 1
            if random.random() < 0.5:
                continue
        elif not pending:
            return course
        for _ in range(min(len(pending), random.randrange(1, 6))):
            child, completion, brief = pending.pop(random.randrange(len(pending)))
            told = Told(child, completion, evaluate(child, random, brief))
            tell(strategy, told)
            course.append(told)


def play_again(strategy, course, operators=None, early=False):
    """Do the same calls, but without asking in vain; return what was asked now, and what was asked then.

    With `early`, a reply arrives (and is paid) before the strategy is asked again, as where replies are read from a storage.
    """
    begin(strategy, operators)
    asked, step = [], 0
    born = {}
    for entry in course:
        if isinstance(entry, Told):
            born.setdefault(entry.candidate.step, []).append(entry)
    for entry in course:
        if isinstance(entry, Told) and early:
            strategy.tell(entry.candidate, entry.evaluation)
        elif isinstance(entry, Told):
            tell(strategy, entry)
        elif entry is not None:
            asked.append(strategy.ask())
            for told in born.get(step, ()) if early else ():
                strategy.paid(told.candidate, told.completion)
            step += 1
    return asked, [entry for entry in course if isinstance(entry, Brief | Tune)]


def begin(strategy, operators=None):
    strategy.begin(3, (0.3, 0.6), operators or {"crossover": 1.0, "infill": 3.0})
    for number, (params, error) in enumerate(SEEDS, start=1):
        metrics = {"params": float(params), "val_error": error, "fitness": -params * error}
        strategy.tell(Candidate(number, f"seed {number}", label=str(number)), Evaluation(number, Status.OK, metrics))


def tell(strategy, told):
    if hasattr(strategy, "paid"):
        strategy.paid(told.candidate, told.completion)
    strategy.tell(told.candidate, told.evaluation)
