"""Candidates on their way through the executor: job, outcome, score, evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

from nasmith.errors import RunStoppedError
from nasmith.protocols import Executor, Task
from nasmith.redaction import redacted
from nasmith.types import Candidate, Evaluation, Job, Outcome, Purpose, Status

__all__ = ["Trial", "Trials", "judge"]

_RETRIES = 2  # of an evaluation that failed by our fault


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that waits for its evaluation or is being trained."""

    candidate: Candidate
    job: Job
    purpose: Purpose
    attempt: int = 0


class Trials:
    """The trials that are out. Called from the loop's thread alone."""

    def __init__(self, task: Task, executor: Executor, accepts: Callable[[Mapping[str, float]], bool]) -> None:
        self._task, self._executor, self._accepts = task, executor, accepts
        self._out: dict[Future[Outcome], Trial] = {}

    @property
    def futures(self) -> list[Future[Outcome]]:
        """What to wait for."""
        return list(self._out)

    def submit(self, candidate: Candidate, seed: int, purpose: Purpose = "search") -> None:
        """Hand a candidate to the executor; a verification predicts the test set as well."""
        splits = ("val",) if purpose == "search" else ("val", "test")
        self._submit(Trial(candidate, Job(candidate.id, candidate.text, seed, splits), purpose))

    def finished(self) -> Iterator[tuple[Trial, Outcome, Evaluation]]:
        """Take out what is done, judged.

        Raises:
            RunStoppedError: An evaluation failed by our fault for the third time.
        """
        for future in [future for future in self._out if future.done()]:
            trial, outcome = self._out.pop(future), future.result()
            if outcome.status is not Status.ERROR:
                yield trial, outcome, judge(self._task, trial, outcome, self._accepts)
            elif trial.attempt < _RETRIES:
                self._submit(replace(trial, attempt=trial.attempt + 1))
            else:
                raise RunStoppedError(
                    f"candidate {trial.candidate.id} could not be evaluated in {_RETRIES + 1} attempts, which is nasmith's "
                    f"fault and not the candidate's: {outcome.message}"
                )

    def drop_waiting(self) -> None:
        """Forget the trials that have not begun."""
        self._forget(future for future in self.futures if future.cancel())

    def _submit(self, trial: Trial) -> None:
        self._out[self._executor.submit(trial.job)] = trial

    def _forget(self, futures: Iterable[Future[Outcome]]) -> None:
        for future in futures:
            del self._out[future]


def judge(task: Task, trial: Trial, outcome: Outcome, accepts: Callable[[Mapping[str, float]], bool]) -> Evaluation:
    """Make an evaluation of an outcome: scored here, in the trusted process.

    Only the status OK carries metrics, and only what the strategy accepts as a result carries a fitness.
    """
    status, message, metrics = outcome.status, outcome.message, {}
    if status is Status.OK:
        try:
            metrics = dict(task.score(outcome, trial.purpose))
            if accepts(metrics):
                metrics["fitness"] = task.fitness(metrics)
        except ValueError as error:  # the worker returned something else than was asked for
            status, message, metrics = Status.INVALID, str(error), {}
        odd = [name for name, value in metrics.items() if not math.isfinite(value)]
        if odd:
            status, message, metrics = Status.INVALID, f"{odd[0]} is not finite", {}
    return Evaluation(
        candidate=trial.candidate.id,
        status=status,
        metrics=metrics,
        seed=trial.job.seed,
        fidelity=int(outcome.facts.get("steps", 0)),
        seconds=outcome.seconds,
        message=redacted(message),  # the task's words, too: they come from the process that has the keys
        purpose=trial.purpose,
    )
