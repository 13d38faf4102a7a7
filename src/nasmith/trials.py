"""Candidates on their way through the executor: job, outcome, score, evaluation."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

from nasmith.errors import RunStoppedError
from nasmith.protocols import Executor, Task
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
    """The trials that are out, or wait. Called from the loop's thread alone.

    Where several are trained at once, the one that will probably take longest goes first: a long one that begins last leaves
    the other processors idle at the end of a round. What a candidate takes is guessed from what its parents took.
    """

    def __init__(self, task: Task, executor: Executor, accepts: Callable[[Mapping[str, float]], bool]) -> None:
        self._task, self._executor, self._accepts = task, executor, accepts
        self._out: dict[Future[Outcome], Trial] = {}
        self._waiting: list[tuple[float, int, Trial]] = []  # a heap: the longest first, of equals the earliest
        self._took: dict[int, float] = {}  # seconds of the last evaluation, by candidate
        self._count = 0

    @property
    def futures(self) -> list[Future[Outcome]]:
        """What to wait for."""
        return list(self._out)

    def submit(self, candidate: Candidate, seed: int, purpose: Purpose = "search") -> None:
        """Hand a candidate to the executor; a verification predicts the test set as well."""
        splits = ("val",) if purpose == "search" else ("val", "test")
        self._submit(Trial(candidate, Job(candidate.id, candidate.text, seed, splits), purpose))

    def note(self, evaluation: Evaluation) -> None:
        """Learn how long a candidate took."""
        self._took[evaluation.candidate] = evaluation.seconds

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
            self._hand_over()

    def drop_waiting(self) -> None:
        """Forget the trials that have not begun."""
        self._waiting.clear()
        self._forget(future for future in self.futures if future.cancel())

    def _submit(self, trial: Trial) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (-self._guess(trial.candidate), self._count, trial))
        self._hand_over()

    def _guess(self, candidate: Candidate) -> float:
        """Return the seconds that a candidate will probably take; with one worker nothing, so that the first is first."""
        if self._executor.slots == 1:
            return 0.0
        parents = max((self._took.get(parent, 0.0) for parent in candidate.parents), default=0.0)
        return self._took.get(candidate.id, parents)

    def _hand_over(self) -> None:
        """Give the executor what it trains now, and one more, so that no worker waits for this thread."""
        while self._waiting and len(self._out) <= self._executor.slots:
            trial = heapq.heappop(self._waiting)[-1]
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
        message=message,
        purpose=trial.purpose,
    )
