"""The loop: ask, propose, evaluate, tell, with every record stored before it is acted on.

A run is resumed by running it again with its storage as the memory: a wish that was answered is not sent to the language
model again, a candidate that was evaluated is not trained again, and evaluations are told in the order in which they were told
before. So there is one code path for a new run and a resumed one. It imports no implementation.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from typing import Any

from nasmith.errors import NasmithError, RunStoppedError, SeedError, UsageError
from nasmith.events import Asked, Evaluated, Event, Observer, Proposed, Started, Stopping, Submitted
from nasmith.history import History
from nasmith.proposals import Proposals
from nasmith.protocols import Executor, LanguageModel, Storage, Strategy, Task
from nasmith.roster import Roster, flaw, identity
from nasmith.seeding import derive
from nasmith.trials import Trials
from nasmith.types import Brief, Candidate, Evaluation, Job, Run, Status, Tune

__all__ = ["Budget", "Search", "check_seeds"]

_POLL_SECONDS = 0.1  # how late a stop or a progress message may be noticed
_CALLS_AHEAD = 2  # requests that the language model has at hand: one that it answers, one that it takes up at once


@dataclass(frozen=True, slots=True)
class Budget:
    """When a search ends before its strategy does.

    Attributes:
        evaluations: Children, broken ones and duplicates included.
        minutes: Wall time of this process; what runs then is finished, what waits is dropped.
    """

    evaluations: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"budget: {name} must be above 0, got {value}.")


class Search:
    """One run of the loop.

    Args:
        run: The run; a new one is stored once its seeds are known to build.
        task: What to search for.
        lm: Who proposes.
        strategy: Who decides; fresh.
        executor: Where candidates run; started, and closed by the caller.
        storage: The run's memory.
        seed: All of the search's randomness hangs on it.
        budget: When to end early.
        new: Whether the storage does not have the run yet.
        observers: Each is called with every event.
    """

    def __init__(
        self,
        run: Run,
        task: Task,
        lm: LanguageModel,
        strategy: Strategy,
        executor: Executor,
        storage: Storage,
        seed: int = 0,
        budget: Budget = Budget(),
        new: bool = True,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._run, self._task, self._strategy, self._executor, self._new = run, task, strategy, executor, new
        self._storage, self._seed, self._budget, self._observers = storage, seed, budget, observers
        self.history = History(storage, run.name, new=new)
        self.trials = Trials(task, executor, strategy.accepts)
        self._proposals = Proposals(lm, storage, self.history, task.describe())
        self._roster = Roster(task.describe())
        self._due: deque[Evaluation] = deque()  # verdicts that needed no training, not told yet
        self._step = 0  # wishes made
        self._told = 0  # evaluations told
        self._seeds = len(task.seeds())
        self._deadline = math.inf
        self.stopped = False
        strategy.begin(seed, lm.temperatures, lm.operators)

    def stop(self) -> None:
        """Ask the loop to end: what runs is finished and stored. Safe to call from a signal handler."""
        self.stopped = True

    def execute(self) -> str:
        """Search until the strategy, the budget or `stop` ends it, and say which did.

        Raises:
            MissingDependencyError: The language model is not installed.
            RunStoppedError: The run cannot go on; what it finished is stored.
        """
        if self._budget.minutes is not None:
            self._deadline = time.monotonic() + 60 * self._budget.minutes
        try:
            warm = self._proposals.warm()  # takes seconds; meanwhile the seeds are built and trained
            if self._new:
                check_seeds(self._task, self._executor)
                self._storage.add_run(self._run)
            planned = min(self._strategy.planned, self._budget.evaluations or self._strategy.planned)
            self.emit(Started(self._run, not self._new, self._executor.slots, planned, getattr(self._strategy, "rounds", None)))
            self._add(self._roster.plant(self._task.seeds()))
            self._settle()
            while self.trials.futures:
                self._wait([*self.trials.futures, *([] if warm.done() else [warm])])
                if warm.done():
                    warm.result()  # a missing model is said at once, not after the seeds are trained
            while not self.stopped:
                self._settle()
                asked = self._ask()
                waiting = [*self.trials.futures, *self._proposals.futures]
                if waiting:
                    self._wait(waiting)
                elif not asked:
                    break
            self._finish_running()
        except BaseException as error:
            self._proposals.save(wait=isinstance(error, NasmithError))
            raise
        finally:
            self.trials.drop_waiting()
            self._proposals.close()
        return self._reason()

    def emit(self, *news: Event) -> None:
        """Tell every observer, in order."""
        for event in news:
            for observer in self._observers:
                observer(event)

    def _finish_running(self) -> None:
        """After a stop: let what runs end, so that it is stored."""
        if self.trials.futures or self._proposals.futures:
            self.emit(Stopping())
        while waiting := [*self.trials.futures, *self._proposals.futures]:
            self._wait(waiting)

    def _settle(self) -> None:
        """Tell what is known: stored evaluations up to the next stored wish, in their order; new ones after all of these."""
        limit = self.history.evaluations_before(self._step)
        backlog = self.history.backlog
        while backlog and backlog[0].candidate in self._roster and (limit is None or self._told < limit):
            self._tell(backlog.popleft(), replayed=True)
        while self._due and limit is None:
            self._tell(self._due.popleft())

    def _ask(self) -> bool:
        """Ask the strategy for as much as keeps the language model busy; return whether it wished for anything."""
        asked = False
        while len(self._proposals.futures) < _CALLS_AHEAD and self._left() > 0 and not self._over():
            before = self.history.evaluations_before(self._step)
            if before is not None and before > self._told:
                break  # stored evaluations come first
            action = self._strategy.ask()
            if action is None:
                break
            asked, action = True, self._within_budget(action)
            if before is None:
                self._storage.add_asked(self._run.name, self._step, self._told, action)
            elif self.history.asked[self._step] != (self._told, action):
                raise RunStoppedError(
                    f"run {self._run.name!r} cannot be resumed: its step {self._step} was decided otherwise than this version "
                    "of nasmith decides it. Resume it with the version that began it, or start a new run."
                )
            self.emit(Asked(self._step, action))
            if isinstance(action, Brief):
                self._proposals.propose(self._step, action, [self._roster[parent] for parent in action.parents])
            else:
                self._proposals.tune(self._step, action, [self._roster.lesson(child) for child in action.candidates])
            self._step += 1
            self._receive()
        return asked

    def _over(self) -> bool:
        """Whether what waits is to be dropped."""
        return self.stopped or time.monotonic() > self._deadline

    def _left(self) -> float:
        """Children that the budget still allows."""
        return (self._budget.evaluations or math.inf) - (len(self._roster) - self._seeds) - self._proposals.children

    def _within_budget(self, action: Brief | Tune) -> Brief | Tune:
        """Cut a wish for more children than the budget has left."""
        if isinstance(action, Tune) or action.sampling.n <= self._left():
            return action
        return replace(action, sampling=replace(action.sampling, n=int(self._left())))

    def _wait(self, waiting: Sequence[Future[Any]]) -> None:
        """Wait until something is finished, and act on it."""
        wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        if self._over():
            self.trials.drop_waiting()
            self._proposals.drop_waiting()
        self._settle()
        # While stored wishes are made again, a new evaluation waits: it was not told when they were made.
        if self._over() or self.history.evaluations_before(self._step) is None:
            for _, _, evaluation in self.trials.finished():
                self._tell(evaluation)
        self._receive()
        self._settle()

    def _receive(self) -> None:
        """Make candidates of the replies that have arrived."""
        for reply in self._proposals.arrived():
            self.emit(*self._proposals.events())
            self._add(self._roster.born(reply))
        self.emit(*self._proposals.events())

    def _add(self, candidates: Sequence[Candidate]) -> None:
        """Store candidates, and hand to the executor those that are programs, new, and not evaluated yet."""
        new = [candidate for candidate in candidates if candidate.id not in self.history.candidates]
        if new:
            self._storage.add_candidates(self._run.name, new)
        for candidate in candidates:
            self.emit(Proposed(candidate, replayed=candidate.id in self.history.candidates))
            if candidate.id in self.history.evaluated:
                continue
            seed = derive(self._seed, "train", candidate.id)
            twin = self._roster.twin(candidate)
            if not candidate.canonical:
                self._due.append(Evaluation(candidate.id, Status.INVALID, seed=seed, message=flaw(candidate.text)))
            elif twin is not None:
                reason = f"the same program as candidate {twin}"
                self._due.append(Evaluation(candidate.id, Status.DUPLICATE, seed=seed, message=reason))
            else:
                self.trials.submit(candidate, seed)
                self.emit(Submitted(candidate))

    def _tell(self, evaluation: Evaluation, *, replayed: bool = False) -> None:
        """Store an evaluation, then let the strategy and the observers know."""
        candidate = self._roster[evaluation.candidate]
        if not replayed:
            self._storage.add_evaluation(self._run.name, evaluation)
        self._told += 1
        self.trials.note(evaluation)
        self._strategy.tell(candidate, evaluation)
        self.emit(Evaluated(candidate, evaluation, evaluation.metrics.get("fitness"), replayed))

    def _reason(self) -> str:
        if self.stopped:
            return "stopped"
        if self._over():
            return "the time was used up"
        return "the budget was used up" if self._left() <= 0 else "the strategy was done"


def check_seeds(task: Task, executor: Executor) -> None:
    """Build every seed program in the executor, before anything is stored or trained.

    Raises:
        SeedError: A seed does not build, or two are the same program.
    """
    seeds = task.seeds()
    if not seeds:
        raise SeedError(f"task {task.name!r} has no seed programs; a search needs at least one.")
    futures = {}
    known: dict[str, str] = {}
    for label, text in seeds.items():
        form = identity(text)
        if not form:
            raise SeedError(f"seed {label!r} of task {task.name!r}: {flaw(text)}.")
        if form in known:
            raise SeedError(f"seeds {known[form]!r} and {label!r} of task {task.name!r} are the same program.")
        known[form] = label
        futures[label] = executor.submit(Job(0, text, 0, (), "screen"))
    for label, future in futures.items():
        outcome = future.result()
        if outcome.status is not Status.OK:
            raise SeedError(f"seed {label!r} of task {task.name!r} does not build: {outcome.message}.")
