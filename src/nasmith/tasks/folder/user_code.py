"""Loads a user's `task.py` and calls its functions; what goes wrong in them is told as file, line and reason."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from nasmith.errors import ConfigError, NasmithError

__all__ = ["UserCode"]

_LONGEST = 400


@dataclass(frozen=True)
class UserCode:
    """A user's file of Python. It is trusted: it runs in this process, with the user's rights.

    Attributes:
        path: The file.
        folders: Where its imports are looked for besides, first to last.
    """

    path: Path
    folders: Sequence[Path] = ()

    @cached_property
    def module(self) -> ModuleType:
        """The module, loaded once under the file's own name, so that workers can import what it defines.

        Raises:
            ConfigError: It cannot be loaded; the message names the line.
        """
        if not self.path.is_file():
            raise ConfigError(f"{self.path} is missing. It defines `problem` and data(); nasmith init DIR writes one.")
        for folder in reversed([self.path.parent, *self.folders]):
            if str(folder) in sys.path:
                sys.path.remove(str(folder))
            sys.path.insert(0, str(folder))
        spec = importlib.util.spec_from_file_location(self.path.stem, self.path)
        if spec is None or spec.loader is None:  # a file named .py has a loader
            raise ConfigError(f"{self.path} is no Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.path.stem] = module
        self._guarded("loading it", spec.loader.exec_module, module)
        return module

    def register(self) -> None:
        """Make this the module that its name means, for pickles, where another folder's has been loaded since."""
        sys.modules[self.path.stem] = self.module
        sys.path.insert(0, str(self.path.parent))

    def defines(self, name: str) -> bool:
        """Whether the file defines a function of this name."""
        return callable(getattr(self.module, name, None))

    def value(self, name: str, what: str) -> Any:
        """Return what the file binds to a name.

        Raises:
            ConfigError: It binds nothing; `what` says in words what is missing.
        """
        if not hasattr(self.module, name):
            raise ConfigError(f"{self.path}: defines no `{name}`: {what}.")
        return getattr(self.module, name)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the file.

        Raises:
            ConfigError: It raised; the message names file and line.
        """
        return self._guarded(f"{name}()", getattr(self.module, name), *arguments)

    def extract(self, name: str) -> str:
        """Return the source of a function of the file, below the imports and the other functions and constants of the file."""
        text = self.path.read_text(encoding="utf-8")
        kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Assign, ast.AnnAssign)
        own = {"problem", "data", "fit"}
        kept = []
        for node in ast.parse(text).body:
            if not isinstance(node, kinds) or getattr(node, "name", "") in own or _binds(node) & own:
                continue
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nasmith":
                continue
            kept.append(ast.get_source_segment(text, node) or "")
        return "\n\n".join([*kept])

    def line(self, name: str) -> str:
        """Say where a function of the file stands: "file:line: "."""
        try:
            return f"{self.path}:{inspect.getsourcelines(getattr(self.module, name))[1]}: "
        except (AttributeError, OSError, TypeError):  # no such function, or one that was not written there
            return f"{self.path}: "

    def _guarded(self, doing: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except NasmithError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:_LONGEST]
            raise ConfigError(f"{self._where(error)}{doing} raised {type(error).__name__}: {said}. {_advice(error)}") from error

    def _where(self, error: Exception) -> str:
        """Say in which line of the file an exception was raised."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{error.filename}:{error.lineno}: "
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.path)]
        return f"{self.path}:{own[-1].lineno}: " if own else f"{self.path}: "


def _binds(node: ast.stmt) -> set[str]:
    """Return the names that an assignment binds."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def _advice(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "Put the data there, or change the path in the file."
    if isinstance(error, ModuleNotFoundError):
        return f"Install {error.name}, or name the folder that it lies in under `import_from` in task.yaml."
    return "Mend it, and try again with: nasmith check"
