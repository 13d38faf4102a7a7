"""The configuration of a run: one YAML file, command-line flags and `KEY=VALUE` settings, checked before anything starts.

    task: mnist1d                      # a name, or {name: ..., options: {...}}
    lm: smollm2
    strategy: {name: evoprompting, options: {rounds: 4, tuning: false}}
    executor: processes
    seed: 0
    budget: {evaluations: 200, minutes: 60, tokens: 2000000, usd: 5}
    verify: {best: 10, front: 10, seeds: 3, baselines: true}
    choice: {by: auto, fix: true}      # how operators and models are chosen (nasmith.choosing.Choice)
    templates: my-prompts              # a folder whose prompts replace nasmith's own

Several language models, `lm: [openai/gpt-5-mini, smollm2]`, make an ensemble.

Flags win over settings, settings over the file, the file over the defaults. Options are the arguments of the component's
constructor; what they may be is checked there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from nasmith import registry
from nasmith.choosing import Choice
from nasmith.errors import ConfigError, UnknownNameError, UsageError
from nasmith.loop import Budget
from nasmith.matching import default_lm
from nasmith.verify import Verification
from nasmith.yaml_files import YamlFile

__all__ = ["Component", "RunConfig", "resolve", "setting"]

_STRICT = ConfigDict(extra="forbid")
_KINDS = registry.PARTS


class Component(BaseModel):
    """A component by name, with its constructor's arguments."""

    model_config = _STRICT
    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class RunConfig(BaseModel):
    """Everything that decides what a run does."""

    model_config = _STRICT
    task: Component
    lm: Component = Component(name="smollm2")
    strategy: Component = Component(name="evoprompting")
    executor: Component = Component(name="processes")
    seed: int = 0
    budget: Budget = Budget()
    verify: Verification = Verification()
    choice: Choice = Choice()
    templates: str = ""
    comparison: str = ""  # what the run was made for, where `nasmith compare` made it

    @field_validator("task", "lm", "strategy", "executor", mode="before")
    @classmethod
    def _whole(cls, value: Any, info: ValidationInfo) -> Any:
        return _component(str(info.field_name), value)

    def component(self, part: str) -> Component:
        """Return the component in the place "task", "lm", "strategy" or "executor"."""
        return cast(Component, getattr(self, part))


def resolve(
    *,
    task: str | None = None,
    lm: str | Sequence[str] | None = None,
    strategy: str | None = None,
    executor: str | None = None,
    seed: int | None = None,
    flags: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    file: Path | None = None,
    base: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Put a configuration together.

    Args:
        task: Task's name; it may stand in the file instead.
        lm: Language model's name, likewise; several make an ensemble.
        strategy: Strategy's name, likewise.
        executor: Executor's name, likewise.
        seed: The run's seed, likewise.
        flags: Further values by dotted key ("strategy.rounds", "task.steps", "budget.minutes"); None values are left out.
        settings: "KEY=VALUE", the value read as YAML. A key is dotted, or the bare name of an option that one
            component has, or the strategy among others.
        file: A YAML file.
        base: What holds where nothing else is said, instead of the defaults: the configuration of a run that is played again.

    Raises:
        UnknownNameError: A component, option or key that does not exist.
        ConfigError: A value that breaks a rule, with file and line where it came from a file.
    """
    read, plain = YamlFile.read(file) if file else YamlFile(), YamlFile()
    values = {**(base or {}), **read.values}
    if lm is not None and not isinstance(lm, str):
        values["lm"], lm = list(lm), None
    for part, name in {"task": task, "lm": lm, "strategy": strategy, "executor": executor}.items():
        if name is not None:
            present = values.get(part)
            options = present.get("options", {}) if isinstance(present, dict) and present.get("name") == name else {}
            values[part] = {"name": name, "options": options}
    if seed is not None:
        values["seed"] = seed
    _check_keys(values, read)
    if "task" not in values:
        raise ConfigError(f"no task was named. Valid: {', '.join(registry.names('tasks'))}.")
    config = _build(_with_defaults(values, settings), read)
    updates = [(key, value) for key, value in map(setting, settings)]
    updates += [(key, value) for key, value in (flags or {}).items() if value is not None]
    if updates:  # what a task has where nothing is named may depend on its own options
        config = _build(_with_defaults(_with_task_options(values, config, updates), settings), read)
        values = config.model_dump()
        for key, value in updates:
            _assign(values, _full_key(config, key), value)
        _check_keys(values, plain)
        config = _build(values, plain)
    _check_options(config, read)
    return config


def _with_defaults(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Add what the task has where the user names nothing, and no language model for a strategy that asks none."""
    task = _component("task", values["task"])
    if not isinstance(task, dict) or not isinstance(task.get("name"), str):
        return values  # what is wrong with it is said when it is checked
    made = _task(task["name"], task.get("options"))
    values = _merged(getattr(made, "defaults", {}), values)
    if "lm" not in values and not any(setting.startswith("lm.") for setting in settings):
        strategy = _component("strategy", values.get("strategy", RunConfig.model_fields["strategy"].default.name))
        if isinstance(strategy, dict) and isinstance(strategy.get("name"), str):
            values["lm"] = default_lm(registry.load("strategies", strategy["name"]), made)
    return values


def _with_task_options(values: Mapping[str, Any], config: RunConfig, updates: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the values with those updates that are options of the task."""
    task = config.task.model_dump()
    for key, value in updates:
        path = _full_key(config, key)
        if path[:2] == ["task", "options"]:
            _assign(task, path[1:], value)
    return {**values, "task": task}


def _task(name: str, options: Any) -> Any:
    """Return the task, or its class where its options are wrong, which is said when they are checked."""
    try:
        return registry.create("tasks", name, options)
    except ConfigError:
        return registry.load("tasks", name)


def _merged(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Put a user's values over a task's: of a component that both name, option by option; of a section, key by key."""
    merged = {key: _component(key, value) if key in _KINDS else value for key, value in defaults.items()}
    for key, value in values.items():
        mine = merged.get(key)
        theirs = _component(key, value) if key in _KINDS else value
        if not (isinstance(mine, dict) and isinstance(theirs, dict)):
            merged[key] = theirs
        elif key not in _KINDS:
            merged[key] = {**mine, **theirs}
        elif mine.get("name") != theirs.get("name", mine.get("name")):
            merged[key] = theirs
        else:
            merged[key] = {**mine, **theirs, "options": {**mine.get("options", {}), **(theirs.get("options") or {})}}
    return merged


def _check_keys(values: Mapping[str, Any], file: YamlFile) -> None:
    """Name an unknown key, with the nearest valid one."""
    known: dict[str, Iterable[str]] = {
        "": RunConfig.model_fields,
        "budget": Budget.__dataclass_fields__,
        "verify": Verification.__dataclass_fields__,
        "choice": Choice.__dataclass_fields__,
        **{part: ("name", "options") for part in _KINDS},
    }
    for section, valid in known.items():
        present = values if not section else values.get(section)
        for key in present if isinstance(present, dict) else ():
            if key not in valid:
                path = f"{section}.{key}" if section else str(key)
                error = UnknownNameError("configuration key", path, [f"{section}.{v}" if section else v for v in valid])
                raise ConfigError(f"{file.at(path)}{error}")


def _component(part: str, value: Any) -> Any:
    """Write out what a name alone, a name that holds an option, or a list of language models stands for."""
    if isinstance(value, list) and part == "lm":
        if len(value) == 1:
            return _component(part, value[0])
        return {"name": "ensemble", "options": {"members": [_component(part, item) for item in value]}}
    if isinstance(value, str):
        value = {"name": value}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        name, options = registry.expand(_KINDS[part], value["name"])
        return {**value, "name": name, "options": {**options, **(value.get("options") or {})}}
    return value


def _build(values: Mapping[str, Any], file: YamlFile) -> RunConfig:
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{file.at(key)}{key}: {first['msg']}, got {first['input']!r}.") from error


def setting(text: str) -> tuple[str, Any]:
    """Return the key and the value, read as YAML, of "KEY=VALUE".

    Raises:
        ConfigError: It is none.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set takes KEY=VALUE, got {text!r}.")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: the value {value!r} is not valid YAML.") from error


def _full_key(config: RunConfig, key: str) -> list[str]:
    """Turn "rounds" or "strategy.rounds" into the path of the option; leave other keys as they are."""
    head, _, rest = key.partition(".")
    if head in _KINDS and rest:
        return [head, rest] if rest == "name" else [head, "options", *rest.removeprefix("options.").split(".")]
    if rest or head in RunConfig.model_fields:
        return key.split(".")
    owners = [part for part in _KINDS if head in registry.options(_KINDS[part], config.component(part).name)]
    if len(owners) == 1 or "strategy" in owners:  # the strategy's word wins over what suits the language model
        return ["strategy" if "strategy" in owners else owners[0], "options", head]
    if owners:
        raise ConfigError(f"option {head!r} is ambiguous: say {' or '.join(f'{owner}.{head}' for owner in owners)}.")
    every = {option for part in _KINDS for option in registry.options(_KINDS[part], config.component(part).name)}
    raise UnknownNameError("option", head, every | set(RunConfig.model_fields))


def _assign(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{'.'.join(path)}: {key!r} holds a value, not keys.")
    values[path[-1]] = value


def _check_options(config: RunConfig, file: YamlFile) -> None:
    """Make each component once: its constructor checks its options and does no work."""
    for part, kind in _KINDS.items():
        component = config.component(part)
        try:
            registry.create(kind, component.name, component.options)
        except UsageError as error:
            where = file.at(part)
            raise (ConfigError(f"{where}{error}") if where else error) from error
