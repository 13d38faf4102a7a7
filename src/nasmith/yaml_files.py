"""Reads YAML files of users, and remembers the line of every key, so that a mistake can be shown where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith.errors import ConfigError

if TYPE_CHECKING:
    import yaml

__all__ = ["YamlFile"]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A mapping from a YAML file.

    Attributes:
        path: Where it came from; None for values that came from no file.
        values: What it holds.
        lines: The line of each key, from 1, by its dotted path; items of lists count from 0 ("objectives.0.error").
    """

    path: Path | None = None
    values: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, what: str = "configuration") -> YamlFile:
        """Read a file.

        Args:
            path: The file.
            what: What it is, for messages.

        Raises:
            ConfigError: It cannot be read, is not YAML, or holds no mapping; the message names the line.
        """
        import yaml

        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot read the {what} {path}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8.") from error
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            raise ConfigError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}.") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path}:1: a {what} is a mapping of keys to values, got {type(values).__name__}.")
        return cls(path, values, dict(_key_lines(node)) if node else {})

    def at(self, key: str) -> str:
        """Say where a key stands, or the nearest one above it: "file:line: "; nothing for what came from no file."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}: " if self.path and key else ""


def _key_lines(node: yaml.Node, prefix: str = "") -> Iterable[tuple[str, int]]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{prefix}{key.value}"
            yield path, key.start_mark.line + 1
            yield from _key_lines(value, f"{path}.")
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield f"{prefix}{place}", item.start_mark.line + 1
            yield from _key_lines(item, f"{prefix}{place}.")
