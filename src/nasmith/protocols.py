"""The seams: what the loop asks of its parts. Structural types; nothing is inherited.

A component's constructor holds its options and their defaults, checks them, and does no work: no file is read, no process
started, no weight loaded before the first method that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nasmith.space import Space
from nasmith.types import (
    Call,
    Candidate,
    Completion,
    Description,
    Evaluation,
    Example,
    Job,
    Objective,
    Outcome,
    Purpose,
    Request,
    Run,
    Script,
    Traits,
    Tune,
    Tuning,
    Wish,
)

__all__ = [
    "CostAwareStrategy",
    "Data",
    "Executor",
    "HostedLanguageModel",
    "LanguageModel",
    "RecordedLanguageModel",
    "SpaceStrategy",
    "Storage",
    "Strategy",
    "Task",
    "TunableLanguageModel",
    "Workload",
    "space_of",
    "traits_of",
]


@runtime_checkable
class LanguageModel(Protocol):
    """Continues text, or answers messages. Called from as many threads at a time as its traits allow.

    `temperatures` and `operators` are what suits this model; a strategy uses them where the user names none. The weights of
    `operators` are relative. One attribute is optional: `traits` (`nasmith.types.Traits`), how it wants to be used.
    """

    name: str
    temperatures: Sequence[float]
    operators: Mapping[str, float]

    def warm(self) -> None:
        """Load what `complete` needs. Called once, on the thread that will call `complete`; it may do nothing.

        Raises:
            MissingDependencyError: Something is not installed; said before anything is trained.
        """

    def complete(self, request: Request) -> list[Completion]:
        """Return exactly `request.n` replies.

        Where no reply could be had, that is a completion with the finish "failed" and a message.

        Raises:
            ExhaustedError: It has nothing more to say; the search ends with what it has.
        """

    def close(self) -> None:
        """Free what it holds; may be called twice."""


def traits_of(lm: LanguageModel, model: str = "") -> Traits:
    """Return how a language model, or the member `model` of an ensemble, wants to be used."""
    of: Callable[[str], Traits] | None = getattr(lm, "traits_of", None)
    traits: Traits = of(model) if of is not None and model else getattr(lm, "traits", Traits())
    return traits


def space_of(task: Task) -> Space | None:
    """Return the space whose designs a task's candidates are; None where they are programs."""
    space: Space | None = getattr(task, "space", None)
    return space


@runtime_checkable
class TunableLanguageModel(LanguageModel, Protocol):
    """A language model that can learn during the search."""

    def tune(
        self, tune: Tune, examples: Sequence[Example], path: Path, progress: Callable[[int, int], None] | None = None
    ) -> Tuning:
        """Learn from `examples`, from the present adapter on; write the adapter to `path` and use it from now on.

        Where the loss does not fall or is not finite the former adapter stays and `accepted` is False. `progress` is called
        with (steps done, steps in all). The returned `weights` is `path`'s name; the caller makes it relative to the run.
        """

    def load(self, path: Path | None) -> None:
        """Use the adapter at `path` from now on; None for the model as it came."""


@runtime_checkable
class HostedLanguageModel(LanguageModel, Protocol):
    """A language model on a server: it can be out of reach, and its replies may cost money."""

    def check(self, record: Callable[[Call], None]) -> None:
        """Find out with one cheap request whether it answers, and what it accepts. Called before anything is trained.

        Args:
            record: Told of every exchange.

        Raises:
            UsageError: A key is missing or wrong, the model is unknown, nobody answers; the message says what to do.
        """

    def price(self, tokens_in: int, tokens_out: int) -> float | None:
        """US dollars for so many tokens; None where no price is known."""


@runtime_checkable
class RecordedLanguageModel(LanguageModel, Protocol):
    """A language model that plays a recorded run again. `script` is the course of that run."""

    script: Script

    def attach(self, storage: Storage, make: Callable[[Mapping[str, Any]], LanguageModel]) -> None:
        """Read the recording, before anything else is asked of it.

        Args:
            storage: Of the run that is to come; the recording is looked for there unless another place was named.
            make: Makes a language model from its part of a run's configuration. It is asked how it wants to be used, and
                nothing else.

        Raises:
            UsageError: There is no such recording.
        """


Data = Mapping[str, Mapping[str, Any]]
"""Parts of a task's data by name ("train", "val", "test"), each a mapping of NumPy arrays. Only "train" may hold labels."""


@runtime_checkable
class Workload(Protocol):
    """The part of a task that meets candidates' code. Picklable, and it holds no data: a job is given what it may see.

    Some attributes are optional, and read once. `hidden_modules`: names of top-level modules whose files candidates must not
    read, because they hold or generate what a candidate is scored on. `gpu`: whether candidates use one. `readable`: folders
    that candidates may read besides. `workshop`: whether a job gets a folder of its own to write in, which is gone afterwards,
    and may start processes and threads. `spare_threads`: how many threads its libraries start, besides those that the executor
    allows a candidate.

    So are three methods. `fit_rung(text, seed, data, rung, checkpoint)` trains up to a rung of the task's, from a checkpoint on
    (NumPy arrays by name; none for the beginning), and returns what `fit` returns and, as arrays "checkpoint/<name>", what it
    takes to go on. `fit_in(text, seed, data, folder)` is called instead of `fit` where the task is `resumable`: it keeps in the
    folder how far it is (files named *.pt), and goes on from there when it is called again; it needs an executor without a
    sandbox. `export(text, state, data)` returns (arrays, facts): other forms of a trained program, as bytes.
    """

    def warm(self) -> None:
        """Import and load what every job needs; called once in the process that jobs are forked from, single-threaded."""

    def screen(self, text: str) -> Mapping[str, float]:
        """Build the program without training it and return facts (params, flops).

        Raises:
            ValueError: The program cannot be accepted; the message is a reason that a person understands.
        """

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train the program on `data["train"]` and return (arrays, facts): predictions of other splits and states, no score.

        The state of every point that the task may choose as the best is among the arrays: only what a state proves counts.
        """

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Give a second account of a trained program, in a process that did not train it: (arrays, facts).

        The program is built and given `state` (NumPy arrays by parameter name), measured as `screen` measures, and predicts
        every split of `data`, if there is any. A fact that differs from the first account makes the candidate INVALID.

        Raises:
            ValueError: The state is not one of this program.
        """


@runtime_checkable
class Task(Protocol):
    """A problem to design models for. Lives in the trusted process and holds the labels.

    Some attributes are optional. `defaults`: what a run has where the user names nothing, by key of its configuration, such as
    {"strategy": "random"}. `space` (`nasmith.space.Space`): candidates are designs of this space instead of programs; a search
    in it needs no seeds. `bounds`: what metrics must keep to (`nasmith.types.Bound`). `rungs`: optimiser steps at which a
    training may be given up, ascending, the last for a whole one; then `provisional(outcome)` is needed, the metrics that
    trainings at a rung are judged by, with `Workload.fit_rung`. `resumable`: whether trainings are long enough to go on after a
    crash, by `Workload.fit_in`.

    So are methods. `check()`: called once before anything is begun; raises UsageError where nothing can come of it. `notes()`:
    sentences for people, shown before a search. `fingerprint()`: a text that is equal as long as the task's own files are the
    same; a run is not resumed with others. `reveal(text)`: metrics of a candidate that the search is not shown, where they are
    known without training. `program(text)`: the source of a module with a design's network as `Model()`. `companions()`:
    further files of an export, by name.
    """

    name: str
    objectives: Sequence[Objective]

    def describe(self) -> Description:
        """What prompts, exports and people need to know."""

    def seeds(self) -> Mapping[str, str]:
        """Seed programs by name, in a fixed order."""

    def workload(self) -> Workload:
        """What travels to the worker processes."""

    def data(self) -> Data:
        """What jobs may be given. A search gives "train" and "val"; "test" goes to a process that trains nothing."""

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Turn what workers returned into metrics, by labels that they never had.

        Args:
            outcome: Of the training.
            examined: The second account, with the state that `best_state` gave: predictions of "val" by that state, and for a
                verification of "test".
            purpose: Why it was trained.

        Raises:
            ValueError: The arrays are not what was asked for; the candidate is then INVALID with this reason.
        """

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """One number that orders candidates; higher is better. The loop stores it as the metric "fitness"."""

    def best_state(self, outcome: Outcome) -> Mapping[str, Any] | None:
        """Return the state (NumPy arrays by parameter name) at the outcome's best validation point.

        None where there is no state to examine: `score` is then given the outcome of the training twice.
        """


@runtime_checkable
class Executor(Protocol):
    """Runs jobs where they can do no harm.

    One method is optional: `connect(stop)`, called before the search begins with a function that ends it in good order, from
    any thread.
    """

    slots: int

    def start(self, workload: Workload, data: Callable[[], Data] = ...) -> None:
        """Make ready; called once, before the first job. `data` returns what jobs may be given; nothing by default."""

    def submit(self, job: Job) -> Future[Outcome]:
        """Queue a job. The future never raises for a bad candidate, and may be cancelled while it waits."""

    def close(self, *, wait: bool = False) -> None:
        """End every process that it started; with `wait`, after the running jobs. May be called twice."""


@runtime_checkable
class Strategy(Protocol):
    """Decides what to try next. Its state is a function of its tells; its randomness of (seed, round, index).

    The loop calls `begin`, tells all seeds, and then asks. Each Brief leads to exactly `sampling.n` tells, each Suggestion to
    one for each of its texts. Two attributes are optional: `suits`, a set with "programs" (the default), "spaces" or both: what
    candidates it can propose; `lm_free`, those of them for which it asks no
    language model (none by default).
    """

    planned: int
    """Children that a whole search makes."""

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed and what suits the language model, once, before anything else."""

    def ask(self) -> Wish | None:
        """The next wish; None to wait for what runs. None with nothing running ends the search. None changes nothing."""

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Whether a trained candidate counts as a result. One that does not gets no "fitness" and wins nothing."""

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn how a candidate did; in any order within a round."""


@runtime_checkable
class SpaceStrategy(Strategy, Protocol):
    """A strategy that works on designs of a space."""

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the task's space, None where it has none, and its objectives; called before `begin`.

        Raises:
            UsageError: It cannot work there.
        """


@runtime_checkable
class CostAwareStrategy(Strategy, Protocol):
    """A strategy that decides by what proposals cost, too."""

    def paid(self, candidate: Candidate, completion: Completion) -> None:
        """Learn what reply a child came from; called before it is told of the child."""


@runtime_checkable
class Storage(Protocol):
    """Keeps every record of every run. Each `add_*` is durable when it returns; adding the same key again is an error."""

    def add_run(self, run: Run) -> None: ...
    def run(self, name: str) -> Run: ...
    def runs(self) -> list[Run]: ...
    def finish_run(self, name: str, finished: str) -> None: ...
    def claim(self, name: str) -> AbstractContextManager[None]:
        """Hold a run, stored or about to be, until the block or the process ends; RunBusyError where another process has it."""

    def folder(self, name: str) -> Path:
        """The run's folder for files (adapters, weights); created when asked for."""

    def add_asked(self, run: str, step: int, told: int, action: Wish) -> None:
        """Record the `step`-th wish of the strategy, made after `told` evaluations had been told."""

    def asked(self, run: str) -> list[tuple[int, Wish]]:
        """All wishes in order of step: (told, action)."""

    def add_completions(self, run: str, step: int, first: int, completions: Sequence[Completion]) -> None:
        """Record replies `first`, `first`+1, … of a step, all or none."""

    def completions(self, run: str, step: int | None = None) -> dict[tuple[int, int], Completion]:
        """Replies by (step, index)."""

    def add_call(self, run: str, call: Call) -> None: ...
    def calls(self, run: str) -> list[Call]:
        """In the order in which they were added."""

    def add_candidates(self, run: str, candidates: Sequence[Candidate]) -> None: ...
    def candidates(self, run: str) -> list[Candidate]:
        """In order of id."""

    def add_evaluation(self, run: str, evaluation: Evaluation) -> None: ...
    def evaluations(self, run: str) -> list[Evaluation]:
        """In the order in which they were added."""

    def add_tuning(self, run: str, step: int, tuning: Tuning) -> None: ...
    def tunings(self, run: str) -> dict[int, Tuning]:
        """By step."""

    def close(self) -> None: ...
