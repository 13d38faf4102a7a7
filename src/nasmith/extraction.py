"""Takes a class or a function out of a module as source, with all that it needs from there, so that it can stand alone.

What the module defines itself is copied, byte for byte, in its order. What it imports stays imported: those lines become a
preamble. So does what cannot be copied, because its value depends on how the module was loaded. Nothing is executed but the
module itself, which is imported to see what the name is.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from symtable import symtable
from types import ModuleType
from typing import Any, TypeGuard

from nasmith.errors import UsageError
from nasmith.frames import marks_in
from nasmith.source import lines_of

__all__ = ["Extracted", "extract", "load_object"]

_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_COMPOUND = (ast.If, ast.Try, ast.TryStar, ast.With, ast.For, ast.While, ast.Match)
_TORCH = ("import torch", "import torch.nn.functional as F", "from torch import nn")
_POSTPONED = "from __future__ import annotations"
_PLACES = frozenset({"__file__", "__package__", "__path__", "__spec__"})
"""What a module knows about where it lies; a program that was taken out of it lies elsewhere."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was taken out.

    Attributes:
        seed: A program that defines `Model`.
        preamble: The imports that it needs, one a line.
        left: Names that the module binds in a way that cannot be copied (in an `if` or `try`, from its own path); they are
            imported from it.
    """

    seed: str
    preamble: str
    left: tuple[str, ...] = ()


def load_object(path: str, root: Path, what: str) -> tuple[Any, ModuleType]:
    """Import "package.module:name" with `root` on the path; return what it names, and the module.

    Raises:
        UsageError: It is not written so, cannot be imported, or is not there; the message says what to do.
    """
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name:
        raise UsageError(f"{what} is package.module:name, such as my_package.models:Net; got {path!r}.")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(
            f"cannot import {module_name!r}: {error}. Modules are looked for in {root} and among the installed packages: run "
            "the command in the folder that holds the package."
        ) from error
    except SystemExit as error:
        raise UsageError(
            f"importing {module_name!r} ends the process ({error}): it is a script. Put what it runs below "
            '`if __name__ == "__main__":`.'
        ) from error
    except Exception as error:
        raise UsageError(f"importing {module_name!r} raised {type(error).__name__}: {error}.") from error
    if not hasattr(module, name):
        raise UsageError(f"the module {module_name!r} has no {name!r}.{_nearest(name, module)}")
    return getattr(module, name), module


def _nearest(name: str, module: ModuleType) -> str:
    """Name what was probably meant, or what there is."""
    near = get_close_matches(name, [each for each in vars(module) if not each.startswith("_")], n=1)
    if near:
        return f" Did you mean {near[0]!r}?"
    own = [each for each, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return f" It defines {', '.join(own[:8])}." if own else ""


def extract(path: str, root: Path, arguments: str = "") -> Extracted:
    """Take a model out of a project.

    Args:
        path: "package.module:Net": a subclass of `nn.Module`, or a function that returns a module.
        root: The project's folder.
        arguments: What to call it with, as in source: "width=32, depth=4".

    Raises:
        UsageError: It cannot be taken out; the message says why, and what to do.
    """
    thing, module = load_object(path, root, "--from")
    name = path.partition(":")[2]
    _demand_model(thing, path)
    _check_call(thing, path, arguments)
    try:
        owner = sys.modules[thing.__module__]
        text = inspect.getsource(owner)
        file = inspect.getsourcefile(owner)
    except (OSError, TypeError, KeyError) as error:
        raise UsageError(
            f"the source of {path!r} cannot be found ({error}): it is not defined in a file of Python, as in a notebook or a C "
            "extension. Put the class into a .py file."
        ) from error
    if owner is not module:  # imported there from elsewhere
        name = thing.__qualname__
    return _Module(text, str(file), owner).taken(name, arguments)


def _demand_model(thing: Any, path: str) -> None:
    from torch import nn

    if inspect.isclass(thing):
        if not issubclass(thing, nn.Module):
            raise UsageError(f"{path!r} is a class, but no subclass of torch.nn.Module.")
    elif not inspect.isfunction(thing):
        raise UsageError(
            f"{path!r} is a value of type {type(thing).__name__}; a subclass of torch.nn.Module, or a function that returns a "
            "module, is needed."
        )


def _check_call(thing: Any, path: str, arguments: str) -> None:
    """Say which arguments are missing, or cannot be."""
    try:
        call = _call(arguments)
    except SyntaxError as error:
        raise UsageError(f"--args {arguments!r} is not written as arguments of a call, such as width=32, depth=4.") from error
    if not isinstance(call, ast.Call):
        raise UsageError(f"--args {arguments!r} is not written as arguments of a call, such as width=32, depth=4.")
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):  # it does not say what it takes
        return
    try:
        signature.bind(*call.args, **{keyword.arg or "": keyword.value for keyword in call.keywords})
    except TypeError as error:
        needed = [p.name for p in signature.parameters.values() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        example = ", ".join(f"{each}=…" for each in needed if each not in {"args", "kwargs"})
        raise UsageError(
            f"{path!r} cannot be called with ({arguments}): {error}. Its arguments: {signature}. Name them, such as "
            f'--args "{example}".'
        ) from error


@dataclass(frozen=True)
class _Module:
    """A module's source, and the module that it made."""

    text: str
    file: str
    owner: ModuleType

    @cached_property
    def body(self) -> Sequence[ast.stmt]:
        """The statements of the top level."""
        return ast.parse(self.text).body

    @cached_property
    def defined(self) -> dict[str, list[ast.stmt]]:
        """The statements of the top level that give a name its value, or change it, in order."""
        bound = {name for node in self.body for name in _binds(node)}
        found: dict[str, list[ast.stmt]] = {name: [] for name in bound}
        for node in self.body:
            for name in {*_binds(node), *_changes(node)} & bound:
                found[name].append(node)
        return found

    @cached_property
    def unsteady(self) -> dict[str, ast.stmt]:
        """Names whose value cannot be copied, with the statement that it comes from: it hangs on what happened at import."""
        found: dict[str, ast.stmt] = {}
        for node in self.body:
            if isinstance(node, _COMPOUND) and not _is_main(node):
                for inner in ast.walk(node):
                    names = _names_bound_inside(inner)
                    found |= {name: node for name in names if hasattr(self.owner, name)}
            elif not isinstance(node, _DEFINITIONS) and _reads(node) & _PLACES:
                found |= {name: node for name in _binds(node)}
        return found

    def taken(self, name: str, arguments: str) -> Extracted:
        """Take out what `name` needs, and end with `Model()`."""
        if name in self.unsteady or name not in self.defined:
            where = f":{self.unsteady[name].lineno}" if name in self.unsteady else ""
            raise UsageError(
                f"{self.file}{where}: {name!r} is not simply defined at the top level of the file, so that it cannot be taken "
                "out. Move its definition out of what stands around it, such as `if` or `try`."
            )
        wanted, waiting = set[str](), [name, *sorted(_reads(_call(arguments)) - {"f"})]
        nodes = set[ast.stmt]()
        while waiting:
            current = waiting.pop()
            if current in wanted:
                continue
            wanted.add(current)
            if current not in self.unsteady:
                nodes |= set(self.defined.get(current, ()))
                waiting += {each for node in self.defined.get(current, ()) for each in _reads(node)} - wanted
        if "Model" in wanted and name != "Model":
            raise UsageError(f"{self.file}: {name!r} needs something that is called Model, as every program is. Rename it.")
        taken = sorted(nodes, key=lambda node: (node.lineno, node.col_offset))
        self._demand_movable(taken)
        known = {each for each in wanted if each in self.defined and each not in self.unsteady}
        lines, left = self._imports(wanted - known), self._left(wanted - known)
        lines = [*_TORCH, *dict.fromkeys([*lines, *left.values()])]
        postponed = [_POSTPONED] if any(_is_future(node) for node in self.body) else []
        preamble = "".join(f"{line}\n" for line in dict.fromkeys([*postponed, *lines]))
        return Extracted(_with_entry(self._joined(taken), name, arguments), preamble, tuple(left))

    def _imports(self, wanted: set[str]) -> list[str]:
        """Return the imports of names, absolute, in their order."""
        lines = []
        for node in self.body:
            if isinstance(node, ast.Import | ast.ImportFrom) and not _is_future(node):
                own = [alias for alias in node.names if _known_as(node, alias) in wanted]
                lines += [_line(node, alias, self.owner) for alias in own]
        return lines

    def _left(self, wanted: set[str]) -> dict[str, str]:
        """Return the imports, by name, of what the module has and no statement of the top level shows."""
        imported = {_known_as(node, alias) for node in self.body if _is_import(node) for alias in node.names}
        stars = [node for node in self.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
        sources = [_absolute(node, self.owner) for node in stars]
        lines = {}
        for name in sorted(wanted - _PLACES - {"__name__", "__doc__"}):
            if name in self.unsteady or (name not in imported and hasattr(self.owner, name)):
                at = [each for each in sources if hasattr(sys.modules.get(each), name)] if name not in self.unsteady else []
                lines[name] = f"from {at[-1] if at else self.owner.__name__} import {name}"
        return lines

    def _demand_movable(self, nodes: Iterable[ast.stmt]) -> None:
        """Refuse code that means something else where it is taken to."""
        for inner in (inner for node in nodes for inner in ast.walk(node)):
            if isinstance(inner, ast.ImportFrom) and inner.level:
                what, advice = "a relative import inside of a function or class", "Move it to the top of the file"
            elif isinstance(inner, ast.Name) and inner.id in _PLACES:
                what, advice = f"a use of {inner.id}", "Put it into a constant at the top level"
            else:
                continue
            raise UsageError(f"{self.file}:{inner.lineno}: {what} means nothing in a program that was taken out. {advice}.")

    def _joined(self, nodes: Sequence[ast.stmt]) -> str:
        """Return the source of statements, with the marks that stand around them."""
        pieces = {piece[0]: piece for piece in [*map(self._piece, nodes), *self._marks(nodes)]}
        lines, text, before = lines_of(self.text), "", -1
        for (first, _), last, own in sorted(pieces.values()):
            gap = lines[before + 1 : first]
            if text:  # what follows directly stays as far away as it was
                text += "\n" * (3 if "".join(gap).strip() else len(gap) + 1)
            text, before = text + own, last
        return text

    def _piece(self, node: ast.stmt) -> tuple[tuple[int, int], int, str]:
        """Return where a statement begins (line from 0, column), its last line, and its source.

        Decorators and the comment lines right above belong to it.
        """
        lines, last = lines_of(self.text), _last(node)
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))]) - 1
        others = [each for each in self.body if each is not node]
        if any(each.lineno <= last + 1 and _last(each) >= first for each in others):  # parted by a semicolon
            return (first, node.col_offset), last, ast.get_source_segment(self.text, node) or ""
        floor = max((_last(each) + 1 for each in others if _last(each) < first), default=0)
        while first > floor and lines[first - 1].startswith("#") and not marks_in(lines[first - 1]):
            first -= 1
        return (first, 0), last, "".join(lines[first : last + 1]).rstrip()

    def _marks(self, nodes: Sequence[ast.stmt]) -> Iterator[tuple[tuple[int, int], int, str]]:
        """Yield the marks between statements that have one of `nodes` between them, as pieces."""
        lines = lines_of(self.text)
        marks = [place for place, line in enumerate(lines) if marks_in(line)]
        for pair in zip(marks[::2], marks[1::2], strict=False):
            inside = any(node.lineno - 1 <= place <= _last(node) for node in self.body for place in pair)
            if not inside and any(pair[0] < node.lineno - 1 < pair[1] for node in nodes):
                yield from (((place, 0), place, lines[place].rstrip()) for place in pair)


def _with_entry(source: str, name: str, arguments: str) -> str:
    """Add `Model()`, unless that is what it is called already."""
    if name == "Model" and not arguments:
        return source + "\n"
    if name == "Model":
        raise UsageError("a class Model that needs arguments cannot be called by Model(): give it another name, or defaults.")
    return f"{source}\n\n\ndef Model():\n    return {name}({arguments})\n"


def _call(arguments: str) -> ast.expr:
    return ast.parse(f"f({arguments})", mode="eval").body


def _last(node: ast.stmt) -> int:
    """Return the last line of a statement, from 0."""
    return (node.end_lineno or node.lineno) - 1


def _is_import(node: ast.stmt) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_main(node: ast.AST) -> bool:
    """Whether a statement is `if __name__ == "__main__":`, which does not run when a module is imported."""
    return isinstance(node, ast.If) and "__name__" in _reads(node.test) and "__main__" in ast.unparse(node.test)


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assign | ast.Delete):
        waiting = list(node.targets)
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For):
        waiting = [node.target]
    elif isinstance(node, ast.With):
        waiting = [item.optional_vars for item in node.items if item.optional_vars]
    elif isinstance(node, ast.NamedExpr):
        waiting = [node.target]
    else:
        return
    while waiting:
        target = waiting.pop()
        if isinstance(target, ast.Tuple | ast.List):
            waiting += target.elts
        else:
            yield target.value if isinstance(target, ast.Starred) else target


def _binds(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement defines or assigns; imports are not among them."""
    if isinstance(node, _DEFINITIONS):
        yield node.name
    yield from (target.id for target in _targets(node) if isinstance(target, ast.Name))


def _changes(node: ast.AST) -> Iterator[str]:
    """Yield the names whose value a statement changes in place: `Net.width = 3`, `SIZES[0] = 4`, `SIZES.append(5)`."""
    changed = [target for target in _targets(node) if not isinstance(target, ast.Name)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        changed.append(node.value.func)
    for each in changed:
        inner: ast.expr = each
        while isinstance(inner, ast.Attribute | ast.Subscript):
            inner = inner.value
        if isinstance(inner, ast.Name) and inner is not each:
            yield inner.id


def _names_bound_inside(node: ast.AST) -> set[str]:
    """Return what a part of a compound statement binds or changes."""
    names = {*_binds(node), *_changes(node)}
    if isinstance(node, ast.Import | ast.ImportFrom):
        names |= {_known_as(node, alias) for alias in node.names}
    return names


def _reads(node: ast.AST) -> set[str]:
    """Return the names of the top level that code reads; what it binds itself, as a parameter, is not among them."""
    table = symtable(ast.unparse(node), "<extracted>", "exec")
    names, waiting = {each.get_name() for each in table.get_symbols() if each.is_referenced()}, table.get_children()
    while waiting:
        inner = waiting.pop()
        names |= {each.get_name() for each in inner.get_symbols() if each.is_global()}
        waiting += inner.get_children()
    return names


def _known_as(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """Return the name that an import binds."""
    return alias.asname or (alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name)


def _line(node: ast.Import | ast.ImportFrom, alias: ast.alias, owner: ModuleType) -> str:
    """Return the import of one name, absolute."""
    renamed = f" as {alias.asname}" if alias.asname else ""
    if isinstance(node, ast.Import):
        return f"import {alias.name}{renamed}"
    return f"from {_absolute(node, owner)} import {alias.name}{renamed}"


def _absolute(node: ast.ImportFrom, owner: ModuleType) -> str:
    """Return the module that an import means, without leading dots."""
    if not node.level:
        return node.module or ""
    package = owner.__name__.split(".") if hasattr(owner, "__path__") else owner.__name__.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])
