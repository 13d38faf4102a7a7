"""Writes prompts: jinja templates, nasmith's own or those of a user's folder, checked before anything is spent."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nasmith.errors import ConfigError
from nasmith.frames import Frame
from nasmith.replies import fenced, unix
from nasmith.types import Description

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["DEFAULT", "VARIABLES", "Templates"]

_SHARED = ("title", "statement", "entry", "first_line", "preamble", "outline", "marks")
_SPACE = ("count", "positions", "groups", "words")
VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: (*own, *_SHARED)
        for name, own in {
            "example": ("metrics", "program"),
            "target": ("target",),
            "system": (),
            "crossover": ("parents", "target"),
            "edit": ("metrics", "program", "others", "target"),
            "fix": ("program", "error", "target"),
            "draft": ("target",),
            "design_system": (),
            "design_problem": ("conversation", *_SPACE, "principles", "experiments"),
            "design_feedback": ("conversation", "accuracy", "error"),
            "design_line": (*_SPACE, "experiments", "target"),
        }.items()
    }
)
"""The templates by name, each with the variables that it may use.

"example" and "target" make the prompt of a base model: a parent, and what stands before the program that is asked for. The
others make the messages to a chat model. `metrics` and `target` map names to strings, `parents` is a list of {metrics,
program}, `others` a list of metrics. The rest are strings; those of the task's description come last. `entry` and `first_line`
are empty where a program need not define any name. Where only marked parts of a program may change, `marks` is the list of the
lines that mark them, a begin and an end by turns, and `outline` is the program with `...` in place of these parts; both are
empty where all of it may change.

Those that begin with "design" are for spaces. `conversation` is "rebuilt", "running" or "restarted"; `count` is the number of
positions, `positions` a list of their names, `groups` a list of {positions, choices} with the choices {word, about} of
neighbouring positions, `words` what a design is a list of, `principles` a list of texts, `experiments` a list of {design,
accuracy}. "design_line" makes the prompt of a base model, and ends where a design of the accuracy `target` must follow.
"""

_SUFFIX = ".jinja"


class Templates:
    """The texts of prompts.

    They are jinja templates, sandboxed, with two filters: `fenced("python")` makes a Markdown block of a text, which nothing in
    the text can end; `listed` writes metrics as "a = 1, b = 2".

    Args:
        folder: Files in it stand in for nasmith's own of the same name, such as "edit.jinja". None for nasmith's own alone.
            They are read once, at the first use.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        if not isinstance(folder, str | PathLike | None) or not str(folder):
            raise ConfigError(f"prompts must be the path of a folder with templates, or left out, got {folder!r}.")
        self.folder = folder

    def check(self, description: Description, metrics: Sequence[str] = ("num_params", "val_accuracy")) -> None:
        """Read all templates, and render each with sample values.

        Args:
            description: The task's.
            metrics: Names of what prompts say of programs.

        Raises:
            ConfigError: The folder or a file cannot be used; the message names the file and the line.
        """
        facts = dict.fromkeys(metrics, "0.5")
        program = _shared(description)["outline"] or f"{description.first_line}\n    ...\n"
        samples: dict[str, Any] = {
            "metrics": facts,
            "target": facts,
            "program": program,
            "error": "line 2: an error",
            "parents": [{"metrics": facts, "program": program}] * 2,
            "others": [facts],
        }
        designs: dict[str, Any] = {
            "conversation": "restarted",
            "count": 2,
            "positions": ["layer 1", "layer 2"],
            "groups": [{"positions": "positions 1 to 2", "choices": [{"word": "0", "about": "none"}]}],
            "words": "numbers",
            "principles": ["a principle"],
            "experiments": [{"design": "[0, 0]", "accuracy": "90.00", "stated": "329 M FLOPs"}] * 2,
            "accuracy": "90.00",
            "error": "the list has 3 numbers; 2 are needed",
            "target": "91.00",
        }
        for name, known in VARIABLES.items():
            self._check_variables(name)
            values = designs if name.startswith("design") else samples
            self.render(name, description, **{key: values[key] for key in known if key in values})

    def render(self, name: str, description: Description, **values: object) -> str:
        """Write a text.

        Args:
            name: The template's, a key of `VARIABLES`.
            description: The task's.
            **values: The template's own variables.

        Raises:
            ConfigError: The template cannot be rendered with these values.
        """
        from jinja2 import TemplateError

        shared = _shared(description)
        template = self._template(name)
        try:
            return template.render(shared | values)
        except (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in reversed(frames) if frame.filename == template.filename), None)
            raise ConfigError(_problem(template.filename, line, f"{error}", name)) from error

    def _template(self, name: str) -> Template:
        from jinja2 import TemplateSyntaxError

        try:
            return self._environment.get_template(name + _SUFFIX)
        except TemplateSyntaxError as error:
            raise ConfigError(_problem(error.filename, error.lineno, error.message or "", name)) from error

    def _check_variables(self, name: str) -> None:
        """Refuse a variable that there is not, in branches too that the sample values do not reach."""
        from jinja2 import meta, nodes

        self._template(name)
        text, path = self._sources[name + _SUFFIX]
        tree = self._environment.parse(text)
        unknown = meta.find_undeclared_variables(tree) - set(VARIABLES[name]) - set(self._environment.globals)
        for node in tree.find_all(nodes.Name):
            if node.name in unknown:
                raise ConfigError(_problem(path, node.lineno, f"there is no variable {node.name!r}", name))

    @cached_property
    def _environment(self) -> SandboxedEnvironment:
        from jinja2 import FunctionLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        def source(name: str) -> tuple[str, str, None] | None:
            return (*self._sources[name], None) if name in self._sources else None

        environment = SandboxedEnvironment(
            loader=FunctionLoader(source),
            undefined=StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"fenced": fenced, "listed": _listed}
        return environment

    @cached_property
    def _sources(self) -> dict[str, tuple[str, str]]:
        """Text and path of each template by file name."""
        own = files("nasmith") / "prompts"
        names = [name + _SUFFIX for name in VARIABLES]
        sources = {name: ((own / name).read_text(encoding="utf-8"), str(own / name)) for name in names}
        if self.folder is None:
            return sources
        folder = Path(self.folder).expanduser()
        try:
            for path in sorted(folder.iterdir()):
                if path.name in sources:
                    sources[path.name] = path.read_text(encoding="utf-8"), str(path)
                elif not path.name.startswith("."):  # what the system or an editor left
                    raise ConfigError(f"{path}: no prompt has this name. Valid: {', '.join(sorted(names))}.")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8.") from error
        except OSError as error:
            raise ConfigError(f"prompts: {error.filename or folder} cannot be read: {error.strerror}.") from error
        return sources


DEFAULT = Templates()
"""nasmith's own."""


def _shared(description: Description) -> dict[str, Any]:
    """Return what every prompt may say of a task."""
    frame = Frame.of_parts(tuple(map(unix, description.fixed)))
    form = {"outline": frame.outline if frame else "", "marks": frame.marks if frame else ()}
    return form | {key: getattr(description, key) for key in _SHARED if key not in form}


def _problem(path: str | None, line: int | None, reason: str, name: str) -> str:
    where = f"{path}, line {line}" if line else f"{path}"
    return f"{where}: {reason.rstrip('.')}. Variables of this prompt: {', '.join(VARIABLES[name])}."


def _listed(metrics: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in metrics.items())
