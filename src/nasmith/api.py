"""nasmith from Python: `search` a task, `resume` a run, `load` what came of it."""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nasmith import registry
from nasmith.bandit import weights_of
from nasmith.choosing import Choice, Choosing
from nasmith.errors import RunBusyError, UnknownNameError, UsageError
from nasmith.events import Finished, Observer, Verifying
from nasmith.interrupts import graceful
from nasmith.loop import Budget, Search
from nasmith.matching import asks_lm, default_lm, kind_of, prepare
from nasmith.propose import CHAT_OPERATORS, OPERATORS, Templates, requests
from nasmith.protocols import (
    Executor,
    HostedLanguageModel,
    LanguageModel,
    RecordedLanguageModel,
    Storage,
    Strategy,
    Task,
    space_of,
    traits_of,
)
from nasmith.redaction import secret_in
from nasmith.repairing import Repairing
from nasmith.result import Result
from nasmith.seeding import generator
from nasmith.space import Space
from nasmith.spending import Estimate, guess
from nasmith.stopping import heeding
from nasmith.storage import DEFAULT_STORAGE
from nasmith.types import Brief, Candidate, Run, Sampling
from nasmith.verify import Verification, verify, winners

__all__ = ["Result", "estimate", "load", "open_storage", "resume", "search"]


def open_storage(where: str | Path | Storage | None = None, *, read_only: bool = False) -> Storage:
    """Open a storage: a path of a SQLite file, a database URL, or None for `nasmith-runs/nasmith.sqlite3`."""
    if where is not None and not isinstance(where, str | Path):
        return where
    from nasmith.storage.sql import Sql

    return Sql(where or DEFAULT_STORAGE, read_only=read_only)


def load(name: str, storage: Storage | str | Path | None = None) -> Result:
    """Open a stored run for reading: a finished one, one that was interrupted, or one that still goes on.

    Raises:
        UnknownNameError: No run has that name.
        StorageError: There is no such storage.
    """
    opened = open_storage(storage, read_only=True)
    run = opened.run(name)
    part = run.config["task"]
    return Result(run, opened, registry.create("tasks", part["name"], part["options"]))


def search(
    task: Task | str = "mnist1d",
    lm: LanguageModel | str | None = None,
    strategy: Strategy | str | None = None,
    executor: Executor | str | None = None,
    storage: Storage | str | Path | None = None,
    *,
    name: str | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    verify: Verification | None = None,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    templates: str | Path = "",
    observers: Sequence[Observer] = (),
    comparison: str = "",
) -> Result:
    """Search for models, verify the winners, and return what was found.

    Components are objects, or names where the defaults do. What is left out is what suits the task.

    Args:
        task: What to search for; a task folder by its path.
        lm: Who proposes; by default the embedded model, or nobody where the strategy asks none.
        strategy: Who decides what to try next; by default EvoPrompting, or what the task prefers.
        executor: Where candidates run; by default sandboxed processes, or what the task prefers.
        storage: A path, a URL or a Storage; by default `nasmith-runs/nasmith.sqlite3`.
        name: The run's name; by default the task's name and a number.
        seed: The same seed gives the same candidates on the same machine.
        budget: When to end early; by default never, or when the task says.
        verify: What is trained again with new seeds and scored on the test set.
        choice: How operators are chosen, and the members of an ensemble.
        templates: A folder whose prompts replace nasmith's own (`nasmith/prompts`).
        observers: Called with every event (`nasmith.events`), on this thread. One that raises `StopSearch` ends the search:

                def enough(event):
                    if isinstance(event, Evaluated) and event.evaluation.metrics.get("val_error", 1) < 0.05:
                        raise nasmith.StopSearch
        comparison: Name of the comparison that the run is made for.

    Raises:
        UsageError: A component, name or seed program cannot be used, or another process works on a run of this name.
        MissingDependencyError, StorageError: Something is not installed; the storage cannot be written.
        RunStoppedError: The run cannot go on; what it finished is stored and `resume` takes it up.
    """
    parts = _parts(task, lm, strategy, executor)
    wanted = getattr(parts["task"], "defaults", {})
    verify, budget = verify or Verification(**wanted.get("verify", {})), budget or Budget(**wanted.get("budget", {}))
    _attach(parts["lm"], storage)
    chosen = {"seed": seed, "budget": asdict(budget), "verify": asdict(verify), "choice": asdict(choice)}
    config = _described(parts) | chosen | {"templates": str(templates)} | ({"comparison": comparison} if comparison else {})
    _refuse_secrets(config)
    prepare(parts["task"], parts["strategy"], parts["lm"])
    with _started(parts), ExitStack() as held:
        opened = open_storage(storage)
        claimed = _claim_new(held, opened, name, parts["task"].name)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        run = Run(claimed, config, version("nasmith"), _environment(parts["task"]), created)
        return _execute(run, parts, opened, observers, new=True)


def _parts(
    task: Task | str, lm: LanguageModel | str | None, strategy: Strategy | str | None, executor: Executor | str | None
) -> dict[str, Any]:
    """Make what is named; what is left out is what the task prefers."""
    made = _made("tasks", task)
    wanted = {"strategy": "evoprompting", "executor": "processes", **getattr(made, "defaults", {})}
    decider = _made("strategies", strategy or wanted["strategy"])
    return {
        "task": made,
        "lm": _made("lms", lm or wanted.get("lm") or default_lm(decider, made)),
        "strategy": decider,
        "executor": _made("executors", executor or wanted["executor"]),
    }


def _described(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {part: registry.describe(registry.PARTS[part], component) for part, component in parts.items()}


def resume(
    name: str,
    storage: Storage | str | Path | None = None,
    *,
    observers: Sequence[Observer] = (),
    executor: Executor | None = None,
) -> Result:
    """Go on with a run that was interrupted: the same candidates as if it had not been.

    Args:
        name: The run's name.
        storage: Where it is; by default `nasmith-runs/nasmith.sqlite3`.
        observers: As for `search`.
        executor: Where candidates run; by default where they did before.

    Raises:
        UnknownNameError: No run has that name.
        UsageError: The run is finished.
        RunBusyError: Another process works on it.
    """
    opened = open_storage(storage)
    opened.run(name)  # an unknown name is said before anything is made for it
    with opened.claim(name):
        run = opened.run(name)
        if run.finished:
            raise UsageError(f"run {name!r} is finished. See it with: nasmith show {name}")
        config = run.config
        parts = {
            part: registry.create(kind, config[part]["name"], config[part]["options"])
            for part, kind in registry.PARTS.items()
            if executor is None or part != "executor"
        }
        parts.setdefault("executor", executor)
        _check_unchanged(run, parts["task"])
        _attach(parts["lm"], opened)
        prepare(parts["task"], parts["strategy"], parts["lm"])
        with _started(parts):
            return _execute(run, parts, opened, observers, new=False)


def _check_unchanged(run: Run, task: Task) -> None:
    """Raise UsageError where a task's own files are not those with which a run was begun."""
    fingerprint, known = getattr(task, "fingerprint", None), run.environment.get("task")
    if fingerprint is not None and known is not None and known != fingerprint():
        raise UsageError(
            f"run {run.name!r} cannot be resumed: the files of its task have changed since it was begun, so that its "
            "evaluations would not be comparable. Put them back, or begin a new run."
        )


def estimate(task: Task, lm: LanguageModel, strategy: Strategy, budget: Budget = Budget()) -> Estimate | None:  # noqa: B008
    """Say what a search will probably take of its language model; None where that costs no money. Nothing is asked.

    The prompt is made of two seeds, by the operator with the largest weight; in a space, of half the designs to come.
    """
    traits, space = traits_of(lm), space_of(task)
    if traits.free or not isinstance(lm, HostedLanguageModel) or not asks_lm(strategy, kind_of(task)):
        return None
    if space is not None:
        return _estimate_in(space, task, lm, strategy, budget)
    seeds = [Candidate(number, text) for number, text in enumerate(list(task.seeds().values())[:2], start=1)]
    children = min(strategy.planned, budget.evaluations or strategy.planned)
    facts = {"num_params": "10000", "val_accuracy": "0.900"}
    asked = Sampling(min(children, traits.batch or children), 1.0, 0)
    operator = max(lm.operators, key=lambda name: lm.operators[name])
    brief = Brief(operator, tuple(seed.id for seed in seeds), (facts,) * len(seeds), facts, asked)
    return guess(children, [planned.request for planned in requests(brief, seeds, task.describe(), chat=traits.chat)], lm.price)


def _estimate_in(space: Space, task: Task, lm: HostedLanguageModel, strategy: Strategy, budget: Budget) -> Estimate:
    """Estimate a search that asks for one design after the other: by the request in its middle."""
    designs = min(strategy.planned, budget.evaluations or strategy.planned)
    draw = generator(0, "estimate")
    shown = [Candidate(number, space.write(space.sample(draw))) for number in range(1, designs // 2 + 1)]
    operator = getattr(strategy, "conversation", None) or space.conversation
    facts = ({"accuracy": "90.000"},) * len(shown)
    brief = Brief(operator, tuple(each.id for each in shown), facts, {}, Sampling(1, 0.0, 0))
    planned = requests(brief, shown, task.describe(), chat=traits_of(lm).chat, space=space)
    return guess(designs, [each.request for each in planned], lm.price)


def _attach(lm: LanguageModel, storage: Storage | str | Path | None) -> None:
    """Have a recorded model read its recording, from the run's own storage where it names no other."""
    if isinstance(lm, RecordedLanguageModel):
        where = getattr(lm, "storage", "") or storage
        source = open_storage(where, read_only=True)
        lm.attach(source, lambda part: registry.create("lms", part["name"], part["options"]))
        if source is not where:  # it was opened here
            source.close()


def _chosen(strategy: Strategy, lm: LanguageModel, choice: Choice) -> Strategy:
    """Wrap a strategy of programs in what chooses operators and members of an ensemble, and has failed candidates fixed."""
    models: Mapping[str, Mapping[str, float]] = getattr(lm, "models", None) or {"": lm.operators}
    traits = {name: traits_of(lm, name) for name in models}
    able = {name: set(CHAT_OPERATORS if traits[name].chat else OPERATORS) - {"fix"} for name in models}
    wanted = getattr(strategy, "operators", None)
    for operator in weights_of(wanted) if wanted is not None else ():
        if not any(operator in own for own in able.values()):
            raise UnknownNameError(f"operator of {lm.name}", operator, set().union(*able.values()))
    learning = choice.by == "bandit" or (choice.by == "auto" and not all(each.exact for each in traits.values()))
    if learning or len(models) > 1:
        strategy = Choosing(strategy, models, able, choice, learning)
    asked = {name if len(models) > 1 else "" for name in models if traits[name].chat}
    return Repairing(strategy, asked) if choice.fix and asked else strategy


@contextmanager
def _started(parts: Mapping[str, Any]) -> Iterator[None]:
    """Have the workers warm up, before all that takes time in this process; at the end close what was opened."""
    try:
        parts["executor"].start(parts["task"].workload(), parts["task"].data)
        yield
    finally:
        parts["executor"].close()
        parts["lm"].close()


def _claim_new(held: ExitStack, storage: Storage, name: str | None, task: str) -> str:
    """Hold a name for a run to be as long as `held` does: `name`, or the task's with the first number that is free."""
    taken = {run.name for run in storage.runs()}
    if name in taken:
        raise UsageError(f"there is a run named {name!r} already. Resume it (nasmith resume {name}) or choose another name.")
    if name is not None:
        held.enter_context(storage.claim(name))
        return name
    for numbered in (f"{task}-{count}" for count in itertools.count(1)):
        if numbered not in taken:
            with suppress(RunBusyError):  # somebody began it a moment ago
                held.enter_context(storage.claim(numbered))
                return numbered
    raise AssertionError("numbers do not end")


def _refuse_secrets(config: Mapping[str, Any]) -> None:
    variable = secret_in(config)
    if variable:
        raise UsageError(
            f"an option holds the value of the environment variable {variable}, and a run's options are stored. "
            "Leave the option out: a component reads its key from the environment itself."
        )


def _execute(
    run: Run,
    parts: Mapping[str, Any],
    storage: Storage,
    observers: Sequence[Observer],
    *,
    new: bool,
) -> Result:
    """Run the loop as the run's configuration says; one of an older version lacks the keys that came later."""
    config, task, lm = run.config, parts["task"], parts["lm"]
    seed, budget, what = config["seed"], Budget(**config["budget"]), Verification(**config["verify"])
    templates = Templates(config.get("templates") or None)
    words = ("num_params", "val_accuracy", *(objective.name.removeprefix("val_") for objective in task.objectives))
    templates.check(task.describe(), words)
    strategy = parts["strategy"]
    if space_of(task) is None:
        strategy = _chosen(strategy, lm, Choice(**config.get("choice", {"by": "weights"})))
    began = time.monotonic()
    heard = heeding(observers, lambda: loop.stop())
    loop = Search(
        run, task, lm, strategy, parts["executor"], storage, seed, budget, new=new, observers=heard, templates=templates
    )
    connect: Callable[[Callable[[], None]], None] | None = getattr(parts["executor"], "connect", None)
    if connect is not None:
        connect(loop.stop)
    with graceful(loop.stop):
        reason = loop.execute()
        result = Result(run, storage, task)
        complete = not loop.stopped and _verify(result, loop, what, seed)
    if complete:
        storage.finish_run(run.name, _end(run.created, time.monotonic() - began, new))
    loop.emit(Finished(reason if complete else "stopped", complete))
    return Result(storage.run(run.name), storage, task)


def _end(created: str, seconds: float, new: bool) -> str:
    """Return the date of a run's end, never before its beginning, whatever was done to the clock meanwhile."""
    least = datetime.fromisoformat(created) + timedelta(seconds=seconds)
    return (least if new else max(least, datetime.now(UTC))).isoformat(timespec="seconds")


def _verify(result: Result, loop: Search, what: Verification, seed: int) -> bool:
    """Verify the winners of a search that is over; return whether all were verified."""
    ids = winners(result.task, list(result.candidates.values()), result.evaluations, what)
    if ids:
        loop.emit(Verifying(tuple(ids), what.seeds))
    return verify(
        ids,
        result.candidates,
        what,
        seed=seed,
        run=result.run.name,
        task=result.task,
        trials=loop.trials,
        storage=result.storage,
        history=loop.history,
        stopped=lambda: loop.stopped,
        emit=loop.emit,
    )


def _made(kind: registry.Kind, component: Any) -> Any:
    """Make a component of its name, or of {name, options}; one that is made already stays."""
    if isinstance(component, Mapping):
        return registry.create(kind, component["name"], component.get("options"))
    return registry.create(kind, component) if isinstance(component, str) else component


def _environment(task: Task) -> dict[str, str]:
    """Say what the run depends on beside its configuration."""
    fingerprint = getattr(task, "fingerprint", None)
    found = {} if fingerprint is None else {"task": fingerprint()}
    found |= {"python": platform.python_version(), "platform": platform.platform(), "processors": str(os.cpu_count())}
    for package in ("torch", "transformers", "peft", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
