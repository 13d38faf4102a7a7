"""Finds components by name and makes them from plain options.

A name is an entry point (groups `nasmith.tasks`, `nasmith.lms`, `nasmith.strategies`, `nasmith.executors`) or
"package.module:Class". An option is an argument of the component's constructor; its annotation is its type.

A class may say by its attribute `shorthand` which option the rest of a longer name is: "scripted:replies.json" is `scripted`
with that `file`; where its attribute `shorthand_separator` is "-", "clrs-bfs" is `clrs` with that `algorithm`. The path of a
folder is a task of the kind that the folder holds. A name with a slash is a model of a provider: "litellm/groq/llama" where
there is such an entry point, otherwise one of `openai-compatible`. An option that is a language model itself, or a list of
them, is given as a name or as {name, options}.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, get_type_hints

from nasmith.errors import ConfigError, UnknownNameError, UsageError
from nasmith.protocols import LanguageModel

__all__ = ["PARTS", "Kind", "create", "describe", "expand", "load", "names", "options", "summary", "validated"]

Kind = Literal["tasks", "lms", "strategies", "executors"]
PARTS: Mapping[str, Kind] = {"task": "tasks", "lm": "lms", "strategy": "strategies", "executor": "executors"}
"""The parts that a run is made of, each with its kind of component."""

_PROVIDERS = "openai-compatible"
_FOLDERS = ("folder", "openevolve", "shinka")  # tasks that are folders; `fits` says of a path whether it is one
_SINGULAR = {"tasks": "task", "lms": "language model", "strategies": "strategy", "executors": "executor"}


@cache
def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"nasmith.{kind}")}


def names(kind: Kind) -> list[str]:
    """Return the names of all installed components of a kind, sorted."""
    return sorted(_entry_points(kind))


def expand(kind: Kind, name: str) -> tuple[str, dict[str, Any]]:
    """Return the component that a name means, with the options that the name holds.

    Raises:
        UsageError: The component cannot be loaded.
    """
    known = _entry_points(kind)
    if kind == "tasks" and name not in known and (folder := _folder(name)) is not None:
        return folder
    for head in known if kind == "tasks" and name not in known else ():
        if name.startswith(f"{head}-") and getattr(load(kind, head), "shorthand_separator", ":") == "-":
            return head, {load(kind, head).shorthand: name.removeprefix(f"{head}-")}
    head, separator, rest = name.partition(":")
    if name in known or not separator or head not in known:
        head, separator, rest = name.partition("/")
        if name in known or kind != "lms" or not separator:
            return name, {}
        if head not in known:
            head, rest = _PROVIDERS, name
    option = getattr(load(kind, head), "shorthand", None)
    if option is None:
        raise UsageError(f"{_SINGULAR[kind]} {head!r} takes no {separator!r} in its name, got {name!r}.")
    return head, {option: rest}


def _folder(name: str) -> tuple[str, dict[str, Any]] | None:
    """Return the task that a user's folder means; None where the name is no path.

    Raises:
        UsageError: There is no such folder, or it holds no task.
    """
    path = Path(name).expanduser()
    if not path.is_dir():
        looks_like_one = name.startswith((".", "~")) or (os.sep in name and ":" not in name)
        if looks_like_one:
            raise UsageError(f"there is no folder {name!r}. Make a task folder with: nasmith init {name}")
        return None
    for kind in (kind for kind in _FOLDERS if kind in _entry_points("tasks")):
        option = load("tasks", kind).shorthand
        if load("tasks", kind).fits(path):
            return kind, {option: str(path.absolute())}
    raise UsageError(
        f"the folder {name!r} holds no task: no task.yaml (nasmith init writes one), no initial_program.py with evaluator.py "
        "(OpenEvolve), no initial.py with evaluate.py (ShinkaEvolve)."
    )


def load(kind: Kind, name: str) -> Any:
    """Return the component's class.

    Raises:
        UnknownNameError: No component has that name.
        UsageError: "module:Class" that cannot be imported.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"cannot load {_SINGULAR[kind]} {name!r}: {error}.") from error
    known = _entry_points(kind)
    if name not in known:
        raise UnknownNameError(_SINGULAR[kind], name, known)
    return known[name].load()


def summary(kind: Kind, name: str) -> str:
    """Return the first line of the component's docstring."""
    return (inspect.getdoc(load(kind, name)) or "").partition("\n")[0]


def options(kind: Kind, name: str) -> dict[str, tuple[str, Any]]:
    """Return {option: (type, default)} of a component; a default of `inspect.Parameter.empty` marks a required one."""
    return {
        parameter.name: (str(parameter.annotation), parameter.default) for parameter in _parameters(load(kind, name)).values()
    }


def create(kind: Kind, name: str, values: Mapping[str, Any] | None = None) -> Any:
    """Make a component from options by name.

    Raises:
        UnknownNameError: The component or an option does not exist.
        ConfigError: An option has the wrong type or breaks a rule of the component.
    """
    name, implied = expand(kind, name)
    component = load(kind, name)
    given = {**implied, **(values or {})}
    for option in _lm_options(component) & given.keys():
        given[option] = _made(given[option])
    return component(**validated(f"{_SINGULAR[kind]} {name!r}", component, given))


def describe(kind: Kind, component: Any) -> dict[str, Any]:
    """Return {"name", "options"} from which `create` makes the same component again.

    A constructor's options stand in attributes of the same names; that is the rule this rests on.

    Raises:
        ConfigError: An option is not kept in an attribute.
    """
    cls = type(component)
    same = (n for n, point in _entry_points(kind).items() if point.attr == cls.__qualname__ and point.load() is cls)
    name = next(same, f"{cls.__module__}:{cls.__qualname__}")
    missing = [option for option in _parameters(cls) if not hasattr(component, option)]
    if missing:
        raise ConfigError(f"{name}: keep the constructor's argument(s) {', '.join(missing)} in attributes of the same names.")
    hints = get_type_hints(cls.__init__)
    values = {option: getattr(component, option) for option in _parameters(cls)}
    # As `create` would make it: 600 and 600.0 are one option.
    exact = {option: float(value) if hints.get(option) is float else value for option, value in values.items()}
    return {"name": name, "options": {option: _plain(value) for option, value in exact.items()}}


def _lm_options(component: Any) -> set[str]:
    """Options that are language models."""
    hints = get_type_hints(component.__init__)
    return {option for option in _parameters(component) if hints.get(option) in (LanguageModel, Sequence[LanguageModel])}


def _made(value: Any) -> Any:
    """Make the language model, or models, that names or {name, options} stand for."""
    if isinstance(value, str):
        return create("lms", value)
    if isinstance(value, Mapping):
        return create("lms", value["name"], value.get("options"))
    return [_made(item) for item in value] if isinstance(value, list | tuple) else value


def _parameters(component: Any) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(component).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def validated(who: str, component: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Check names and types of options against the signature of a component's constructor, and return them as those types.

    Raises:
        UnknownNameError: There is no such option.
        ConfigError: A value has the wrong type.
    """
    from pydantic import ConfigDict, ValidationError, create_model

    parameters = _parameters(component)
    for key in values:
        if key not in parameters:
            raise UnknownNameError(f"option of {who}", key, parameters)
    hints = get_type_hints(component.__init__)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in parameters.items()
    }
    model = create_model("Options", __config__=ConfigDict(arbitrary_types_allowed=True, extra="forbid"), **fields)
    try:
        checked = model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"option {key!r} of {who}: {first['msg']}, got {first['input']!r}.") from error
    return {key: getattr(checked, key) for key in values}


def _plain(value: Any) -> Any:
    """Return JSON values for what options hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return describe("lms", value) if isinstance(value, LanguageModel) else str(value)
