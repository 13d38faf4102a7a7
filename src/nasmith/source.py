"""Reads programs as text: where a growing one ends, and which of its lines may be rewritten.

Pure functions of text; nothing is executed.
"""

from __future__ import annotations

import ast
import re
import symtable
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Hole",
    "complete",
    "cuts",
    "definitions",
    "end_of_body",
    "end_of_function",
    "end_of_lines",
    "end_of_program",
    "end_of_text",
    "holes",
    "lines_of",
    "names",
    "parsed",
]

_BLOCK = re.compile(r"^(?:@|(?:async\s+)?def\b|class\b)", re.MULTILINE)
_TOKEN = re.compile(
    r"""
      \#[^\n]*
    | (?:\"{3}(?:[^\\]|\\.)*?\"{3}) | (?:'{3}(?:[^\\]|\\.)*?'{3})
    | "(?!"")(?:[^"\\\n]|\\.)*" | '(?!'')(?:[^'\\\n]|\\.)*'
    | (?P<open_string>\"{3}|'{3}|"|')
    | (?P<opens>[(\[{]) | (?P<closes>[)\]}])
    | \\\n
    | (?P<newline>\n)
    """,
    re.VERBOSE | re.DOTALL,
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_ENDS_INSIDE_BRACKETS = ("def ", "class ", '"""', "'''", "import ", "from ", "@")
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_TRIES = 5  # statements at the end of a text that was cut; more are not given up for it
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Hole:
    """Lines of a program that can be replaced by others.

    Attributes:
        start: Index of the first line, from 0.
        end: Index after the last line.
    """

    start: int
    end: int


def end_of_program(prefix: str, reply: str) -> int | None:
    """Return the length of `reply` at which the program that `prefix` opened is complete; None where it is not yet.

    A function is complete after a `return` at the level of its body, any block where the next line begins at column 0. A reply
    that can no longer become a program (a bracket that closes nothing, a string cut by the end of its line) ends there too.

    Args:
        prefix: The beginning of the program, or any text that ends with it.
        reply: What came after it so far. The cost is one pass over the program.
    """
    text, base = _begun(prefix, reply)
    function = text.startswith(("def", "async"))
    level: int | None = None
    for number, line in enumerate(_logical_lines(text)):
        if line.state == "broken":
            return max(0, (line.start if number and not line.indent else line.stop) - base)
        if line.blank:
            continue
        if number and not line.indent:
            return max(0, line.start - base)
        if number:
            level = line.indent if level is None else level
            returns = re.match(r"return\b", text[line.start + line.indent : line.start + line.indent + 7])
            if function and line.state == "closed" and line.indent == level and returns and line.stop > base:
                return line.stop - base
    return None


def end_of_lines(prefix: str, reply: str, lines: int = 1) -> int | None:
    """Return the length of `reply` at which `prefix` and it hold `lines` whole lines; None where they do not yet.

    Lines are logical ones: brackets opened in a line are closed before it ends. Blank lines at the start do not count. The
    newline behind the last line is not counted in. A bracket that closes nothing ends the reply before that line.

    Args:
        prefix: The part of the first line that stands already; may be empty.
        reply: What came after it so far.
        lines: How many.
    """
    found = 0
    for line in _logical_lines(prefix + reply):
        if line.state == "broken":
            return max(0, line.start - len(prefix))
        if line.blank and not found:
            continue
        if line.state == "open":
            return None
        found += not line.blank
        if found >= lines or line.blank:
            return max(0, line.stop - 1 - len(prefix))
    return None


def end_of_body(prefix: str, reply: str, indent: int) -> int | None:
    """Return the length of `reply` at which the body that `prefix` ends in is complete; None where it is not yet.

    It is complete where a line begins that is indented by less than `indent` characters, and where it can no longer be Python.

    Args:
        prefix: The program so far; may end within brackets.
        reply: What came after it. The cost is one pass over both.
        indent: Characters before the statements of the body.
    """
    text, base = _begun(prefix, reply)
    for line in _logical_lines(text):
        outside = line.indent < indent
        if line.state == "broken":
            return max(0, (line.start if outside else line.stop) - base)
        if line.start >= base and outside and not line.blank:
            return line.start - base
    return None


def end_of_text(header: str, reply: str) -> int | None:
    """Return the length of `reply` at which a program of any number of statements ends; None where it may go on.

    Args:
        header: What a line begins with that is no part of it any more; may be empty.
        reply: What came so far. It ends too before `if __name__`, and where it can no longer be Python.
    """
    marks = tuple(filter(None, (header, "if __name__")))
    for number, line in enumerate(_logical_lines(reply)):
        if line.state == "broken":
            return line.start if number and not line.indent else line.stop
        if number and reply.startswith(marks, line.start):
            return line.start
    return None


def complete(text: str) -> str:
    """Return a text without the last statements of its top level if they were cut; all of it where that does not help."""
    starts = [line.start for line in _logical_lines(text) if line.start and not line.blank and not line.indent]
    for stop in [len(text), *starts[: -_TRIES - 1 : -1]]:
        try:
            parsed(text[:stop])
        except ValueError:
            continue
        return text[:stop]
    return text


def end_of_function(text: str, line: int) -> tuple[int, int] | None:
    """Return where the innermost function ends that holds a line, and by how much its body is indented; None where none does.

    Args:
        text: A program.
        line: Index of the line, from 0. The first value is the index after the last line of the function.
    """
    try:
        tree, _ = parsed(text)
    except ValueError:
        return None
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, _Function) and node.body[0].lineno <= line + 1 <= (node.end_lineno or 0)
    ]
    if not around:
        return None
    inner = max(around, key=lambda node: node.lineno)
    return inner.end_lineno or 0, inner.body[0].col_offset


def holes(text: str, *, everywhere: bool = False) -> list[Hole]:
    """Return the lines of a program that hold one layer or one statement each, in order; none where it does not parse.

    The arguments of a call that stands on several lines are holes, and so are the simple statements of functions. Lines of
    definitions, the line that opens such a call and the one that closes it are not. Nor are docstrings and
    `super().__init__()`.

    Args:
        text: The program.
        everywhere: Whether statements of classes and of the top level are holes too.
    """
    try:
        tree, _ = parsed(text)
    except ValueError:
        return []
    found: set[Hole] = set()
    kinds = _Function | ast.ClassDef | ast.Module if everywhere else _Function
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            for statement in node.body:
                found.update(_holes_of_statement(statement))
    taken = sorted(found, key=lambda hole: (hole.start, -hole.end))
    return [hole for hole in taken if not any(_overlap(hole, other) for other in taken)]


def cuts(line: str) -> list[int]:
    """Return the columns of a layer's line from which on it can be written anew with the layer's kind kept.

    They lie behind each `(` and `=` that something follows.
    """
    return [match.end() for match in re.finditer(r"[(=](?=[^\s)=])", line)]


def definitions(text: str) -> dict[str, str]:
    """Return the source of every function and class at the top level, by name, in order.

    Raises:
        ValueError: The text is no Python.
    """
    tree, _ = parsed(text)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    lines = lines_of(text)
    sources = {}
    for node in tree.body:
        if isinstance(node, kinds):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            sources[node.name] = "".join(lines[first - 1 : node.end_lineno]).rstrip() + "\n"
    return sources


def names(text: str) -> set[str]:
    """Return the names that a program reads.

    Raises:
        ValueError: The text is no Python.
    """
    tree, _ = parsed(text)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def parsed(text: str) -> tuple[ast.Module, symtable.SymbolTable]:
    """Return a program's syntax tree and its table of names.

    Raises:
        ValueError: The text is no Python; the message holds the line and the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a candidate's odd escapes are no business of the console
            return ast.parse(text), symtable.symtable(text, "<program>", "exec")
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise ValueError(f"{where}{error.msg}") from error
    except (MemoryError, RecursionError) as error:
        raise ValueError("the program is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("the program holds a character that is no text") from error


def lines_of(text: str) -> list[str]:
    """Return the lines of a text with their ends. Lines are those of Python: a form feed ends none."""
    return _LINES.findall(text)


# Lines of growing text.


@dataclass(frozen=True, slots=True)
class _Line:
    """A logical line: `text[start:stop]`, the newline included where there is one."""

    start: int
    stop: int
    indent: int
    state: Literal["closed", "open", "broken"]
    blank: bool


def _begun(prefix: str, reply: str) -> tuple[str, int]:
    """Return a program from the last block at column 0 that `prefix` begins, and where the reply begins in it."""
    starts = [match.start() for match in _BLOCK.finditer(prefix)]
    text = prefix[starts[-1] if starts else 0 :] + reply
    return text, len(text) - len(reply)


def _logical_lines(text: str) -> Iterator[_Line]:
    """Yield the logical lines of Python text; the last is open where it may go on, and none follows a broken one."""
    start, brackets = 0, list[str]()

    def line(stop: int, state: Literal["closed", "open", "broken"]) -> _Line:
        content = text[start:stop]
        plain = content.lstrip(" \t")
        blank = not plain.strip() or (plain.startswith("#") and len(plain) < len(content))
        return _Line(start, stop, len(content) - len(plain), state, blank)

    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "open_string":
            cut = text.find("\n", token.end()) if len(token[0]) == 1 else -1
            yield line(len(text), "open") if cut < 0 else line(cut, "broken")
            return
        if kind == "opens":
            brackets.append(token[0])
        elif kind == "closes" and (not brackets or brackets.pop() != _PAIRS[token[0]]):
            yield line(token.start(), "broken")
            return
        elif kind == "newline" and brackets:
            if text.startswith(_ENDS_INSIDE_BRACKETS, token.end()):
                yield line(token.end(), "broken")
                return
        elif kind == "newline":
            yield line(token.end(), "closed")
            start = token.end()
    if start < len(text):
        yield line(len(text), "open")


# Holes.


def _holes_of_statement(statement: ast.stmt) -> Iterator[Hole]:
    lines = (statement.lineno, statement.end_lineno or statement.lineno)
    simple = isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr | ast.Return)
    simple = simple and not _is_furniture(statement)
    if simple and lines[0] != lines[1]:
        call = getattr(statement, "value", None)
        if isinstance(call, ast.Call):
            yield from _holes_of_call(call)
    elif simple and not isinstance(statement, ast.Return):
        yield Hole(lines[0] - 1, lines[1])


def _is_furniture(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring or `super().__init__()`, which every class of layers needs as it is."""
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    called = value.func if isinstance(value, ast.Call) else None
    if not isinstance(called, ast.Attribute) or called.attr != "__init__":
        return isinstance(value, ast.Constant)
    return isinstance(called.value, ast.Call) and isinstance(called.value.func, ast.Name) and called.value.func.id == "super"


def _holes_of_call(call: ast.Call) -> Iterator[Hole]:
    """The arguments that share their lines with nothing of the call but other arguments."""
    first, last = call.func.end_lineno or call.lineno, call.end_lineno or call.lineno
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        start, end = argument.lineno, argument.end_lineno or argument.lineno
        if first < start and end < last:
            yield Hole(start - 1, end)


def _overlap(hole: Hole, other: Hole) -> bool:
    """Whether `other` covers lines of `hole` and begins before it or reaches further."""
    return (
        hole != other
        and other.start < hole.end
        and hole.start < other.end
        and (other.end - other.start > hole.end - hole.start)
    )
