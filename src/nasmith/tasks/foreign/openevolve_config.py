"""What of an OpenEvolve folder's `config.yaml` has a meaning here; the rest is ignored, and listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasmith.errors import ConfigError
from nasmith.yaml_files import YamlFile

__all__ = ["CONFIG_FILE", "OpenEvolveConfig", "read_config"]

CONFIG_FILE = "config.yaml"

_DEFAULT_MESSAGE = "system_message"  # in OpenEvolve, the name of its own template
_ABOVE_ZERO = "a number above 0"
_SCORES = "a list of numbers"


@dataclass(frozen=True)
class OpenEvolveConfig:
    """The part of a `config.yaml` that is used, with OpenEvolve's own defaults.

    Attributes:
        timeout_seconds: Wall time of one stage of an evaluation (`evaluator.timeout`).
        cascade: Whether stages are run one after the other where there are any (`evaluator.cascade_evaluation`).
        thresholds: What a stage's score must reach for the next one (`evaluator.cascade_thresholds`).
        arguments: Further arguments of `evaluate` (`evaluator.evaluator_args`).
        dimensions: Metrics that are no part of a mean (`database.feature_dimensions`).
        message: What the language model is told (`prompt.system_message`); may be empty.
        examples: Programs shown in a prompt (`prompt.num_top_programs`); None where nothing is said.
        iterations: Programs of a search (`max_iterations`); None where nothing is said.
        seed: Seed of a search (`random_seed`); None where nothing is said.
        ignored: Dotted keys of the file that have no meaning here; "llm.*" for a whole section.
        holds_key: Whether the file holds an API key itself, rather than the name of a variable.
    """

    timeout_seconds: float = 300.0
    cascade: bool = True
    thresholds: Sequence[float] = (0.5, 0.75, 0.9)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    dimensions: Sequence[str] = ("complexity", "diversity")
    message: str = ""
    examples: int | None = None
    iterations: int | None = None
    seed: int | None = None
    ignored: Sequence[str] = ()
    holds_key: bool = False


_USED = {
    "evaluator.timeout": ("timeout_seconds", _ABOVE_ZERO),
    "evaluator.cascade_evaluation": ("cascade", "true or false"),
    "evaluator.cascade_thresholds": ("thresholds", _SCORES),
    "evaluator.evaluator_args": ("arguments", "a mapping"),
    "database.feature_dimensions": ("dimensions", "a list of names"),
    "prompt.system_message": ("message", "a text"),
    "prompt.num_top_programs": ("examples", "a whole number"),
    "max_iterations": ("iterations", "a whole number above 0"),
    "random_seed": ("seed", "a whole number"),
}


def read_config(folder: Path) -> OpenEvolveConfig:
    """Read a folder's `config.yaml`; one that is not there has OpenEvolve's defaults.

    Raises:
        ConfigError: It is not YAML, or a value that is used is of another kind; the message names the line.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return OpenEvolveConfig()
    file = YamlFile.read(path)
    found: dict[str, Any] = {}
    for key, (name, kind) in _USED.items():
        value = _value(file.values, key)
        if value is None:
            continue
        if not _is(value, kind):
            raise ConfigError(f"{file.at(key)}{key} must be {kind}, got {value!r}.")
        found[name] = value
    if found.get("message", "").strip() == _DEFAULT_MESSAGE:
        del found["message"]
    return OpenEvolveConfig(**found, ignored=tuple(_ignored(file.values)), holds_key=_holds_key(file.values))


def _value(values: Mapping[str, Any], key: str) -> Any:
    """Return what stands under a dotted key; None where nothing does."""
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _is(value: object, kind: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    return {
        _ABOVE_ZERO: number and value > 0,  # type: ignore[operator]
        "true or false": isinstance(value, bool),
        _SCORES: isinstance(value, list) and all(isinstance(one, int | float) for one in value),
        "a list of names": isinstance(value, list) and all(isinstance(one, str) for one in value),
        "a mapping": isinstance(value, dict),
        "a text": isinstance(value, str),
        "a whole number": whole,
        "a whole number above 0": whole and value > 0,  # type: ignore[operator]
    }[kind]


def _ignored(values: Mapping[str, Any]) -> Iterator[str]:
    """Name the keys without a meaning here, in the file's order; a section with none that has one is named as a whole."""
    used = {key.partition(".")[0] for key in _USED if "." in key}
    for key, value in values.items():
        if not isinstance(value, Mapping):
            if key not in _USED:
                yield str(key)
        elif key not in used:
            yield f"{key}.*"
        else:
            yield from (f"{key}.{inner}" for inner in value if f"{key}.{inner}" not in _USED)


def _holds_key(value: object) -> bool:
    """Whether an API key stands somewhere: a text under `api_key` that is no ${VARIABLE}."""
    if isinstance(value, list):
        return any(map(_holds_key, value))
    if not isinstance(value, Mapping):
        return False
    key = value.get("api_key")
    return (isinstance(key, str) and bool(key) and not key.startswith("${")) or any(map(_holds_key, value.values()))
