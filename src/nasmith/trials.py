"""Candidates on their way through the executor: training, second account, score, evaluation.

A candidate that trained is examined in a process that did not train it and has nothing to train on: there it is measured again,
from its source and the best state that it returned, and predicts again; for a verification, the test set too. The two accounts
must agree: what a program claims without its state proving it does not count.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasmith.errors import RunStoppedError
from nasmith.halving import Ladder
from nasmith.protocols import Executor, Task
from nasmith.redaction import redacted
from nasmith.types import Bound, Candidate, Evaluation, Job, Outcome, Purpose, Status

__all__ = ["Trial", "Trials", "judge"]

_RETRIES = 2  # of an evaluation that failed by our fault


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that waits for its evaluation, or is being trained or examined.

    Attributes:
        candidate: Whose.
        job: What the executor has of it now.
        purpose: Why it is trained.
        attempt: How often our own fault has undone this job.
        trained: The outcome of the training, once it is there.
        before: Seconds that its training took up to earlier rungs.
    """

    candidate: Candidate
    job: Job
    purpose: Purpose
    attempt: int = 0
    trained: Outcome | None = None
    before: float = 0.0


@dataclass(frozen=True, slots=True)
class _Climber:
    """A trial that reached a rung: who goes on from there may not be decided yet."""

    trial: Trial
    outcome: Outcome
    state: Mapping[str, Any]
    checkpoint: Mapping[str, Any]


class Trials:
    """The trials that are out, or wait. Called from the loop's thread alone.

    Where several are trained at once, the one that will probably take longest goes first: a long one that begins last leaves
    the other processors idle at the end of a round. What a candidate takes is guessed from what its parents took.

    Args:
        task: Scores what comes back.
        executor: Where jobs run.
        accepts: Whether metrics count as a result.
        ladder: Decides at rungs which trainings of the search go on; None where all are trained whole.
        folder: Returns the run's folder: trainings of a resumable task keep there how far they are.
    """

    def __init__(
        self,
        task: Task,
        executor: Executor,
        accepts: Callable[[Mapping[str, float]], bool],
        ladder: Ladder | None = None,
        folder: Callable[[], Path] | None = None,
    ) -> None:
        self._task, self._executor, self._accepts, self.ladder = task, executor, accepts, ladder
        self._folder = folder if getattr(task, "resumable", False) else None
        self._out: dict[Future[Outcome], Trial] = {}
        self._waiting: list[tuple[float, int, Trial]] = []  # a heap: the longest first, of equals the earliest
        self._took: dict[int, float] = {}  # seconds of the last evaluation, by candidate
        self._count = 0
        self._at_rung: list[_Climber] = []
        self._ending = False

    @property
    def futures(self) -> list[Future[Outcome]]:
        """What to wait for."""
        return list(self._out)

    def submit(self, candidate: Candidate, seed: int, purpose: Purpose = "search") -> None:
        """Hand a candidate to the executor."""
        rung, checkpoint = (None, {}) if self.ladder is None or purpose == "verify" else self.ladder.begin(candidate.id)
        folder = str(_place(self._folder, candidate.id, seed) or "")
        job = Job(candidate.id, candidate.text, seed, state=checkpoint, rung=rung, folder=folder)
        self._submit(Trial(candidate, job, purpose))

    def note(self, evaluation: Evaluation) -> None:
        """Learn how long a candidate took; its evaluation is stored, so that checkpoints of its training can go."""
        self._took[evaluation.candidate] = evaluation.seconds
        place = _place(self._folder, evaluation.candidate, evaluation.seed)
        for path in place.glob("*.pt") if place is not None else ():
            path.unlink(missing_ok=True)

    def finished(self) -> Iterator[tuple[Trial, Outcome, Evaluation]]:
        """Take out what is done, judged; what is trained goes on to be examined. The outcome is that of the training.

        An evaluation with the purpose "rung" is that of a training which has reached a rung for the first time.

        Raises:
            RunStoppedError: An evaluation failed by our fault for the third time.
        """
        for future in [future for future in self._out if future.done()]:
            trial, outcome = self._out.pop(future), future.result()
            if outcome.status is Status.ERROR:
                self._try_again(trial, outcome)
            elif trial.trained is None and outcome.status is Status.OK:
                try:
                    state = self._task.best_state(outcome)
                    if self._climbs(trial):
                        yield from self._climb(trial, outcome, state or {})
                    elif state is None:
                        yield trial, outcome, self._judge(trial, outcome)
                    else:
                        self._submit(_examination(trial, outcome, state))
                except ValueError as error:  # the worker returned something else than was asked for
                    yield trial, outcome, self._judge(trial, replace(outcome, status=Status.INVALID, message=str(error)))
            else:
                yield trial, trial.trained or outcome, self._judge(trial, outcome)
            self._decide()
            self._hand_over()

    def _climbs(self, trial: Trial) -> bool:
        """Whether a training has reached a rung that is not the last."""
        return self.ladder is not None and trial.job.rung is not None and trial.job.rung + 1 < len(self.ladder.rungs)

    def _climb(self, trial: Trial, outcome: Outcome, state: Mapping[str, Any]) -> Iterator[tuple[Trial, Outcome, Evaluation]]:
        """Note what a training reached at a rung; there it waits for what is decided.

        Raises:
            ValueError: The worker returned something else than was asked for.
        """
        ladder, rung = self.ladder, trial.job.rung
        if ladder is None or rung is None:
            raise RuntimeError("this training has no rungs")
        metrics = dict(self._task.provisional(outcome))  # type: ignore[attr-defined]
        metrics["fitness"] = self._task.fitness(metrics)
        if not all(map(math.isfinite, metrics.values())):
            raise ValueError("a metric is not finite")
        new = not ladder.known(trial.candidate.id, rung)
        checkpoint = ladder.reached(trial.candidate.id, rung, metrics["fitness"], outcome.arrays)
        self._at_rung.append(_Climber(trial, outcome, state, checkpoint))
        if new:
            steps = ladder.rungs[rung]
            yield (
                trial,
                outcome,
                Evaluation(trial.candidate.id, Status.OK, metrics, trial.job.seed, steps, outcome.seconds, purpose="rung"),
            )

    def _decide(self) -> None:
        """Send on whoever goes on from its rung, and to be examined whoever does not."""
        waiting, self._at_rung = self._at_rung, []
        for climber in waiting:
            trial, outcome, rung = climber.trial, climber.outcome, climber.trial.job.rung or 0
            goes_on = self.ladder is not None and self.ladder.goes_on(trial.candidate.id, rung)
            if goes_on is None:
                self._at_rung.append(climber)
            elif not goes_on:
                self._submit(_examination(trial, outcome, climber.state))
            elif not self._ending:
                job = replace(trial.job, rung=rung + 1, state=climber.checkpoint)
                self._submit(replace(trial, job=job, attempt=0, before=trial.before + outcome.seconds))

    def _try_again(self, trial: Trial, outcome: Outcome) -> None:
        if trial.attempt < _RETRIES:
            self._submit(replace(trial, attempt=trial.attempt + 1))
        else:
            raise RunStoppedError(
                f"candidate {trial.candidate.id} could not be evaluated in {_RETRIES + 1} attempts, which is nasmith's "
                f"fault and not the candidate's: {outcome.message}"
            )

    def _judge(self, trial: Trial, outcome: Outcome) -> Evaluation:
        if self.ladder is not None:
            self.ladder.over(trial.candidate.id)
        return judge(self._task, trial, outcome, self._accepts)

    def drop_waiting(self) -> None:
        """Forget the trials that have not begun, and begin no further rung."""
        self._ending = True
        self._waiting.clear()
        self._at_rung.clear()
        self._forget(future for future, trial in list(self._out.items()) if trial.trained is None and future.cancel())

    def _submit(self, trial: Trial) -> None:
        if trial.trained is not None:  # short, and what it is for is done: it does not queue
            self._out[self._executor.submit(trial.job)] = trial
            return
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
        while self._waiting and sum(trial.trained is None for trial in self._out.values()) <= self._executor.slots:
            trial = heapq.heappop(self._waiting)[-1]
            self._out[self._executor.submit(trial.job)] = trial

    def _forget(self, futures: Iterable[Future[Outcome]]) -> None:
        for future in futures:
            del self._out[future]


def _place(folder: Callable[[], Path] | None, candidate: int, seed: int) -> Path | None:
    """Return the folder of a training within that of the run; None where it needs none."""
    return None if folder is None else folder() / "trainings" / f"{candidate}-{seed}"


def _examination(trial: Trial, outcome: Outcome, state: Mapping[str, Any]) -> Trial:
    """Return the trial on its way to a second account."""
    splits = ("val", "test") if trial.purpose == "verify" else ("val",)
    job = Job(trial.candidate.id, trial.candidate.text, trial.job.seed, splits, "examine", state)
    return replace(trial, job=job, attempt=0, trained=outcome)


def judge(task: Task, trial: Trial, outcome: Outcome, accepts: Callable[[Mapping[str, float]], bool]) -> Evaluation:
    """Make an evaluation of the last outcome of a trial: scored here, in the trusted process.

    Only the status OK carries metrics, and only what the strategy accepts as a result carries a fitness.
    """
    status, message, metrics = outcome.status, outcome.message, {}
    trained = trial.trained or outcome
    if trial.trained and status is not Status.OK:
        message = f"when it was examined after its training: {message}"
    elif status is Status.OK:
        try:
            _compare(trained.facts, outcome.facts)
            metrics = dict(task.score(trained, outcome, trial.purpose))
            if accepts(metrics) and _admits(task, metrics):
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
        fidelity=int(steps) if math.isfinite(steps := trained.facts.get("steps", 0)) else 0,
        seconds=trial.before + trained.seconds + (outcome.seconds if trial.trained else 0),
        message=redacted(message),  # the task's words, too: they come from the process that has the keys
        purpose=trial.purpose,
    )


def _admits(task: Task, metrics: Mapping[str, float]) -> bool:
    """Whether metrics keep to the task's bounds; one that nobody measured does not."""
    bounds: Sequence[Bound] = getattr(task, "bounds", ())
    return all(bound.name in metrics and bound.admits(metrics[bound.name]) for bound in bounds)


def _compare(first: Mapping[str, float], second: Mapping[str, float]) -> None:
    """Raise ValueError where two accounts of the same program differ."""
    for name in first.keys() & second.keys():
        if first[name] != second[name]:
            raise ValueError(
                f"two measurements of {name} differ: {first[name]:,.10g} in the process that trained it, {second[name]:,.10g} "
                "in another one, from its source and its trained state"
            )
