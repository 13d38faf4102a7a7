"""Tells whether two programs are the same: a canonical form that forgets names and layout, and nothing that matters.

A false "same" costs a program that is never trained, a false "other" a training: so what is not sure stays as it is written.
Pure functions of text; nothing is executed.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from hashlib import blake2b

from nasmith.source import parsed

__all__ = ["canonical", "canonical_hash"]

_LOOKS_AT_NAMES = frozenset({"__import__", "dir", "eval", "exec", "globals", "locals", "vars"})
_NAMES_OF_THINGS = frozenset(
    {"__annotations__", "__code__", "__doc__", "__globals__", "__name__", "__qualname__", "_get_name", "_getframe"}
    | {"get_type_hints", "inspect", "jit", "script", "signature", "singledispatch", "symbolic_trace"}
)
_KEEPS_ORDER = frozenset(
    {"ChainMap", "Counter", "ModuleDict", "OrderedDict", "ParameterDict", "SimpleNamespace", "UserDict", "defaultdict", "dict"}
    | {"update"}
)
_TYPES = frozenset({"bool", "bytes", "complex", "dict", "float", "int", "list", "object", "set", "str", "tuple"})
_ACTS = (ast.Await, ast.Call, ast.DictComp, ast.GeneratorExp, ast.JoinedStr, ast.ListComp, ast.SetComp, ast.Starred)
_NEVER_MOVED = (ast.NamedExpr, ast.Yield, ast.YieldFrom)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def canonical(text: str, entry: str = "Model") -> str:
    """Return the program in a form that is equal for programs that differ in names, layout or keyword order alone.

    Comments, docstrings and annotations that do nothing are dropped, keyword arguments sorted where no one can tell, and names
    that the program binds itself numbered in order of first appearance. Names of attributes, methods, keywords, imports and
    globals stay, and so does a name that may have been read from outside before the program bound it. A program that looks at
    its own names (`locals()`, `f.__name__`) keeps all of them.

    A name is numbered once for the whole program: programs that differ in whether two functions share a name stay apart.

    Args:
        text: Source code.
        entry: Name that the outside looks for; it stays too. Where it is empty the outside may look for any: all names of the
            top level stay, and all parameters of what is defined there.

    Raises:
        ValueError: The text is no Python; the message holds the line and the reason.
    """
    tree, table = parsed(text)
    try:
        if not _looks_at_names(tree):
            own = _bound_names(table)
            _Plain(tree, own - _imported(table)).visit(tree)
            fixed = _fixed_names(tree, table) | ({entry} if entry else _seen_from_outside(tree, table))
            _Rename(own - fixed, fixed | _plain_names(tree)).visit(tree)
        return ast.unparse(ast.fix_missing_locations(tree))
    except RecursionError as error:
        raise ValueError("the program is nested too deeply") from error


def canonical_hash(text: str, entry: str = "Model") -> str:
    """Return 16 hexadecimal digits that are equal for programs of equal canonical form.

    Raises:
        ValueError: As `canonical`.
    """
    return blake2b(canonical(text, entry).encode(errors="backslashreplace"), digest_size=8).hexdigest()


def _looks_at_names(tree: ast.Module) -> bool:
    """Whether the program can notice what its names are, or takes names from outside that nobody knows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _LOOKS_AT_NAMES:
            return True
        if isinstance(node, ast.Attribute) and node.attr in _NAMES_OF_THINGS:
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in _NAMES_OF_THINGS:
            return True
        if isinstance(node, ast.alias) and (node.name == "*" or not _NAMES_OF_THINGS.isdisjoint(node.name.split("."))):
            return True
    return False


class _Plain(ast.NodeTransformer):
    """Drops what does nothing and sorts keyword arguments. `own`: names that the program binds, imports left out."""

    def __init__(self, tree: ast.Module, own: set[str]) -> None:
        nodes = list(ast.walk(tree))
        self._own = own
        self._origins = {
            node.asname: node.name.rpartition(".")[2] for node in nodes if isinstance(node, ast.alias) and node.asname
        }
        self._rebinds = any(isinstance(node, ast.Global | ast.Nonlocal) for node in nodes)
        futures = (node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "__future__")
        self._unread = any(alias.name == "annotations" for future in futures for alias in future.names)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list) and not isinstance(node, ast.Lambda | ast.IfExp):
            kept = [item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
            node.body = kept or ([] if isinstance(node, ast.Module) else [ast.Pass()])  # type: ignore[attr-defined]
        if isinstance(node, _Function) and self._does_nothing(node.returns):
            node.returns = None
        if isinstance(node, ast.arg) and self._does_nothing(node.annotation):
            node.annotation = None
        if isinstance(node, ast.Call) and self._may_sort(node):
            node.keywords.sort(key=lambda keyword: str(keyword.arg))
        return node

    def _does_nothing(self, annotation: ast.expr | None) -> bool:
        """Whether an annotation cannot fail; one that names what does not exist raises where the function is defined."""
        if annotation is None or self._unread or isinstance(annotation, ast.Constant):
            return True
        return isinstance(annotation, ast.Name) and annotation.id in _TYPES - self._own

    def _may_sort(self, call: ast.Call) -> bool:
        """Whether the order of the keywords is noticed by no one: not by what is called, nor by the values."""
        root = _root(call.func)
        if root is None or root in self._own or not all(keyword.arg for keyword in call.keywords):
            return False
        name = call.func.attr if isinstance(call.func, ast.Attribute) else root
        if self._origins.get(name, name) in _KEEPS_ORDER:
            return False
        values = [keyword.value for keyword in call.keywords]
        parts = [node for value in values for node in ast.walk(value)]
        if any(isinstance(node, _NEVER_MOVED) for node in parts):
            return False
        if not any(isinstance(node, _ACTS) for node in parts):
            return True
        return not self._rebinds and sum(not self._still(value) for value in values) <= 1

    def _still(self, value: ast.expr) -> bool:
        """Whether a value is the same before and after other code has run."""
        if isinstance(value, ast.UnaryOp):
            return isinstance(value.operand, ast.Constant)
        if isinstance(value, ast.Tuple | ast.List):
            return all(map(self._still, value.elts))
        root = _root(value)
        return isinstance(value, ast.Constant | ast.Name) or (root is not None and root not in self._own)


def _root(node: ast.expr) -> str | None:
    """Return the name that a dotted expression begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


class _Rename(ast.NodeTransformer):
    """Numbers `bound` names in order of first appearance, and avoids the names in `taken`."""

    def __init__(self, bound: set[str], taken: set[str]) -> None:
        self._bound, self._taken = bound, taken - bound
        self._new: dict[str, str] = {}
        self._count = 0

    def _name(self, old: str) -> str:
        if old not in self._bound:
            return old
        while old not in self._new:
            name, self._count = f"v{self._count}", self._count + 1
            if name not in self._taken:
                self._new[old] = name
        return self._new[old]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("id", "arg", "name", "rest"):
            old = getattr(node, field, None)
            if isinstance(old, str) and not isinstance(node, ast.keyword | ast.alias):
                setattr(node, field, self._name(old))
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [self._name(old) for old in node.names]
        return super().generic_visit(node)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _bound_names(table: symtable.SymbolTable) -> set[str]:
    return {s.get_name() for scope in _tables(table) for s in scope.get_symbols() if s.is_assigned() or s.is_parameter()}


def _imported(table: symtable.SymbolTable) -> set[str]:
    return {s.get_name() for scope in _tables(table) for s in scope.get_symbols() if s.is_imported()}


def _plain_names(tree: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _fixed_names(tree: ast.Module, table: symtable.SymbolTable) -> set[str]:
    """Names that must stay: those of the outside, of imports, of classes' members, and parameters passed by keyword."""
    top = {s.get_name() for s in table.get_symbols() if s.is_assigned()}
    fixed = top - _surely_own(tree)
    for scope in _tables(table):
        for symbol in scope.get_symbols():
            name = symbol.get_name()
            from_outside = symbol.is_global() and symbol.is_referenced() and name not in top
            member = scope.get_type() == "class" and symbol.is_assigned()
            if from_outside or member or symbol.is_imported():
                fixed.add(name)
    private = any(map(_is_private, ast.walk(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            fixed.add(node.arg)
        if isinstance(node, ast.MatchClass):
            fixed.update(node.kwd_attrs)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            fixed.add(node.value)  # f(**{"width": 3})
        if isinstance(node, ast.ClassDef):
            fixed.update(_keywords_from_outside(node))
            fixed.update([node.name] if private else [])  # `self.__x` is `_Class__x` elsewhere
    return fixed


def _seen_from_outside(tree: ast.Module, table: symtable.SymbolTable) -> set[str]:
    """Names by which somebody who imports the program can take hold of it: of its top level, and parameters, as keywords."""
    found = {s.get_name() for s in table.get_symbols() if s.is_assigned()}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Function):
            found.update(argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg))
        else:
            waiting += ast.iter_child_nodes(node)
    return found | {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}


def _keywords_from_outside(node: ast.ClassDef) -> Iterator[str]:
    """Parameters of methods that PyTorch may pass by keyword: `nn.TransformerEncoder` calls its layers with `src_mask=...`."""
    for method in node.body:
        if isinstance(method, _Function) and method.name != "__init__":
            arguments = method.args
            positional = [*arguments.posonlyargs, *arguments.args]
            named = positional[len(positional) - len(arguments.defaults) :] + arguments.kwonlyargs
            yield from (argument.arg for argument in named)


def _is_private(node: ast.AST) -> bool:
    names = (getattr(node, field, None) for field in ("id", "arg", "attr", "name"))
    return any(isinstance(name, str) and name.startswith("__") and not name.endswith("__") for name in names)


def _surely_own(tree: ast.Module) -> set[str]:
    """Names of the top level that the program binds before it, or a function that it calls, can have read them from outside."""
    own: set[str] = set()
    read: set[str] = set()
    later: set[str] = set()  # read by functions, once they are called
    running = False
    for statement in tree.body:
        now, deferred, calls = _reads(statement)
        running = running or calls
        read |= now | (later if running else set())
        own |= _binds(statement) - read
        later |= deferred
    return own - {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Del)}


def _reads(statement: ast.stmt) -> tuple[set[str], set[str], bool]:
    """Return the names that a statement reads, those that functions in it read when called, and whether it calls anything."""

    def decorators(node: ast.AST) -> list[ast.expr]:
        return getattr(node, "decorator_list", [])

    now: set[str] = set()
    later: set[str] = set()
    calls = False
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Function | ast.Lambda):
            body = node.body if isinstance(node.body, list) else [node.body]
            later.update(n.id for part in body for n in ast.walk(part) if isinstance(n, ast.Name))
            waiting += [node.args, *decorators(node), *filter(None, [getattr(node, "returns", None)])]
            calls = calls or bool(decorators(node))
            continue
        calls = calls or isinstance(node, ast.Call) or bool(decorators(node))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            now.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return now, later, calls


def _binds(statement: ast.stmt) -> set[str]:
    """Return the names that a statement of the top level binds in any case."""
    if isinstance(statement, _Function | ast.ClassDef):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
