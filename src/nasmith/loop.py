"""The loop: ask, propose, evaluate, tell, with every record stored before it is acted on.

A run is resumed by running it again with its storage as the memory: a wish that was answered is not sent to the language
model again, a candidate that was evaluated is not trained again, and evaluations are told in the order in which they were told
before. So there is one code path for a new run and a resumed one. It imports no implementation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from typing import Any

from nasmith.errors import NasmithError, RunStoppedError, SeedError, UsageError
from nasmith.events import Asked, Climbed, Evaluated, Event, Observer, Proposed, Started, Stopping, Submitted
from nasmith.halving import Ladder
from nasmith.history import History
from nasmith.proposals import Proposals
from nasmith.propose import Templates
from nasmith.protocols import (
    CostAwareStrategy,
    Executor,
    HostedLanguageModel,
    LanguageModel,
    RecordedLanguageModel,
    Storage,
    Strategy,
    Task,
    space_of,
)
from nasmith.roster import Roster, identity
from nasmith.seeding import derive
from nasmith.spending import Purse
from nasmith.telling import Due
from nasmith.trials import Trials
from nasmith.types import Brief, Candidate, Evaluation, Job, Run, Status, Suggestion, Tune, Wish

__all__ = ["Budget", "Search", "check_seeds", "purse_of"]

_POLL_SECONDS = 0.1  # how late a stop or a progress message may be noticed


@dataclass(frozen=True, slots=True)
class Budget:
    """When a search ends before its strategy does.

    Attributes:
        evaluations: Children, broken ones and duplicates included.
        minutes: Wall time of this process; what runs then is finished, what waits is dropped.
        tokens: Of the language model, prompts and replies together. A request begins while what was spent and what is under
            way lie below; what it brings is evaluated.
        usd: US dollars for the language model, likewise.
    """

    evaluations: int | None = None
    minutes: float | None = None
    tokens: int | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "minutes", "tokens", "usd"):
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
        templates: The texts of prompts.
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
        templates: Templates | None = None,
    ) -> None:
        self._run, self._task, self._strategy, self._executor, self._new = run, task, strategy, executor, new
        self._storage, self._seed, self._budget, self._observers = storage, seed, budget, observers
        script = lm.script if isinstance(lm, RecordedLanguageModel) else None
        self.history = History(storage, run.name, new=new, script=script)
        rungs: Sequence[int] = getattr(task, "rungs", ())
        ladder = Ladder(rungs, len(task.seeds()), lambda: storage.folder(run.name), self.history.rungs) if rungs else None
        self.trials = Trials(task, executor, strategy.accepts, ladder, lambda: storage.folder(run.name))
        purse = Purse() if script is not None else purse_of(lm, budget, self.history)  # a recording is paid for
        self._proposals = Proposals(lm, storage, self.history, task.describe(), purse, templates, space_of(task))
        self._roster = Roster(task.describe(), space_of(task))
        self._due = Due(script)
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
                self._check_model()
                check_seeds(self._task, self._executor)
                self._storage.add_run(self._run)
            self._proposals.receipts.opened()
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

    def _check_model(self) -> None:
        """Find out whether a hosted model answers, before anything is stored or trained."""
        checked = self._proposals.check()
        while checked is not None and not checked.done():
            wait([checked], timeout=_POLL_SECONDS)
            if self.stopped:
                raise RunStoppedError("stopped before the language model answered for the first time; nothing was begun.")
        self.emit(*self._proposals.receipts.events())
        if checked is not None:
            checked.result()

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
        while (evaluation := self._due.next(self._told, limit, backlog, self._over())) is not None:
            self._tell(evaluation)

    def _ask(self) -> bool:
        """Ask the strategy for as much as keeps the language model busy; return whether it wished for anything."""
        asked = False
        while self._left() > 0 and not self._over():
            wish = self.history.wish(self._step)
            if wish is None and (self.history.script is not None or not self._proposals.hungry):
                break
            if wish is not None and wish[0] > self._told:
                break  # stored evaluations come first
            action = self._strategy.ask()
            if action is None:
                break
            asked, action = True, _cut(action, self._left(), None if wish is None else wish[1])
            if wish is not None and wish != (self._told, action):
                raise RunStoppedError(_otherwise(self._run.name, self._step, recorded=self._step >= len(self.history.asked)))
            if self._step >= len(self.history.asked):
                self._storage.add_asked(self._run.name, self._step, self._told, action)
            self.emit(Asked(self._step, action))
            if isinstance(action, Brief):
                parents = [self._roster[parent] for parent in action.parents]
                self._proposals.propose(self._step, action, parents, [self._roster.reply(parent) for parent in parents])
            elif isinstance(action, Suggestion):
                self._add(self._roster.suggested(self._step, action))
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

    def _wait(self, waiting: Sequence[Future[Any]]) -> None:
        """Wait until something is finished, and act on it."""
        wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        if self._over():
            self.trials.drop_waiting()
            self._proposals.drop_waiting()
        # Stored evaluations go first. While stored wishes are made again, a new one waits: it was not told when they were made.
        self._settle()
        for trial, _, evaluation in self.trials.finished():
            if evaluation.purpose == "rung":
                self._storage.add_evaluation(self._run.name, evaluation)
                self.emit(Climbed(trial.candidate, evaluation))
            else:
                self._due.add(evaluation)
        self._receive()
        self._settle()

    def _receive(self) -> None:
        """Make candidates of the replies that have arrived."""
        for reply in self._proposals.arrived():
            self.emit(*self._proposals.receipts.events())
            self._add(self._roster.born(reply))
        self.emit(*self._proposals.receipts.events())

    def _add(self, candidates: Sequence[Candidate]) -> None:
        """Store candidates, and hand to the executor those that are programs, new, and not evaluated yet."""
        new = [candidate for candidate in candidates if candidate.id not in self.history.candidates]
        if new:
            self._storage.add_candidates(self._run.name, new)
        script = self.history.script
        for candidate in candidates:
            self.emit(Proposed(candidate, replayed=candidate.id in self.history.candidates))
            if candidate.id in self.history.evaluated:
                continue
            seed = derive(self._seed, "train", candidate.id)
            twin = self._roster.twin(candidate)
            if script is not None and candidate.id not in script.seconds:
                continue  # its run was over before it was evaluated
            if flaw := self._roster.flaw(candidate):
                self._due.add(Evaluation(candidate.id, Status.INVALID, seed=seed, message=flaw))
            elif twin is not None:
                what = "program" if space_of(self._task) is None else "design"
                reason = f"the same {what} as candidate {twin}"
                self._due.add(Evaluation(candidate.id, Status.DUPLICATE, seed=seed, message=reason))
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
        completion = self._roster.completion(candidate)
        if completion is not None and isinstance(self._strategy, CostAwareStrategy):
            self._strategy.paid(candidate, completion)
        script = self.history.script
        known = evaluation if script is None else replace(evaluation, seconds=script.seconds.get(candidate.id, 0.0))
        self._strategy.tell(candidate, known)
        self.emit(Evaluated(candidate, evaluation, evaluation.metrics.get("fitness"), replayed))

    def _reason(self) -> str:
        if self.stopped:
            return "stopped"
        if self._over():
            return "the time was used up"
        if self._proposals.ended:
            return self._proposals.ended
        return "the budget was used up" if self._left() <= 0 else "the strategy was done"


def purse_of(lm: LanguageModel, budget: Budget, history: History) -> Purse:
    """Return the purse of a budget, with what the run has spent before.

    Raises:
        UsageError: Dollars alone are to be counted, and nobody knows the price.
    """
    price = lm.price if isinstance(lm, HostedLanguageModel) else lambda tokens_in, tokens_out: 0.0
    if budget.usd is not None and budget.tokens is None and price(1, 1) is None:
        raise UsageError(
            f"budget: no price of {lm.name} is known, so that dollars cannot be counted. Give its price (--set price_in=... "
            "--set price_out=..., in US dollars per million tokens), or limit the tokens (--budget-tokens)."
        )
    purse = Purse(budget.tokens, budget.usd, price)
    purse.note(history.spent)
    return purse


def _cut(action: Wish, left: float, former: Wish | None) -> Wish:
    """Cut a wish for more children than the budget has left, or had when the wish was made before."""
    if isinstance(action, Tune):
        return action
    if isinstance(action, Suggestion):
        most = min(left, len(former.texts) if isinstance(former, Suggestion) else math.inf, len(action.texts))
        return replace(action, texts=action.texts[: int(most)])
    n = min(action.sampling.n, left, former.sampling.n if isinstance(former, Brief) else math.inf)
    return action if n == action.sampling.n else replace(action, sampling=replace(action.sampling, n=int(n)))


def _otherwise(run: str, step: int, *, recorded: bool) -> str:
    """Say that a wish is not the one that was made before."""
    if recorded:
        return (
            f"run {run!r} does not follow its recording: step {step} was decided otherwise there. Play it with the same task, "
            "strategy, seed and version of nasmith as it was recorded with."
        )
    return (
        f"run {run!r} cannot be resumed: its step {step} was decided otherwise than this version of nasmith decides it. Resume "
        "it with the version that began it, or start a new run."
    )


def check_seeds(task: Task, executor: Executor) -> None:
    """Build every seed program in the executor, before anything is stored or trained.

    Raises:
        SeedError: A seed does not build, or two are the same program.
    """
    seeds, space = task.seeds(), space_of(task)
    if not seeds and space is None:
        raise SeedError(f"task {task.name!r} has no seed programs; a search needs at least one.")
    futures = {}
    known: dict[str, str] = {}
    for label, text in seeds.items():
        try:
            form = identity(text, space, task.describe().entry)
        except ValueError as error:
            raise SeedError(f"seed {label!r} of task {task.name!r}: {error}.") from error
        if form in known:
            raise SeedError(f"seeds {known[form]!r} and {label!r} of task {task.name!r} are the same program.")
        known[form] = label
        futures[label] = executor.submit(Job(0, text, 0, (), "screen"))
    for label, future in futures.items():
        outcome = future.result()
        if outcome.status is not Status.OK:
            raise SeedError(f"seed {label!r} of task {task.name!r} does not build: {outcome.message}.")
