"""What `task.yaml` may hold, and the reasons where it holds something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nasmith.errors import ConfigError, UnknownNameError
from nasmith.yaml_files import YamlFile

__all__ = ["MACHINE_METRICS", "TASK_FILE", "Aim", "Limit", "Limits", "Rungs", "Settings", "Training", "read_settings"]

TASK_FILE = "task.yaml"
MACHINE_METRICS = ("params", "flops", "latency_ms", "peak_memory_mb")
"""What nasmith measures of every model; all other metrics are the problem's."""

_Direction = Literal["minimize", "maximize"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Aim(_Strict):
    """An objective: {error: minimize} or {name: error, direction: minimize, weight: 2}."""

    name: str
    direction: _Direction
    weight: float = Field(default=1.0, gt=0)
    tolerance: float = Field(default=0.0, ge=0)


class Limit(_Strict):
    """What a metric must keep to."""

    at_most: float | None = None
    at_least: float | None = None


class Training(_Strict):
    """How a program is trained: AdamW at a constant learning rate."""

    steps: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=0.003, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    evaluations: int = Field(default=10, ge=1)
    device: str = "auto"
    threads: int = Field(default=1, ge=1)
    latency_batch: int = Field(default=1, ge=1)


class Rungs(_Strict):
    """Points at which a training may be given up: `count` in all, each `factor` times the steps (or data) of the one before."""

    count: int = Field(default=3, ge=2)
    factor: float = Field(default=3.0, gt=1)
    of: Literal["steps", "data"] = "steps"


class Limits(_Strict):
    """What one candidate may use; the options of the executor `processes`."""

    timeout_seconds: float = Field(default=600, gt=0)
    memory_mb: float = Field(default=2048, gt=0)
    output_mb: float = Field(default=256, gt=0)
    workers: int | None = Field(default=None, ge=1)


class Settings(_Strict):
    """The whole file."""

    title: str = ""
    objectives: list[Aim] = Field(min_length=1)
    bounds: dict[str, Limit] = Field(default_factory=dict)
    selection: Literal["product", "weighted", "lexicographic", "pareto"] = "product"
    training: Training = Training()
    rungs: Rungs | None = None
    limits: Limits = Limits()
    notes: str = ""
    change: Literal["marked", "all"] = "marked"
    hide: list[str] = Field(default_factory=list)
    import_from: list[str] = Field(default_factory=list)
    search: dict[str, Any] = Field(default_factory=dict)

    @field_validator("objectives", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """Write {error: minimize} out."""
        if not isinstance(value, list):
            return value
        directions = get_args(_Direction)
        return [
            {"name": name, "direction": direction}
            if isinstance(item, dict) and len(item) == 1 and (direction := item[(name := next(iter(item)))]) in directions
            else item
            for item in value
        ]

    def measures(self) -> frozenset[str]:
        """What of `MACHINE_METRICS` is asked for."""
        asked = {aim.name for aim in self.objectives} | set(self.bounds)
        return frozenset(asked & set(MACHINE_METRICS))


_SECTIONS: dict[str, type[BaseModel]] = {"": Settings, "training": Training, "rungs": Rungs, "limits": Limits}


def read_settings(folder: Path) -> tuple[Settings, YamlFile]:
    """Read `task.yaml` of a folder.

    Raises:
        ConfigError: It is missing, or breaks a rule; the message names the file, the line, the rule and what came.
    """
    path = folder / TASK_FILE
    if not path.is_file():
        raise ConfigError(f"{folder} holds no {TASK_FILE}. Make a task folder with: nasmith init DIR")
    file = YamlFile.read(path, "task")
    _check_keys(file)
    try:
        settings = Settings.model_validate(file.values)
    except ValidationError as error:
        raise ConfigError(_said(error, file)) from error
    names = [aim.name for aim in settings.objectives]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(f"{file.at(f'objectives.{place}')}objective {name!r} is named twice. Leave one out.")
    for name, limit in settings.bounds.items():
        if limit.at_most is None and limit.at_least is None:
            raise ConfigError(f"{file.at(f'bounds.{name}')}a bound needs at_most or at_least, such as {{at_most: 100000}}.")
        if limit.at_most is not None and limit.at_least is not None and limit.at_least > limit.at_most:
            span = f"at_least ({limit.at_least:g}) lies above at_most ({limit.at_most:g})"
            raise ConfigError(f"{file.at(f'bounds.{name}')}{span}. Exchange them.")
    return settings, file


def _check_keys(file: YamlFile) -> None:
    """Name an unknown key, with the nearest valid one."""
    for section, model in _SECTIONS.items():
        present = file.values if not section else file.values.get(section)
        _demand_known(file, section, present, model.model_fields)
    bounds = file.values.get("bounds")
    for name, limit in bounds.items() if isinstance(bounds, dict) else ():
        _demand_known(file, f"bounds.{name}", limit, Limit.model_fields)


def _demand_known(file: YamlFile, section: str, present: object, valid: Sequence[str] | dict[str, Any]) -> None:
    for key in present if isinstance(present, dict) else ():
        if key not in valid:
            path = f"{section}.{key}" if section else str(key)
            error = UnknownNameError("key", path, [f"{section}.{name}" if section else name for name in valid])
            raise ConfigError(f"{file.at(path)}{error}")


def _said(error: ValidationError, file: YamlFile) -> str:
    """Say the first thing that is wrong."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["loc"] == ("objectives",) and first["type"] == "missing":
        return (
            f"{file.path}: objectives are missing. Say what counts, the most important first, such as:\n"
            "objectives:\n  - error: minimize\n  - params: minimize"
        )
    if first["loc"][:1] == ("objectives",) and len(first["loc"]) > 1:
        return (
            f"{file.at(key)}an objective is a name and a direction, such as `error: minimize` or `f1: maximize`; "
            f"got {first['input']!r} ({first['msg']})."
        )
    return f"{file.at(key)}{key}: {first['msg']}, got {first['input']!r}."
