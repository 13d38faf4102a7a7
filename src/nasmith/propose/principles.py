"""Takes the design principles out of a language model's first answer, so that later requests can state them again."""

from __future__ import annotations

import re

from nasmith.replies import designs_in, thinking
from nasmith.space import Space

__all__ = ["principles_in"]

_MOST = 1500  # characters
_ITEM = re.compile(r"\s*(?:\d+[.)]|[-*•])\s+(\S.*)")
_HEADING = re.compile(r"^\W*(?:design\s+)?principles\b[^\n]*$", re.IGNORECASE | re.MULTILINE)
_LIST = re.compile(r"\[[^\]\n]*,[^\]\n]*\]")


def principles_in(reply: str, space: Space) -> list[str]:
    """Return the principles that an answer states, in its words.

    They are the items below a heading "Principles", or those of all lists in front of its design. Where there are none, the
    text in front of the design is one. Questions that the answer repeats are left out.

    Args:
        reply: What the model said.
        space: Of the designs that it speaks of.
    """
    answer = reply[thinking(reply) or 0 :]
    heading = _HEADING.search(answer)
    if heading is not None and (items := _items(answer[heading.end() :], space)):
        return _short(items)
    return _short(_items(answer, space) or _prose(answer, space))


def _items(text: str, space: Space) -> list[str]:
    """Return the items of lists, up to the first line with a design; an item goes on until an empty line."""
    items: list[str] = []
    open_ = False
    for line in text.split("\n"):
        if _speaks_of_a_design(line, space):
            break
        if match := _ITEM.match(line):
            items.append(match[1].strip())
            open_ = True
        elif not line.strip():
            open_ = False
        elif open_:
            items[-1] += "\n" + line.strip()
    return [said for item in items if (said := _without_questions(item))]


def _prose(text: str, space: Space) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        if _speaks_of_a_design(line, space):
            break
        lines.append(line.strip())
    said = _without_questions("\n".join(lines))
    return [said] if len(said.split()) > 8 else []  # less is no more than a greeting


def _speaks_of_a_design(line: str, space: Space) -> bool:
    return bool(_LIST.search(line) or designs_in(line, space))


def _without_questions(item: str) -> str:
    """Return an item as one line of Markdown."""
    lines = [line.strip("* ") for line in item.split("\n")]
    return " ".join(line for line in lines if line and not line.endswith("?"))


def _short(items: list[str]) -> list[str]:
    kept: list[str] = []
    for item in items:
        left = _MOST - sum(map(len, kept))
        if left <= 0:
            break
        kept.append(item if len(item) <= left else item[:left].rsplit(" ", 1)[0] + " ...")
    return kept
