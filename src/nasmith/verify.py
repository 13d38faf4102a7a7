"""Verification of winners: the best are trained again with new seeds and scored on the test set, which the search never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from nasmith.analysis import half_width
from nasmith.errors import ConfigError
from nasmith.events import Evaluated, Event, Stopping, Submitted
from nasmith.files import write_whole
from nasmith.history import History
from nasmith.population import Scored, front, top
from nasmith.protocols import Storage, Task
from nasmith.seeding import derive
from nasmith.trials import Trials
from nasmith.types import Candidate, Evaluation, Objective, Outcome, Status

__all__ = ["Verification", "contenders", "verify", "winners"]

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Verification:
    """What is verified when a search ends.

    Attributes:
        best: How many of the fittest children; the Pareto front is verified besides. 0 turns verification off.
        front: At most this many of the Pareto front: first those that beat a seed in all objectives or are equal to it in some,
            spread evenly over them, then others, likewise.
        seeds: Trainings of each, every one with a new seed.
        baselines: Verify the seed programs too, so that a winner is compared under the same rule.
        most_seeds: Where more than `seeds`, the leaders are trained on, with one new seed after the other up to so many, as
            long as more than one child's mean fitness may be the best: those whose 95% confidence interval reaches into that
            of the leader.
    """

    best: int = 10
    front: int = 10
    seeds: int = 3
    baselines: bool = True
    most_seeds: int = 0

    def __post_init__(self) -> None:
        if self.best < 0 or self.front < 0 or self.seeds < 1:
            raise ConfigError(
                "verify: best and front must be at least 0 and seeds at least 1, "
                f"got {self.best}, {self.front} and {self.seeds}."
            )
        if self.most_seeds < 0 or (self.most_seeds > self.seeds and self.seeds < 2):
            raise ConfigError(
                "verify: most_seeds must be at least 0, and a confidence interval takes 2 seeds at least, "
                f"got {self.most_seeds} and {self.seeds}."
            )


def winners(task: Task, candidates: Sequence[Candidate], evaluations: Sequence[Evaluation], what: Verification) -> list[int]:
    """Return the ids to verify: seeds first, then the fittest children, then the rest of the Pareto front."""
    if not what.best:
        return []
    seeds = {candidate.id for candidate in candidates if candidate.step < 0}
    scored = [Scored(e.candidate, e.metrics) for e in evaluations if "fitness" in e.metrics and e.purpose == "search"]
    best = top((s for s in scored if s.id not in seeds), what.best)
    pareto = sorted(front(scored, task.objectives), key=lambda s: s.metrics[task.objectives[0].name])
    pareto, own = [s for s in pareto if s.id not in seeds], [s for s in scored if s.id in seeds]
    beating = [s for s in pareto if any(_beats(s, seed, task.objectives) for seed in own)]
    pareto = _spread(beating, what.front) + _spread([s for s in pareto if s not in beating], what.front - len(beating))
    chosen = [*(sorted(seeds) if what.baselines else ()), *(s.id for s in best), *(s.id for s in pareto)]
    return list(dict.fromkeys(chosen))


def _beats(one: Scored, other: Scored, objectives: Sequence[Objective]) -> bool:
    """Whether one is at least as good as another in every objective."""
    signs = {o.name: 1.0 if o.direction == "minimize" else -1.0 for o in objectives}
    return all(sign * one.metrics[name] <= sign * other.metrics[name] for name, sign in signs.items())


def _spread(items: Sequence[Scored], most: int) -> list[Scored]:
    """Return at most so many of some, spread evenly over them."""
    if len(items) <= most:
        return list(items)
    if most < 1:
        return []
    gap = (len(items) - 1) / max(1, most - 1)
    return [items[round(i * gap)] for i in range(most)]


def verify(
    ids: Sequence[int],
    candidates: Mapping[int, Candidate],
    what: Verification,
    *,
    seed: int,
    run: str,
    task: Task,
    trials: Trials,
    storage: Storage,
    history: History,
    stopped: Callable[[], bool],
    emit: Callable[[Event], None],
) -> bool:
    """Train each candidate with each new seed, store weights and evaluations; return whether all are there.

    Args:
        ids: Candidates to verify.
        candidates: By id.
        what: How many seeds.
        seed: The run's.
        run: The run's name.
        task: Scores on the test set and picks the weights of the best validation point.
        trials: Free of other work.
        storage: Takes the results.
        history: Knows which are done already.
        stopped: Asked between trainings; what runs then is finished, what waits is dropped.
        emit: Called with what observers should know, after it is stored.
    """
    found: list[Evaluation] = []
    session = _Session(run, task, trials, storage, stopped, emit)
    for index in range(max(what.seeds, what.most_seeds)):
        if index >= what.seeds:
            ids = contenders([e for e in found if candidates[e.candidate].step >= 0], task)
        for number in ids:
            trial_seed = derive(seed, "verify", number, index)
            known = history.verified.get((number, trial_seed))
            if known is not None:
                found.append(known)
                emit(Evaluated(candidates[number], known, known.metrics.get("fitness"), replayed=True))
            else:
                trials.submit(candidates[number], trial_seed, "verify")
                emit(Submitted(candidates[number]))
        if index >= what.seeds - 1:  # the first seeds queue together, so that no worker waits
            found += session.finish()
        if stopped():
            return False
    return True


def contenders(evaluations: Sequence[Evaluation], task: Task) -> list[int]:
    """Return the candidates that may be the best by the mean fitness of their trainings; none where one alone may be.

    Those whose 95% confidence interval (Student's t) reaches into that of the candidate with the best mean.

    Args:
        evaluations: Verifications; of each candidate at least two count.
        task: Says the fitness.
    """
    values: dict[int, list[float]] = {}
    for evaluation in evaluations:
        if evaluation.status is Status.OK:
            values.setdefault(evaluation.candidate, []).append(task.fitness(evaluation.metrics))
    several = {number: found for number, found in values.items() if len(found) > 1}
    spans = {n: (fmean(found) - half_width(found), fmean(found) + half_width(found)) for n, found in several.items()}
    if not spans:
        return []
    leader = max(spans, key=lambda number: (sum(spans[number]), -number))
    close = [number for number, (_, high) in spans.items() if high >= spans[leader][0]]
    return sorted(close) if len(close) > 1 else []


@dataclass(slots=True)
class _Session:
    """Takes in trainings as they end; each is stored with its weights before anybody hears of it."""

    run: str
    task: Task
    trials: Trials
    storage: Storage
    stopped: Callable[[], bool]
    emit: Callable[[Event], None]
    stopping: bool = False

    def finish(self) -> list[Evaluation]:
        """Wait for all trainings that are out, and return their evaluations."""
        found = []
        while self.trials.futures:
            wait(self.trials.futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            if self.stopped() and not self.stopping:
                self.stopping = True
                self.trials.drop_waiting()
                self.emit(Stopping())
            for trial, outcome, evaluation in self.trials.finished():
                if evaluation.status is Status.OK:
                    name = f"weights/{trial.candidate.id}-{trial.job.seed}.safetensors"
                    if _save(self.task, outcome, self.storage.folder(self.run) / name):
                        evaluation = replace(evaluation, weights=name)
                self.storage.add_evaluation(self.run, evaluation)
                self.trials.note(evaluation)
                self.emit(Evaluated(trial.candidate, evaluation, evaluation.metrics.get("fitness")))
                found.append(evaluation)
        return found


def _save(task: Task, outcome: Outcome, path: Path) -> bool:
    """Write the state of the best validation point, if there is any; the file is whole or not there."""
    state = task.best_state(outcome)
    if state:
        from safetensors.numpy import save

        write_whole(path, save(dict(state)))
    return bool(state)
