"""Reads the outline of a reply: its thinking, and the fenced blocks of its Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LONGEST", "Block", "Fence", "answer_in", "blocks_in", "check_length", "fence_in", "fenced", "thinking", "unix"]

LONGEST = 200_000
"""Characters that a reply, or a program, may have."""

_MARKDOWN = frozenset({"markdown", "md"})
_PYTHON = frozenset({"python", "python3", "py"})
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_THINKS = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fence:
    """A line that opens or closes a block.

    Attributes:
        indent: Characters before it.
        mark: Its backticks or tildes.
        info: What stands behind them, in lower case: the language.
    """

    indent: int
    mark: str
    info: str

    def closed_by(self, other: Fence) -> bool:
        """Whether another fence ends the block that this one opens."""
        return self.mark[0] == other.mark[0] and len(other.mark) >= len(self.mark) and other.indent <= self.indent + 3


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `end` is the length of the reply behind its closing fence, None where that is missing."""

    text: str
    end: int | None


def check_length(text: str, what: str = "reply") -> None:
    """Refuse a text that is too long to be looked at.

    Raises:
        ValueError: It has more than `LONGEST` characters.
    """
    if len(text) > LONGEST:
        raise ValueError(f"the {what} has {len(text):,} characters, more than {LONGEST:,}")


def fenced(text: str, language: str = "") -> str:
    """Return a Markdown block that holds `text`: no line of the text can close it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}"


def answer_in(reply: str) -> str:
    """Return what a reply says after it has thought.

    Raises:
        ValueError: Nothing, or too much.
    """
    check_length(reply)
    begin = thinking(reply)
    if begin is None:
        raise ValueError("the reply ends before the model has done thinking")
    if not reply[begin:].strip():
        raise ValueError("the reply was empty")
    return reply[begin:]


def thinking(reply: str) -> int | None:
    """Return the length of the thinking at the head of a reply; None where it does not end, or the reply is too long."""
    if len(reply) > LONGEST:
        return None
    begin = None if _THINKS.match(reply) else 0
    for match in _THOUGHT.finditer(reply):
        begin = match.end()
    return begin


def blocks_in(answer: str) -> tuple[list[Block], str]:
    """Return the fenced blocks of an answer, and the text around them. What a Markdown block holds counts as around."""
    found: list[Block] = []
    outside: list[str] = []
    inner: list[str] = []
    opened: Fence | None = None
    offset = 0
    for line in answer.split("\n"):
        offset += len(line) + 1
        fence = fence_in(line)
        if opened is not None and fence is not None and opened.closed_by(fence):
            # An info string behind the fence opens a new block: the end of the former was forgotten.
            found.append(Block(unix("\n".join(inner)), None if fence.info else offset - 1))
            opened, inner = (fence if fence.info else None), []
        elif opened is not None:
            inner.append(line)
        elif fence is not None and fence.info not in _MARKDOWN:
            opened = fence
        elif fence is None:
            outside.append(line)
    if opened is not None:
        found.append(Block(unix("\n".join(inner)), None))
    return found, unix("\n".join(outside))


def fence_in(line: str) -> Fence | None:
    """Read a line as a fence. A fence may stand behind other text if it names Python."""
    text = line.lstrip(" \t")
    if not text.startswith(("```", "~~~")):
        before, mark, info = line.partition("```")
        return Fence(len(before), mark, info.strip().lower()) if mark and info.strip().lower() in _PYTHON else None
    info = text.lstrip(text[0])
    if "`" in info:
        return None
    return Fence(len(line) - len(text), text[: len(text) - len(info)], info.strip().lower())


def unix(text: str) -> str:
    """Return a text with line ends as they are in Python, and without the mark of its encoding."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
