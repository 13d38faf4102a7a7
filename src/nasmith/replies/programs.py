"""Finds the program in a reply."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from itertools import pairwise

from nasmith.frames import Frame, marks_in
from nasmith.replies.fences import answer_in, blocks_in, thinking
from nasmith.source import definitions, names, parsed

__all__ = ["end_of_block", "program_in"]

_CODE = re.compile(
    r"""^(?:
      from[ \t]+[\w.]+[ \t]+import\b
    | import[ \t]+[\w.]+[ \t]*(?:,|$|as\b)
    | @\w
    | (?:async[ \t]+)?def[ \t]+\w+[ \t]*[(\[]
    | class[ \t]+\w+[ \t]*[(:\[]
    )""",
    re.VERBOSE | re.MULTILINE,
)


def program_in(reply: str, entry: str, frame: Frame | None = None) -> str:
    """Return the program that a reply holds, as it is written there.

    It stands in the one fenced block that defines `entry`, or in a reply without such a block from the first line of code on.
    Blocks before it are put above it where they define a function or a class that it uses and lacks. Code behind the definition
    of `entry` that only shows how to use it is cut.

    Without an entry it is the longest fenced block, or a reply without blocks from the first line of code on; nothing is cut.

    Where there is a frame, the reply may hold the whole program, its marked parts, or the one part that may change. It stands
    in the fenced blocks with marks, or else where a program without a frame would stand, or else in the longest block.

    Args:
        reply: Any text.
        entry: The name that a program defines at its top level; empty where it need not define any.
        frame: What may not change in the program; None where all of it may.

    Raises:
        ValueError: There is no program, more than one, or it does not parse; the message is a reason for people.
    """
    blocks, outside = blocks_in(answer_in(reply))
    if frame is not None:
        return _framed([block.text for block in blocks], outside, entry, frame)
    texts = [_dedented(block.text).strip() for block in blocks]
    if not entry:
        return _without_entry(texts, _dedented(outside))
    defines = _defining(entry)
    places = {text: place for place, text in enumerate(texts) if defines.search(text)}
    if len(places) > 1:
        raise ValueError(f"the reply defines {entry} {len(places)} times")
    if places:
        ((program, place),) = places.items()
        program = _with_blocks(program, texts[:place])
    else:
        program = _in_prose(_dedented(outside), defines)
    if not defines.search(program):
        raise ValueError(f"the reply holds no program: no definition of {entry}")
    return _without_usage(program, entry)


def end_of_block(entry: str, reply: str) -> int | None:
    """Return the length of `reply` at which the fenced block that defines `entry` is closed; None where it is not yet.

    Of several the last counts.

    Args:
        entry: The name that a program defines; where it need not define any, nobody knows which block is the program.
        reply: What came so far.
    """
    begin = thinking(reply)
    if begin is None or not entry:
        return None
    defines = _defining(entry)
    ends = [block.end for block in blocks_in(reply[begin:])[0] if defines.search(_dedented(block.text))]
    return begin + ends[-1] if ends and ends[-1] is not None else None


def _without_entry(texts: Sequence[str], outside: str) -> str:
    """Return a program that need not define anything: of blocks that parse the longest."""
    program = max([text for text in texts if _error(text) is None] or texts, key=len, default="") or _code_in_prose(outside)
    if not _parsed(program):
        raise ValueError("the reply holds no program")
    return program.strip() + "\n"


def _code_in_prose(text: str) -> str:
    """Return the code in a text without fences; one word is no code, though it parses."""
    code = _in_prose(text)
    if _CODE.search(code):
        return code
    try:
        body = _parsed(code)
    except ValueError:
        body = []
    if all(isinstance(statement, ast.Expr) for statement in body):
        raise ValueError("the reply holds no program")
    return code


def _framed(texts: Sequence[str], outside: str, entry: str, frame: Frame) -> str:
    """Return a program of which a reply holds all, or what may change."""
    text = _marked(texts, outside, frame) or _unmarked(texts, outside, entry)
    program = frame.refit(text)
    if _error(program) is not None and (dedented := _dedented(text)) != text:
        program = frame.refit(dedented)
    body = _parsed(program)
    count = sum(entry in _bound(statement) for statement in body)
    if entry and count != 1:
        raise ValueError(f"the program defines {entry} {count} times" if count else f"the program does not define {entry}")
    return program


def _marked(texts: Sequence[str], outside: str, frame: Frame) -> str:
    """Return what has marks in a reply: one block, or several that together have all of the program's; empty for none."""
    found = list(dict.fromkeys(text for text in texts if marks_in(text))) or [outside] * bool(marks_in(outside))
    whole = [text for text in found if marks_in(text) == len(frame.marks)]
    if len(whole) > 1:
        raise ValueError(f"the reply holds {len(whole)} programs")
    return "\n".join(whole or found)


def _unmarked(texts: Sequence[str], outside: str, entry: str) -> str:
    """Return what could be a program, or its one part that may change, in a reply without marks."""
    if not any(text.strip() for text in texts):
        return _code_in_prose(_dedented(outside))
    defines = _defining(entry)
    defining = {text for text in texts if entry and defines.search(_dedented(text))}
    return defining.pop() if len(defining) == 1 else max(texts, key=len)


def _parsed(program: str) -> list[ast.stmt]:
    """Return the statements of a program."""
    try:
        return parsed(program)[0].body
    except ValueError as error:
        raise ValueError(f"the program does not parse: {error}") from error


def _defining(entry: str) -> re.Pattern[str]:
    name = re.escape(entry)
    return re.compile(rf"^(?:(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|{name}[ \t]*(?::[^=\n]*)?=(?!=))", re.MULTILINE)


def _in_prose(text: str, defines: re.Pattern[str] | None = None) -> str:
    """Return the code in a text without fences: all of it if it parses, or from the first line of code to the prose behind."""
    begin = _CODE.search(text)
    if begin is None or _error(text) is None:
        return text
    code = text[begin.start() :]
    error = _error(code)
    lines = code.split("\n")
    line = (error.lineno or 1) - 1 if error else len(lines)
    before = "\n".join(lines[:line])
    if line < len(lines) and lines[line][:1].strip() and (defines is None or defines.search(before)):
        return before
    return code


def _error(text: str) -> SyntaxError | None:
    try:
        parsed(text)
    except ValueError as error:
        return error.__cause__ if isinstance(error.__cause__, SyntaxError) else None
    return None


def _with_blocks(program: str, earlier: Sequence[str]) -> str:
    """Put blocks above a program that define what it uses and lacks."""
    used = [program]
    try:
        lacking = names(program) - set(definitions(program))
    except ValueError:
        return program
    for text in reversed(earlier):
        try:
            given = set(definitions(text))
            if given & lacking:
                used.insert(0, text)
                lacking = (lacking | names(text)) - given
        except ValueError:
            continue  # a sketch, or another language
    return "\n\n\n".join(used)


def _without_usage(program: str, entry: str) -> str:
    """Check that a program defines `entry` once, and cut what stands behind it for show.

    Functions, classes, imports and assignments are kept, but for assignments that use what the program defines as `entry`.
    """
    body = _parsed(program)
    found = [place for place, statement in enumerate(body) if entry in _bound(statement)]
    if not found:
        raise ValueError(f"the reply holds no program: no definition of {entry}")
    if len(found) > 1:
        raise ValueError(f"the reply defines {entry} {len(found)} times")
    lines = program.split("\n")
    using, cut = {entry}, set[int]()
    for before, statement in pairwise(body[found[0] :]):
        first, last = before.end_lineno or 0, statement.end_lineno or 0
        uses = not using.isdisjoint(node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
        if uses:
            using |= _bound(statement)
        keeps = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)
        keeps = keeps or (isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and not uses)
        if not keeps and statement.lineno > first:
            cut.update(range(first, last))
    return "\n".join(line for number, line in enumerate(lines) if number not in cut).strip() + "\n"


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a definition or an assignment binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.AnnAssign):
        targets: list[ast.expr] = [statement.target] if statement.value is not None else []
    else:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _dedented(text: str) -> str:
    """Return a text without the indentation that its first line has: it stood in a list."""
    return textwrap.dedent(text) if text.lstrip("\n").startswith((" ", "\t")) else text
