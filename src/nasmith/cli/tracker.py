"""Keeps the running totals of a search, from its events: what progress displays show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from nasmith.events import (
    Asked,
    Called,
    Evaluated,
    Event,
    Finished,
    Proposed,
    Replied,
    Started,
    Stopping,
    Submitted,
    Tuned,
    TuningProgress,
    Verifying,
)
from nasmith.report.wording import designs_only, looked_up, plural
from nasmith.types import Brief, Run, Status, Tune, Tuning

__all__ = ["Tracker"]


@dataclass(slots=True)
class Tracker:
    """Running totals; `note` takes the events in order.

    Attributes:
        limit_seconds: The run's time budget; None where it has none.
        clock: Seconds that only grow.
        prompts: Prompts of this round.
        statuses: Children of the search by status, replayed ones included.
        busy: Submissions under way, by candidate.
        pending: What the language model was asked, by step: in words, with the number of children still to come.
        best: The fittest child so far.
        best_seed: The fittest seed.
        doing: What the language model does now, in words.
        usd: What it has cost, faults included.
        faults: Exchanges with it that gave no completion, by outcome; the check at the start is none.
        designs_only: Whether candidates are designs.
        looked_up: Whether their worth is looked up; otherwise they are trained.
        training: What the training under way said last, where it says anything.
    """

    limit_seconds: float | None = None
    clock: Callable[[], float] = monotonic
    run: Run | None = None
    resumed: bool = False
    slots: int = 0
    planned: int | None = None
    rounds: int | None = None
    round: int = 0
    began: float = 0.0
    proposed: int = 0
    prompts: int = 0
    replayed: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    busy: Counter[int] = field(default_factory=Counter)
    best: Evaluated | None = None
    best_seed: Evaluated | None = None
    tokens: int = 0
    lm_seconds: float = 0.0
    tuning: TuningProgress | None = None
    tuned: Tuning | None = None
    to_verify: int = 0
    verified: int = 0
    pending: dict[int, tuple[str, int]] = field(default_factory=dict)
    doing: str = "loading"
    usd: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    stopping: bool = False
    finished: Finished | None = None
    designs_only: bool = False
    looked_up: bool = False
    training: str = ""

    def note(self, event: Event) -> None:
        """Count one event."""
        if isinstance(event, Started):
            self.run, self.resumed, self.slots = event.run, event.resumed, event.slots
            self.planned, self.rounds, self.began = event.planned, event.rounds, self.clock()
            self.designs_only, self.looked_up = designs_only(event.run.config), looked_up(event.run.config)
        elif isinstance(event, Asked):
            self._note_asked(event)
        elif isinstance(event, Replied):
            self.tokens += sum(item.tokens_out for item in event.completions)
            self.usd += sum(item.cost for item in event.completions)
            self.lm_seconds += sum(item.seconds for item in event.completions)
        elif isinstance(event, Called):
            self.usd += event.call.cost
            self.faults[event.call.outcome] += event.call.outcome != "checked"
        elif isinstance(event, Proposed):
            self._note_proposed(event)
        elif isinstance(event, Submitted):
            self.busy[event.candidate.id] += 1
            if self.to_verify:  # leaders that are close may get more seeds than was said
                self.to_verify = max(self.to_verify, self.verified + self.busy.total())
        elif isinstance(event, Evaluated):
            self._note_evaluated(event)
        elif isinstance(event, TuningProgress):
            self.tuning = event
        elif isinstance(event, Tuned):
            self.tuning, self.tuned = None, event.tuning
            self.pending = {step: item for step, item in self.pending.items() if item[1] > 0}
            self._describe()
        elif isinstance(event, Stopping):
            self.stopping = True
        elif isinstance(event, Verifying):
            self.to_verify = len(event.candidates) * event.seeds
            again = "looked up" if self.looked_up else f"trained again with {plural(event.seeds, 'new seed')}"
            self.doing = f"done; the best {len(event.candidates)} are {again}"
        elif isinstance(event, Finished):
            self.finished = event

    def _note_asked(self, event: Asked) -> None:
        if isinstance(event.action, Brief):
            self.prompts = self.prompts + 1 if event.action.round == self.round else 1
            self.round = event.action.round
            count = event.action.sampling.n
            parents = " and ".join(f"#{parent}" for parent in event.action.parents)
            words = f"writing {count} children: {event.action.operator} of {parents}"
            if self.designs_only:
                words = f"asking for {plural(count, 'design')} after {plural(len(event.action.parents), 'answer')}"
            self.pending[event.step] = (words, count)
        elif isinstance(event.action, Tune):
            self.pending[event.step] = (f"learning from {len(event.action.candidates)} children", 0)
        self._describe()

    def _note_proposed(self, event: Proposed) -> None:
        if event.candidate.operator == "seed":
            return
        self.proposed += 1
        words, count = self.pending.get(event.candidate.step, ("", 0))
        if count > 1:
            self.pending[event.candidate.step] = (words, count - 1)
        else:
            self.pending.pop(event.candidate.step, None)
        self._describe()

    def _describe(self) -> None:
        """Say the oldest thing that the language model was asked: it answers in order."""
        self.doing = next((words for words, _ in self.pending.values()), "waiting for the workers")

    def _note_evaluated(self, event: Evaluated) -> None:
        self.training = ""
        key = event.candidate.id
        if self.busy[key] > 1:
            self.busy[key] -= 1
        else:
            del self.busy[key]
        if event.evaluation.purpose == "verify":
            self.verified += 1
            return
        seed = event.candidate.operator == "seed"
        if not seed:
            self.statuses[event.evaluation.status] += 1
            self.replayed += event.replayed
        holder = self.best_seed if seed else self.best
        if event.fitness is not None and (holder is None or holder.fitness is None or event.fitness > holder.fitness):
            if seed:
                self.best_seed = event
            else:
                self.best = event

    @property
    def children(self) -> int:
        """Children whose search evaluation has ended."""
        return self.statuses.total()

    @property
    def busy_workers(self) -> int:
        """Workers that train now."""
        return min(self.slots, self.busy.total())

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the run started, or was resumed."""
        return self.clock() - self.began if self.run is not None else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens sampled per second of the language model's time; 0 before the first reply."""
        return self.tokens / self.lm_seconds if self.lm_seconds > 0 else 0.0

    @property
    def left_seconds(self) -> float | None:
        """A guess from the children's pace so far and the time budget; None before the fifth child."""
        guesses = []
        fresh = self.children - self.replayed
        if self.planned is not None and fresh >= 5 and not self.to_verify:
            guesses.append(self.elapsed_seconds / fresh * max(0, self.planned - self.children))
        if self.limit_seconds is not None and not self.to_verify:
            guesses.append(max(0.0, self.limit_seconds - self.elapsed_seconds))
        return min(guesses, default=None)
