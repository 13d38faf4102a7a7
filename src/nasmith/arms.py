"""Decides what a comparison compares: one configuration for each strategy, checked before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from nasmith import registry
from nasmith.config import RunConfig, resolve
from nasmith.errors import UnknownNameError, UsageError
from nasmith.matching import asks_lm, kind_of, prepare
from nasmith.protocols import Executor, LanguageModel, Strategy, Task, space_of

__all__ = ["Arm", "group_of", "lineup", "parts_of"]

_SIZES = ("evaluations", "designs")
"""Options by which a strategy is told how many candidates it may make."""

_EXECUTOR = "executor"


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the things that are compared.

    Attributes:
        label: What people call it: the strategy's name, with "disguised" where the task is.
        key: The same for the names of runs; it holds a hash of the configuration.
        config: Of its runs, but for the seed, as `nasmith.api.search` stores it.
        planned: Candidates that the strategy plans within the budget.
        quick: Its runs ask no language model and train nothing: they can be made whole in a worker process.
    """

    label: str
    key: str
    config: Mapping[str, Any]
    planned: int
    quick: bool


def lineup(
    task: Task | str,
    strategies: Sequence[Strategy | str] | Mapping[str, Strategy | str],
    evaluations: int,
    *,
    lm: LanguageModel | str | Sequence[str] | None = None,
    executor: Executor | str | None = None,
    settings: Sequence[str] = (),
    workers: int | None = None,
    disguise: int | None = None,
) -> list[Arm]:
    """Return what is compared, each checked as far as it can be without running it.

    A strategy with an option `evaluations` or `designs` gets the budget as its value. A setting goes to every run that has such
    an option; "STRATEGY.OPTION=VALUE" to one strategy alone.

    Args:
        task: What to search for.
        strategies: Names or objects, or a mapping of what they are to be called.
        evaluations: Budget of each run.
        lm: Who proposes for strategies that ask a language model.
        executor: Where candidates run.
        settings: "KEY=VALUE", as in `nasmith.config.resolve`.
        workers: Of executors that have such an option.
        disguise: Run each strategy beside that on the task with its option `disguise` at this seed, too.

    Raises:
        UsageError: A strategy, an option or the task cannot be used, or a strategy does not suit the task.
        MissingDependencyError: Something is not installed.
    """
    named = dict(strategies) if isinstance(strategies, Mapping) else _labelled(strategies)
    if not named:
        raise UsageError(f"no strategy was named. Valid: {', '.join(registry.names('strategies'))}.")
    whats: dict[str, Any] = {"task": _task(task)}
    default = getattr(_of_task(whats), "defaults", {}).get(_EXECUTOR, "processes")
    whats[_EXECUTOR] = _plain("executors", executor or default)
    if disguise is not None and "disguise" not in registry.options("tasks", _name(whats["task"])):
        raise UsageError(f"task {_name(whats['task'])} has no option `disguise`, so that it cannot be disguised.")
    made, taken = [], set[str]()
    for label, strategy in named.items():
        base = {**whats, "verify": {"best": 0}, "strategy": _plain("strategies", strategy)}
        base["lm"] = _lm_of(base, lm)
        kept, own = _settings(settings, base, label, list(named))
        taken.update(own)
        for hidden in (None,) if disguise is None else (None, disguise):
            made.append(_arm(label, base, evaluations, kept, workers, hidden))
    for setting in settings:
        if setting not in taken:
            key = setting.partition("=")[0].strip()
            raise UnknownNameError("option", key, _options([arm.config for arm in made], list(named)))
    return made


def parts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Make the components that a configuration names."""
    return {part: registry.create(kind, config[part]["name"], config[part]["options"]) for part, kind in registry.PARTS.items()}


def group_of(arms: Sequence[Arm], task: Task) -> str:
    """Return the name of a comparison: the same for the same task, executor and budget, whatever strategies and seeds."""
    config = arms[0].config
    what = {key: config[key] for key in ("task", "budget", "choice", "templates", "verify")}
    return f"compare-{_slug(task.name)}-{_hash({**what, _EXECUTOR: _without_workers(config)}, 8)}"


def _labelled(strategies: Sequence[Strategy | str]) -> dict[str, Strategy | str]:
    named: dict[str, Strategy | str] = {}
    for strategy in strategies:
        label = strategy if isinstance(strategy, str) else str(registry.describe("strategies", strategy)["name"])
        if label in named:
            raise UsageError(f"the strategy {label} is named twice; give each a name of its own: {{'a': ..., 'b': ...}}.")
        named[label] = strategy
    return named


def _plain(kind: registry.Kind, component: Any) -> Any:
    return component if isinstance(component, str | Mapping) else registry.describe(kind, component)


def _task(task: Task | str) -> Any:
    """Return a task's part of a configuration; the path of a folder is written out."""
    if not isinstance(task, str):
        return _plain("tasks", task)
    name, options = registry.expand("tasks", task)
    return {"name": name, "options": options}


def _of_task(base: Mapping[str, Any]) -> Any:
    """Make the task: what it prefers may stand in its own files."""
    return registry.create("tasks", base["task"]["name"], base["task"]["options"])


def _name(part: Any) -> str:
    return str(part["name"] if isinstance(part, Mapping) else part)


def _arm(
    label: str,
    base: Mapping[str, Any],
    evaluations: int,
    settings: Sequence[str],
    workers: int | None,
    disguise: int | None,
) -> Arm:
    chosen = _resolved(base, evaluations, settings, workers, disguise)
    made = {part: registry.create(kind, _of(chosen, part)[0], _of(chosen, part)[1]) for part, kind in registry.PARTS.items()}
    # A strategy that cannot begin says so now; runs get strategies of their own.
    prepare(made["task"], made["strategy"])
    made["strategy"].begin(0, made["lm"].temperatures, made["lm"].operators)
    planned = min(evaluations, made["strategy"].planned)
    config: dict[str, Any] = {part: registry.describe(kind, made[part]) for part, kind in registry.PARTS.items()}
    config |= {"budget": asdict(chosen.budget), "verify": asdict(chosen.verify), "choice": asdict(chosen.choice)}
    config["templates"] = chosen.templates
    quick = space_of(made["task"]) is not None and not asks_lm(made["strategy"], "spaces") and chosen.executor.name == "inline"
    suffix = "" if disguise is None else ", disguised"
    key = f"{_slug(label + suffix)}-{_hash({**config, _EXECUTOR: _without_workers(config)}, 6)}"
    return Arm(label + suffix, key, config, planned, quick)


def _resolved(
    base: Mapping[str, Any], evaluations: int, settings: Sequence[str], workers: int | None, disguise: int | None
) -> RunConfig:
    flags: dict[str, Any] = {"budget.evaluations": evaluations, "task.disguise": disguise}
    strategy = _name(base["strategy"])
    given = {setting.partition("=")[0].strip().removeprefix("strategy.") for setting in settings}
    for option in _SIZES:
        if option in registry.options("strategies", strategy) and option not in given:
            flags[f"strategy.{option}"] = evaluations
    if workers is not None and "workers" in registry.options("executors", _name(base[_EXECUTOR])):
        flags["executor.workers"] = workers
    return resolve(base=base, settings=settings, flags=flags)


def _lm_of(base: Mapping[str, Any], lm: Any) -> Any:
    """Return who proposes in a strategy's runs."""
    kind = kind_of(registry.load("tasks", _name(base["task"])))
    if not asks_lm(registry.load("strategies", _name(base["strategy"])), kind):
        return "none"
    if lm is None:
        return RunConfig.model_fields["lm"].default.name
    return [_plain("lms", each) for each in lm] if isinstance(lm, list | tuple) else _plain("lms", lm)


def _of(chosen: RunConfig, part: str) -> tuple[str, dict[str, Any]]:
    component = chosen.component(part)
    return component.name, component.options


def _settings(
    settings: Sequence[str], base: Mapping[str, Any], label: str, labels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the settings that are for a strategy's runs, as `resolve` takes them, and the same as they came."""
    kept, own = [], []
    for setting in settings:
        head = max((name for name in labels if setting.startswith(f"{name}.")), key=len, default=None)
        if head is not None and head not in registry.PARTS:
            if head == label:
                kept.append("strategy." + setting[len(head) + 1 :])
                own.append(setting)
        elif _has(setting.partition("=")[0].strip(), base):
            kept.append(setting)
            own.append(setting)
    return kept, own


def _has(key: str, base: Mapping[str, Any]) -> bool:
    """Whether a setting's key means something for a strategy's runs; all but options of the strategy do."""
    head, _, rest = key.partition(".")
    options = registry.options("strategies", _name(base["strategy"]))
    if head == "strategy" and rest:
        return rest.removeprefix("options.").partition(".")[0] in options
    if head == "lm":
        return bool(base["lm"] != "none")
    if rest or head in RunConfig.model_fields or head in options:
        return True
    lms = base["lm"] if isinstance(base["lm"], list) else [base["lm"]]
    named: list[tuple[registry.Kind, Any]] = [("tasks", base["task"]), ("executors", base[_EXECUTOR])]
    named += [("lms", lm) for lm in (lms if len(lms) == 1 else ["ensemble"])]
    return any(head in registry.options(kind, registry.expand(kind, _name(part))[0]) for kind, part in named)


def _options(configs: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> set[str]:
    every = {option for config in configs for part in registry.PARTS for option in config[part]["options"]}
    return every | {f"{label}.OPTION" for label in labels}


def _without_workers(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the executor's part without what changes no result."""
    part = config[_EXECUTOR]
    return {"name": part["name"], "options": {key: value for key, value in part["options"].items() if key != "workers"}}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:30].rstrip("-")


def _hash(value: Any, length: int) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:length]
