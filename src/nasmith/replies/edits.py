"""Makes the edits that a reply asks for in a program."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nasmith.frames import Frame
from nasmith.replies.fences import Fence, answer_in, check_length, fence_in, thinking, unix
from nasmith.source import parsed

__all__ = ["NoEditsError", "apply_edits", "end_of_edits"]

_MOST_EDITS = 100
_SEARCH = re.compile(r"<{5,9}[ \t]*SEARCH\b.*", re.IGNORECASE)
_DIVIDER = re.compile(r"={5,9}")
_REPLACE = re.compile(r">{5,9}[ \t]*(?:REPLACE\b.*)?", re.IGNORECASE)


class NoEditsError(ValueError):
    """A reply asks for no edit at all."""


def apply_edits(text: str, reply: str, frame: Frame | None = None) -> str:
    """Return a program with the edits of a reply made in it: SEARCH/REPLACE blocks, or the hunks of a unified diff.

    Edits are made one after the other. Each replaces whole lines that must occur exactly once; where they do not occur as they
    are written, blanks at the ends of lines and a common indentation do not count. Lines that may not change can stand in an
    edit, if they come out of it as they were.

    Args:
        text: The program.
        reply: Any text.
        frame: What may not change in the program; None where all of it may.

    Raises:
        ValueError: There is no edit, one cannot be made, or nothing changes; the message is a reason for people.
    """
    lines = unix(answer_in(reply)).split("\n")
    edits = _marked_edits(lines) or _hunks(lines)
    if not edits:
        raise NoEditsError("the reply holds no SEARCH/REPLACE block")
    if len(edits) > _MOST_EDITS:
        raise ValueError(f"the reply has {len(edits):,} edits, more than {_MOST_EDITS}")
    text = unix(text)
    program = text.split("\n")
    for number, edit in enumerate(edits, start=1):
        start, stop, shift = _place(program, edit.search, number)
        program[start:stop] = [_shifted(line, shift) for line in edit.replace]
        if frame is not None:
            _check(frame, program, number)
    edited = "\n".join(program)
    if edited == text:
        raise ValueError("the edits change nothing")
    check_length(edited, "edited program")
    try:
        parsed(edited)
    except ValueError as error:
        raise ValueError(f"with the edits the program does not parse: {error}") from error
    return edited if frame is None else frame.restored(edited)


def end_of_edits(reply: str) -> int | None:
    """Return the length of `reply` at which its SEARCH/REPLACE blocks are closed, and the fence around them; None otherwise.

    Args:
        reply: What came so far.
    """
    offset = thinking(reply)
    if offset is None:
        return None
    end, found, editing = offset, False, False
    opened: Fence | None = None
    for line in reply[offset:].split("\n"):
        offset += len(line) + 1
        if _SEARCH.fullmatch(line.strip()):
            found = editing = True
        elif editing:
            editing = not _REPLACE.fullmatch(line.strip())
            end = offset - 1
        elif (fence := fence_in(line)) is not None:
            closes = opened is not None and opened.closed_by(fence)
            if closes and not fence.info:
                opened, end = None, offset - 1
            elif closes or opened is None:
                opened = fence
    return end if found and not editing and opened is None else None


@dataclass(slots=True)
class _Edit:
    """Lines to look for, and those that replace them."""

    search: list[str] = field(default_factory=list)
    replace: list[str] = field(default_factory=list)


def _marked_edits(lines: Sequence[str]) -> list[_Edit]:
    """Read SEARCH/REPLACE blocks."""
    edits: list[_Edit] = []
    part: list[str] | None = None  # of the block that is open
    for line in lines:
        mark = line.strip()
        if part is None:
            if _SEARCH.fullmatch(mark):
                edits.append(_Edit())
                part = edits[-1].search
        elif _SEARCH.fullmatch(mark):
            break
        elif part is edits[-1].search and _DIVIDER.fullmatch(mark):
            part = edits[-1].replace
        elif part is edits[-1].replace and _REPLACE.fullmatch(mark):
            part = None
        else:
            part.append(line)
    if part is not None:
        missing = "=======" if part is edits[-1].search else ">>>>>>> REPLACE"
        raise ValueError(f"edit {len(edits)} has no line {missing}")
    return edits


def _hunks(lines: Sequence[str]) -> list[_Edit]:
    """Read a unified diff; what its headers say of line numbers is not looked at."""
    hunks: list[_Edit] = []
    hunk: _Edit | None = None
    for line in lines:
        kind = line[:1]
        if line.startswith(("@@", "+++ ")):
            hunk = _Edit()
            hunks.append(hunk)
        elif hunk is None or kind == "\\":
            continue
        elif line.startswith("--- ") or kind not in {" ", "", "+", "-"}:
            hunk = None
        else:
            hunk.search.extend([line[1:]] if kind != "+" else [])
            hunk.replace.extend([line[1:]] if kind != "-" else [])
    for hunk in hunks:
        while hunk.search and hunk.replace and not hunk.search[-1] and not hunk.replace[-1]:
            hunk.search.pop()
            hunk.replace.pop()
    return [hunk for hunk in hunks if hunk.search or hunk.replace]


def _check(frame: Frame, program: Sequence[str], number: int) -> None:
    """Refuse an edit that touched what may not change."""
    try:
        frame.check("\n".join(program))
    except ValueError as error:
        raise ValueError(f"edit {number} touches what may not change: {error}") from error


def _place(program: Sequence[str], search: Sequence[str], number: int) -> tuple[int, int, int]:
    """Return where lines stand in a program, (first, behind the last), and by how many blanks they are indented further."""
    filled = [place for place, line in enumerate(search) if line.strip()]
    if not filled:
        raise ValueError(f"the SEARCH text of edit {number} is empty")
    found = _only(program, search, number)
    if found is not None:
        return found, found + len(search), 0
    search = search[filled[0] : filled[-1] + 1]
    found = _only(list(_shape(program)), list(_shape(search))[1:], number)
    if found is None:
        first = search[0].strip()
        raise ValueError(f"the SEARCH text of edit {number} does not occur in the program; it begins with {first[:80]!r}")
    start = found // 2
    return start, start + len(search), _indent(program[start]) - _indent(search[0])


def _only(lines: Sequence[str], part: Sequence[str], number: int) -> int | None:
    """Return the place of `part` in `lines`; ValueError where there are several."""
    text, wanted = "\n" + "\n".join(lines) + "\n", "\n" + "\n".join(part) + "\n"
    at = text.find(wanted)
    if at >= 0 and text.find(wanted, at + 1) >= 0:
        raise ValueError(f"the SEARCH text of edit {number} occurs more than once in the program")
    return text.count("\n", 0, at) if at >= 0 else None


def _shape(lines: Sequence[str]) -> Iterator[str]:
    """Yield for each line how much further it is indented than the line before, and what it holds."""
    former = 0
    for line in lines:
        indent = _indent(line) if line.strip() else former
        yield f"+{indent - former}"
        yield f"={line.strip()}"
        former = indent


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _shifted(line: str, shift: int) -> str:
    if not line.strip() or shift == 0:
        return line
    return " " * shift + line if shift > 0 else line[min(-shift, _indent(line)) :]
