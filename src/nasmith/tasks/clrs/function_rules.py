"""What the text of a searched function may hold. Looks at the syntax alone: nothing is run, and JAX is not needed.

These rules keep a function one that JAX can trace, and out of the reach of what it is scored by. What holds a program that is
written to get round them is the sandbox, and the second account in a process that did not train it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from nasmith.source import parsed

__all__ = ["MODULES", "check_text"]

MODULES = ("chex", "einops", "functools", "haiku", "itertools", "jax", "math", "numpy", "operator", "typing")
"""Modules that a function may import, and their submodules."""

_EFFECTS = frozenset(
    {"__import__", "breakpoint", "compile", "delattr", "eval", "exec", "exit", "getattr", "globals", "input", "locals", "open"}
    | {"print", "quit", "setattr", "vars"}
)


def check_text(text: str, function: str, arguments: Sequence[str]) -> None:
    """Raise where a program breaks a rule.

    Args:
        text: The program.
        function: Name of the function that it must define at its top level.
        arguments: What the function takes, in order.

    Raises:
        ValueError: It is no Python, defines no such function or one with other arguments, imports something else than
            `MODULES`, uses a private name, or does what has an effect outside.
    """
    tree, _ = parsed(text)
    for node in ast.walk(tree):
        for reason in _broken(node):
            raise ValueError(f"line {getattr(node, 'lineno', 1)}: {reason}")
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    if not found:
        raise ValueError(f"defines no function {function}({', '.join(arguments)})")
    _check_arguments(found[-1], arguments)


def _broken(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _not_allowed(alias.name)
    elif isinstance(node, ast.ImportFrom):
        yield from _not_allowed("." * node.level + (node.module or ""))
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield "changes a name outside of its function, which a function that JAX traces must not"
    elif isinstance(node, ast.Name) and node.id in _EFFECTS:
        yield f"uses {node.id}, which has effects outside of the function"
    elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not _own(node):
        yield f"uses the private attribute {node.attr}"
    elif isinstance(node, ast.Name) and node.id.startswith("__"):
        yield f"uses the private name {node.id}"


def _own(node: ast.Attribute) -> bool:
    """Whether a private attribute is one that a class of the program has: a constructor's call, or a value that it keeps."""
    kept = isinstance(node.value, ast.Name) and node.value.id == "self" and not node.attr.startswith("__")
    return kept or node.attr in {"__init__", "__call__"}


def _not_allowed(module: str) -> Iterator[str]:
    head, *rest = module.split(".")
    if head != "__future__" and (head not in MODULES or any(part.startswith("_") for part in rest)):
        yield f"imports {module}; allowed are {', '.join(MODULES)}"


def _check_arguments(function: ast.FunctionDef, wanted: Sequence[str]) -> None:
    """Raise where a function cannot be called with so many arguments by position, or gives the first of them other names."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    optional = len(given.defaults)
    needed = [name for name, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    fits = names[: len(wanted)] == list(wanted) and len(names) - optional <= len(wanted) and not needed
    if not fits:
        shown = ", ".join(ast.unparse(argument) for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs))
        raise ValueError(f"{function.name} must take ({', '.join(wanted)}), not ({shown})")
