"""Ask and tell: a search for people who train models in a loop of their own."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Condition
from types import TracebackType
from typing import Any, Self

from nasmith import api, registry
from nasmith.errors import UsageError
from nasmith.events import Evaluated, Event, Observer, Proposed, Started
from nasmith.handing_out import HandOut
from nasmith.lane import Lane
from nasmith.loop import Budget
from nasmith.own_task import OwnTask, goals_of, limits_of
from nasmith.protocols import LanguageModel, Storage, Strategy
from nasmith.result import Result
from nasmith.storage.memory import Memory
from nasmith.types import Bound, Candidate, Objective, Run, Status
from nasmith.valuing import Selection

__all__ = ["OwnLoop"]

_PATIENCE_SECONDS = 1.0  # for what was told a moment ago to be stored
_FAILURES = (Status.FAILED, Status.INVALID, Status.TIMEOUT, Status.OOM, Status.KILLED)


class OwnLoop:
    """A search that proposes programs, and is told by your own code what came of them.

        with nasmith.OwnLoop(
            seeds={"mine": text}, objectives={"val_error": "minimize", "params": "minimize"}, statement="…"
        ) as search:
            for candidate in search:
                error, params = train(candidate.text)
                search.tell(candidate, {"val_error": error, "params": params})
        print(search.result.best().text)

    The search runs on a thread of its own; the seeds come first. All that is told is stored, and where the block is left early,
    a run with a name and a storage can be taken up again. Only `ask`, `tell` and `fail` may be called from several threads.

    Nothing stands between a candidate and you: a language model wrote its code, and your loop runs it, with your rights. Where
    that matters, run it in a container, or describe your problem as a task (`nasmith init`), whose candidates are confined.

    Args:
        seeds: Programs to begin with, by name. Where not all of them may change, `# nasmith: begin` and `# nasmith: end` stand
            around what may.
        objectives: The metrics that count, the most important first: {"val_error": "minimize", "params": "minimize"}, or
            `nasmith.types.Objective`s. Each has to be told.
        first_line: The line that every program opens with; "" where programs need not define any one thing.
        statement: What a program must be, and what counts, for language models that are asked in words.
        preamble: Code that stands above every program when you run it (imports); never part of a candidate's text.
        lm: Who proposes; by default the embedded model.
        strategy: Who decides; by default EvoPrompting.
        storage: Where the run is kept: a path, a URL or a Storage. By default in memory, until this process ends.
        name: The run's name; by default "own-loop" and a number.
        seed: The same seed and the same metrics give the same candidates.
        slots: How many candidates may be out at a time.
        budget: When to end early; by default when the strategy does.
        bounds: Metrics that must keep to a limit, such as {"params": {"at_most": 100_000}}. They have to be told too.
        selection: How objectives make one number: "product", "weighted", "lexicographic" or "pareto" (`nasmith.valuing`).
        observers: As for `nasmith.search`.
        resume: Whether to go on with the run `name`, where there is one already; it is begun where there is none.

    Raises:
        ConfigError: An objective, a bound, the selection or `slots` breaks a rule.
        SeedError: A seed is no program, or does not define what `first_line` opens. No seed is built or run.
    """

    def __init__(
        self,
        seeds: Mapping[str, str],
        objectives: Mapping[str, str] | Sequence[Objective | Mapping[str, Any]],
        *,
        first_line: str = "def Model():",
        statement: str = "",
        preamble: str = "",
        lm: LanguageModel | str | None = None,
        strategy: Strategy | str | None = None,
        storage: Storage | str | Path | None = None,
        name: str | None = None,
        seed: int = 0,
        slots: int = 1,
        budget: Budget | None = None,
        bounds: Mapping[str, Mapping[str, float]] | Sequence[Bound] = (),
        selection: Selection = "product",
        observers: Sequence[Observer] = (),
        resume: bool = False,
    ) -> None:
        if resume and (name is None or storage is None):
            raise UsageError("resume needs the run's name and the storage that it is kept in: name=..., storage=...")
        self.task = OwnTask(
            seeds, goals_of(objectives), first_line, statement, preamble, limits=limits_of(bounds), selection=selection
        )
        self._lm, self._strategy, self._storage, self._seed = lm, strategy, storage, seed
        self._name, self._budget, self._resume = name, budget or Budget(), resume
        self._observers = (self._hear, *observers)
        self._desk = HandOut(slots)
        self._candidates: dict[int, Candidate] = {}
        self._stored = Condition()  # guards the two below
        self._unstored: set[int] = set()
        self._run: Run | None = None
        self._opened: Storage | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._search: Future[None] | None = None

    def __enter__(self) -> Self:
        if self._search is not None:
            raise UsageError("this search was entered before. Make a new OwnLoop, with resume=True to go on with its run.")
        if self._storage is None:  # what a tuned language model has learned is kept in files, all the same
            self._folder = tempfile.TemporaryDirectory(prefix="nasmith-")
        opened: Storage = Memory(self._folder.name) if self._folder else api.open_storage(self._storage)
        self._opened = opened
        self._desk.attend()
        lane = Lane("nasmith-own-loop")
        self._search = lane.submit(partial(self._work, opened))
        self._search.add_done_callback(self._end)
        lane.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._desk.leave()
        search = self._begun()
        search.exception()  # waits for what runs in the search: a language model that was asked
        if self._folder is not None:
            self._folder.cleanup()
        if kind is None:
            search.result()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.ask, None)

    def ask(self, *, wait: bool = True) -> Candidate | None:
        """Return the next candidate to train, once there is one; None when the search is over.

        Args:
            wait: False returns None, too, where none is there yet. A single thread that has several candidates out must not
                wait for another: the search may need to know of those first. `search.ask(wait=not out)` is right.

        Raises:
            UsageError: As many are out as `slots` allows, or this is not inside of a `with` block.
            NasmithError: What ended the search, if it could not go on.
        """
        search = self._begun()
        job = self._desk.take(wait=wait)
        if job is not None:
            return self._candidates[job.candidate]
        if wait or search.done():
            search.result()
        return None

    def training_seed(self, candidate: Candidate | int) -> int:
        """Return the seed that is stored with a candidate's evaluation: use it, and the training can be repeated."""
        return self._desk.seed(_number(candidate))

    def tell(self, candidate: Candidate | int, metrics: Mapping[str, float]) -> None:
        """Say what a candidate's training measured, in any order. All metrics are stored; the objectives count.

        Args:
            candidate: What `ask` returned, or its id.
            metrics: Finite numbers by name, all objectives and bounded metrics among them.

        Raises:
            UsageError: The candidate is not out, or the metrics are not what was announced. It can be told again then.
        """
        number = _number(candidate)
        self._pass_on(number, Status.OK, _checked(number, metrics, self.task.needed))

    def fail(self, candidate: Candidate | int, reason: str = "", *, status: Status | str = Status.FAILED) -> None:
        """Say that a candidate could not be trained. It wins nothing, and a language model may be asked to fix it.

        Args:
            candidate: What `ask` returned, or its id.
            reason: What went wrong; a language model is told.
            status: "failed", "invalid", "timeout", "oom" or "killed".

        Raises:
            UsageError: The candidate is not out, or there is no such status.
        """
        if status not in _FAILURES:
            raise UsageError(f"status must be one of {', '.join(_FAILURES)}, got {str(status)!r}.")
        self._pass_on(_number(candidate), Status(status), {}, reason)

    @property
    def result(self) -> Result:
        """What the search has come to by now: a new `Result` each time, with all that was told.

        Raises:
            UsageError: Nothing was begun yet.
        """
        with self._stored:
            self._stored.wait_for(lambda: not self._unstored, _PATIENCE_SECONDS)
        if self._run is None or self._opened is None:
            raise UsageError("the search has not begun: ask for a candidate first.")
        return Result(self._opened.run(self._run.name), self._opened, self.task)

    def _work(self, storage: Storage) -> None:
        """Search, on a thread of its own."""
        former = {run.name: run for run in storage.runs()} if self._resume else {}
        if self._name in former:
            self._check_same(former[self._name])
            self._run = former[self._name]
            if not self._run.finished:
                api.resume(self._run.name, storage, observers=self._observers, executor=self._desk)
            return
        api.search(
            self.task,
            self._lm,
            self._strategy,
            self._desk,
            storage,
            name=self._name,
            seed=self._seed,
            budget=self._budget,
            observers=self._observers,
        )

    def _check_same(self, run: Run) -> None:
        """Raise UsageError where a run was begun with something else than what is named here."""
        named: dict[str, Any] = {"task": registry.describe("tasks", self.task), "seed": self._seed}
        named["budget"] = asdict(self._budget)
        for part, component in (("lm", self._lm), ("strategy", self._strategy)):
            if component is not None:
                kind = registry.PARTS[part]
                made = registry.create(kind, component) if isinstance(component, str) else component
                named[part] = registry.describe(kind, made)
        other = [key for key, value in named.items() if run.config.get(key) != value]
        if other:
            words = {"task": "seeds, objectives, texts or bounds", "lm": "lm", "strategy": "strategy"}
            raise UsageError(
                f"run {run.name!r} cannot be resumed like this: it was begun with other "
                f"{' and '.join(words.get(key, key) for key in other)}. Name the same, or begin a run with another name."
            )

    def _hear(self, event: Event) -> None:
        if isinstance(event, Started):
            self._run = event.run
        elif isinstance(event, Proposed):
            self._candidates[event.candidate.id] = event.candidate
        elif isinstance(event, Evaluated):
            with self._stored:
                self._unstored.discard(event.candidate.id)
                self._stored.notify_all()

    def _end(self, search: Future[None]) -> None:
        """Wake whoever waits for a search that is over."""
        self._desk.close()
        with self._stored:
            self._unstored.clear()
            self._stored.notify_all()

    def _begun(self) -> Future[None]:
        if self._search is None:
            raise UsageError("a search is used in a `with` block: with nasmith.OwnLoop(...) as search: ...")
        return self._search

    def _pass_on(self, number: int, status: Status, facts: Mapping[str, float], message: str = "") -> None:
        search = self._begun()
        with self._stored:  # so that the search's thread cannot say that it is stored before it is noted here
            self._desk.tell(number, status, facts, message)
            if not search.done():
                self._unstored.add(number)


def _number(candidate: Candidate | int) -> int:
    return candidate if isinstance(candidate, int) else candidate.id


def _checked(candidate: int, metrics: Mapping[str, float], needed: Sequence[str]) -> dict[str, float]:
    """Return metrics as plain numbers.

    Raises:
        UsageError: One is missing, no number or not finite.
    """
    if not isinstance(metrics, Mapping):
        raise UsageError(f"metrics of candidate {candidate} must be numbers by name, such as {{...: 0.1}}; got {metrics!r}.")
    missing = [name for name in needed if name not in metrics]
    if missing:
        raise UsageError(
            f"metrics of candidate {candidate} lack {', '.join(missing)}: all of {', '.join(needed)} are needed. Of a training "
            "that failed, say fail(candidate, reason)."
        )
    if "fitness" in metrics:
        raise UsageError(f"metrics of candidate {candidate} must not be called fitness: nasmith computes it of the objectives.")
    found = {}
    for name, value in metrics.items():
        if isinstance(value, str | bytes | bool) or not isinstance(name, str):
            raise UsageError(f"metric {name!r} of candidate {candidate} must be a number by its name, got {value!r}.")
        try:
            found[name] = float(value)  # of NumPy and PyTorch too, where it is a single one
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UsageError(f"metric {name!r} of candidate {candidate} must be a number, got {value!r}.") from error
        if not math.isfinite(found[name]):
            raise UsageError(
                f"metric {name!r} of candidate {candidate} is {found[name]}. Of a training that went wrong, say "
                "fail(candidate, reason)."
            )
    return found
