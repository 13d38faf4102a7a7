"""Reads lines that say a value for each of some names: "layer 3: 2", a row of a table, an entry of a JSON object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["labelled"]

_FURTHEST = 3  # lines of other text between two that belong together
_LONGEST_LABEL = 80
_PAIRS = re.compile(r"\n|;|,(?=\s*[\"']?[A-Za-z][^,:\n]{0,60}:)")
_NUMBERED = re.compile(r"([a-z]*)[ #]*(\d+)")


@dataclass(frozen=True, slots=True)
class _Line:
    """A label with its value.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        number: Of the line.
        label: In lower case, without punctuation.
        value: What it says.
        place: Of the name that the label is; None where it is none.
    """

    start: int
    end: int
    number: int
    label: str
    value: str
    place: int | None

    @property
    def numbered(self) -> tuple[str, int] | None:
        """The word and the number of a label such as "layer 3"."""
        match = _NUMBERED.match(self.label)
        return (match[1], int(match[2])) if match else None


def labelled(text: str, names: Sequence[str], value: Callable[[str, bool], str]) -> Iterator[tuple[int, int, list[str]]]:
    """Yield (start, end, values) of blocks of lines that give a value for each name, in the order of the names.

    A block whose labels are names but not all of them is yielded too, with as many values.

    Args:
        text: Any text.
        names: What values are asked for.
        value: Returns the value at the beginning of a text, empty where there is none; it is told whether the label is a name.
    """
    block: list[_Line] = []
    labels: set[str] = set()
    for line in _read(text, names, value):
        if block and (line.number - block[-1].number > _FURTHEST or line.label in labels):
            yield from _values(block, len(names))
            block, labels = [], set()
        block.append(line)
        labels.add(line.label)
    yield from _values(block, len(names))


def _read(text: str, names: Sequence[str], value: Callable[[str, bool], str]) -> Iterator[_Line]:
    places = {_plain(name): place for place, name in enumerate(names)}
    text = _masked(text, names)
    start, number = 0, 0
    for piece in _pieces(text):
        label, rest = _parted(piece)
        plain = _plain(label)
        place = _place(plain, places) if plain and len(plain) <= _LONGEST_LABEL else None
        said = value(rest, place is not None) if plain and len(plain) <= _LONGEST_LABEL else ""
        if said:
            yield _Line(start, start + len(piece), number, plain, said, place)
        start += len(piece) + 1
        number += text[start - 1 : start] == "\n"


def _place(label: str, places: Mapping[str, int]) -> int | None:
    """Return the place of the name that a label means; None where it is none, or could be several."""
    if label in places:
        return places[label]
    near = [name for name in places if label.startswith(name + " ") or name.startswith(label + " ")]  # "layer 3 (stride 2)"
    if not near and len(numbers := re.findall(r"\d+", label)) > 1:  # "edge 0->2" for "from node 0 to node 2"
        near = [name for name in places if re.findall(r"\d+", name) == numbers]
    return places[near[0]] if len(near) == 1 else None


def _masked(text: str, names: Sequence[str]) -> str:
    """Return the text with the signs blanked that stand within names and could part a label from its value."""
    signs = re.compile(r"[,;:|=>\u2192\u2013\u2014-]")
    inner = sorted((name for name in names if signs.search(name)), key=len, reverse=True)
    if not inner:
        return text
    pattern = re.compile("|".join(map(re.escape, inner)), re.IGNORECASE)
    return pattern.sub(lambda match: signs.sub("\0", match[0]), text)


def _pieces(text: str) -> Iterator[str]:
    end = 0
    for match in _PAIRS.finditer(text):
        yield text[end : match.start()]
        end = match.end()
    yield text[end:]


def _parted(piece: str) -> tuple[str, str]:
    """Return a label and what stands behind it."""
    cells = piece.strip().strip("|").split("|")
    if len(cells) > 1:
        return cells[0], cells[1]
    for sign in (":", "=", "→", "->", " - ", " \u2013 ", " \u2014 "):
        label, found, rest = piece.partition(sign)
        if found:
            return label, rest
    return "", ""


def _plain(label: str) -> str:
    """Return a label in lower case, letters and digits alone; "0->1" stays apart from "01"."""
    return " ".join(re.findall(r"[^\W_]+", re.sub(r"^\s*\d+[.)]\s+(?=\D)", "", label).lower()))


def _values(block: Sequence[_Line], count: int) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the values of a block, if it is one."""
    placed = {line.place: line for line in block if line.place is not None}
    if len(placed) == count:
        chosen = [placed[place] for place in range(count)]
    elif len(placed) > 1:
        chosen = list(placed.values())
    else:
        chosen = _counted(block, count) or (list(block) if len(block) == count > 1 else [])
    if chosen:
        yield min(line.start for line in chosen), max(line.end for line in chosen), [line.value for line in chosen]


def _counted(block: Sequence[_Line], count: int) -> list[_Line]:
    """Return lines whose labels are one word with consecutive numbers, in their order; none where there are too few."""
    words: dict[str, dict[int, _Line]] = {}
    for line in block:
        if line.numbered is not None:
            word, number = line.numbered
            words.setdefault(word, {})[number] = line
    for lines in words.values():
        if len(lines) == count and max(lines) - min(lines) == count - 1:
            return [lines[number] for number in sorted(lines)]
    return []
