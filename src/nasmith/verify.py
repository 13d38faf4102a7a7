"""Verification of winners: the best are trained again with new seeds and scored on the test set, which the search never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace
from pathlib import Path

from nasmith.errors import ConfigError
from nasmith.events import Evaluated, Event, Stopping, Submitted
from nasmith.files import write_whole
from nasmith.history import History
from nasmith.population import Scored, front, top
from nasmith.protocols import Storage, Task
from nasmith.seeding import derive
from nasmith.trials import Trials
from nasmith.types import Candidate, Evaluation, Outcome, Status

__all__ = ["Verification", "verify", "winners"]

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Verification:
    """What is verified when a search ends.

    Attributes:
        best: How many of the fittest children; the Pareto front is verified besides. 0 turns verification off.
        front: At most this many of the Pareto front, spread evenly over it.
        seeds: Trainings of each, every one with a new seed.
        baselines: Verify the seed programs too, so that a winner is compared under the same rule.
    """

    best: int = 10
    front: int = 10
    seeds: int = 3
    baselines: bool = True

    def __post_init__(self) -> None:
        if self.best < 0 or self.front < 0 or self.seeds < 1:
            raise ConfigError(
                "verify: best and front must be at least 0 and seeds at least 1, "
                f"got {self.best}, {self.front} and {self.seeds}."
            )


def winners(task: Task, candidates: Sequence[Candidate], evaluations: Sequence[Evaluation], what: Verification) -> list[int]:
    """Return the ids to verify: seeds first, then the fittest children, then the rest of the Pareto front."""
    if not what.best:
        return []
    seeds = {candidate.id for candidate in candidates if candidate.step < 0}
    scored = [Scored(e.candidate, e.metrics) for e in evaluations if "fitness" in e.metrics and e.purpose == "search"]
    best = top((s for s in scored if s.id not in seeds), what.best)
    pareto = sorted(front(scored, task.objectives), key=lambda s: s.metrics[task.objectives[0].name])
    if len(pareto) > what.front:
        gap = (len(pareto) - 1) / max(1, what.front - 1)
        pareto = [pareto[round(i * gap)] for i in range(what.front)]
    chosen = [*(sorted(seeds) if what.baselines else ()), *(s.id for s in best), *(s.id for s in pareto if s.id not in seeds)]
    return list(dict.fromkeys(chosen))


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
    for index in range(what.seeds):
        for number in ids:
            trial_seed = derive(seed, "verify", number, index)
            known = history.verified.get((number, trial_seed))
            if known is not None:
                emit(Evaluated(candidates[number], known, known.metrics.get("fitness"), replayed=True))
            else:
                trials.submit(candidates[number], trial_seed, "verify")
                emit(Submitted(candidates[number]))
    stopping = False
    while trials.futures:
        wait(trials.futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        if stopped() and not stopping:
            stopping = True
            trials.drop_waiting()
            emit(Stopping())
        for trial, outcome, evaluation in trials.finished():
            if evaluation.status is Status.OK:
                name = f"weights/{trial.candidate.id}-{trial.job.seed}.safetensors"
                if _save(task, outcome, storage.folder(run) / name):
                    evaluation = replace(evaluation, weights=name)
            storage.add_evaluation(run, evaluation)
            emit(Evaluated(trial.candidate, evaluation, evaluation.metrics.get("fitness")))
    return not stopped()


def _save(task: Task, outcome: Outcome, path: Path) -> bool:
    """Write the state of the best validation point, if there is any; the file is whole or not there."""
    state = task.best_state(outcome)
    if state:
        from safetensors.numpy import save

        write_whole(path, save(dict(state)))
    return bool(state)
