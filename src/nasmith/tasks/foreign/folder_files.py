"""The files of a foreign folder: what candidates may read of it, and what its Python files define."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

from nasmith.errors import ConfigError, SeedError

__all__ = ["defined", "guarded", "imports", "linked", "parsed", "readable", "text_of"]

_MOST_LINKS = 500
_CACHE = "__pycache__"


def text_of(path: Path) -> str:
    """Return a Python file's text, its line ends as they are.

    Raises:
        SeedError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(f"{path} cannot be read: {error}. Save it as UTF-8.") from error


def parsed(path: Path) -> ast.Module:
    """Return a Python file's tree, without running it.

    Raises:
        ConfigError: It is no Python; the message names the line.
    """
    try:
        return ast.parse(text_of(path), str(path))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path}:{getattr(error, 'lineno', None) or 1}: {getattr(error, 'msg', error)}.") from error


def defined(tree: ast.Module) -> set[str]:
    """Return the names that a module binds at its top level, "*" among them where it imports all of another one."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        else:
            waiting += ast.iter_child_nodes(node)
    return names


def guarded(tree: ast.Module) -> bool:
    """Whether a script does its work under `if __name__ == "__main__":`, so that it can be imported without it."""
    tests = [node.test for node in tree.body if isinstance(node, ast.If)]
    return any(isinstance(name, ast.Name) and name.id == "__name__" for test in tests for name in ast.walk(test))


def imports(tree: ast.Module) -> list[str]:
    """Return the modules that a script imports at its top level, in order."""
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    return list(dict.fromkeys(found))


def readable(folder: Path, private: Collection[str] = ()) -> list[str]:
    """Return what candidates may read of a folder: all of it, or all but its hidden files and those named.

    Hidden ones (`.env`, `.git`) are where keys lie. Where there are any, the folder's entries cannot be listed. What a link in
    the folder leads to can be read as well.

    Args:
        folder: Absolute path.
        private: Names of files in it.
    """
    entries = sorted(folder.iterdir())
    shown = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in private]
    if len(shown) < len(entries):
        return list(map(str, shown))
    return [str(folder), *(str(entry.resolve()) for entry in shown if entry.is_symlink())]


def linked(folder: Path, private: Collection[str] = ()) -> list[str]:
    """Return the names of what a job finds linked in a folder of its own; none where they are many."""
    names = [entry.name for entry in sorted(folder.iterdir())]
    shown = [name for name in names if not name.startswith(".") and name not in private and name != _CACHE]
    return shown if len(shown) <= _MOST_LINKS else []
