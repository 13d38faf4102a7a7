"""Finds designs of a space in what a language model says, and what is wrong with those that are none.

A design may be written as the space writes it, as a list in brackets (nested, or over several lines), as lists that make up a
design together (one for each stage), as numbers or names with commas, as bare digits, or as a line for each position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nasmith.replies.fences import answer_in
from nasmith.replies.labels import labelled
from nasmith.space import Design, Space

__all__ = ["design_in", "designs_in"]

_DEEPEST = 4
_MARKUP = " \t*_`\"'>|"
_COMMENT = re.compile(r"(?:#|//)[^\n]*")
_INTEGER = re.compile(r"[-+]?\d+")
# What may stand between two lists that make up a design together: nothing of weight, or a label at its end.
_JOIN = re.compile(r"[\s,;.|`'\"+*]*(?:[^\n:=]{0,80}[:=][\s*`'\"]*)?")
_LABEL = re.compile(r"[\s,;.|`'\"+*>-]*|[^\n]{0,100}[:=|][\s*`'\"]*")
# A number with one of these behind it counts something.
_UNIT = r"(?!\s*(?:%|(?:[kMGB]\s?)?(?:params?|parameters|FLOPs?|MACs?|MAdds?|epochs?|steps|images|images/s|ms|seconds)\b))"


def designs_in(text: str, space: Space) -> list[Design]:
    """Return the designs that a text holds, in their order. One that is said twice in a row is returned once.

    Args:
        text: Any text.
        space: Of the designs.
    """
    found = [finding.design for finding in _findings(text, space) if finding.design is not None]
    return [design for place, design in enumerate(found) if place == 0 or found[place - 1] != design]


def design_in(text: str, space: Space, known: Iterable[Design] = ()) -> Design:
    """Return the design that a reply proposes: the last one that is not known yet, or else the last.

    Args:
        text: The reply. What the model thought before it answered is left out.
        space: Of the design.
        known: Designs that were tried before; a reply may speak of them.

    Raises:
        ValueError: There is none; the message says what is wrong, so that the model can be told.
    """
    findings = _findings(answer_in(text), space)
    designs = [finding.design for finding in findings if finding.design is not None]
    tried = {space.canonical(design) for design in known}
    new = [design for design in designs if space.canonical(design) not in tried]
    if designs:
        return (new or designs)[-1]
    flaws = [finding for finding in findings if finding.weight]
    if flaws:
        heaviest = max(finding.weight for finding in flaws)
        raise ValueError([finding.flaw for finding in flaws if finding.weight == heaviest][-1])
    raise ValueError(f"the reply holds no design; {_wanted(space)} is needed, one for each position")


@dataclass(frozen=True, slots=True)
class _Finding:
    """Some words of a text that are a design, or seem meant as one.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        words: One for each position.
        design: None where it is none.
        flaw: Why it is none.
        weight: How much like a design it looks; 0 for not at all.
    """

    start: int
    end: int
    words: tuple[str, ...]
    design: Design | None = None
    flaw: str = ""
    weight: int = 0


@dataclass(slots=True)
class _List:
    """Brackets and what stands in them."""

    start: int
    end: int = -1
    lists: list[_List] = field(default_factory=list)


def _findings(text: str, space: Space) -> list[_Finding]:
    """Return all that looks like a design, in the order of the text. What one way of writing explains no other looks at."""
    reader = _Reader(space)
    found: list[_Finding] = []
    for way in (reader.written, reader.bracketed, reader.in_lines, reader.labelled, reader.in_prose, reader.digits):
        new = list(way(text))
        found += new
        text = _blanked(text, new)
    if not any(finding.design for finding in found):
        found += reader.weak_digits(text)
    return sorted(found, key=lambda finding: finding.start)


class _Reader:
    """The ways to write a design of a space."""

    def __init__(self, space: Space) -> None:
        self._space, self._count = space, len(space.positions)
        choices = [choice for position in space.positions for choice in position.choices]
        self._words = {word.lower() for choice in choices for word in (choice.code, choice.name)}
        longest_first = sorted(self._words, key=lambda word: (-len(word), word))
        alternatives = "|".join(map(re.escape, longest_first))
        self._word = rf"(?<![\w.~-])(?:{alternatives}|[-+]?\d+)(?![\w~]|\.\d)"
        comma = r"\s{0,8},\s{0,8}(?:and\s{1,4})?"
        self._run = re.compile(f"{self._word}(?:{comma}{self._word})+", re.IGNORECASE)
        self._single = re.compile(rf"[\s*_`\"'(\[]*(?:(?:operation|op|choice|option|use)\s+)?({self._word})", re.IGNORECASE)

    def written(self, text: str) -> Iterator[_Finding]:
        """As the space writes it, blanks around its signs allowed."""
        parts = self._space.template.split("{}") if self._space.template else []
        if not any(part.strip() for part in parts):
            return
        word, blank = r"([^\s|~,+\[\]()]{1,60}?)", r"[ \t]{0,3}"
        literals = [blank.join(map(re.escape, part.split())) for part in parts]
        pattern = f"{blank}{word}{blank}".join(literals)
        pattern = (r"(?<![\w.-])" if not literals[0] else "") + pattern + (r"(?!\w)" if not literals[-1] else "")
        for match in re.finditer(pattern, text):
            yield self._judged(match.start(), match.end(), match.groups())
        signs = {sign for sign in "".join(parts) if not sign.isalnum() and not sign.isspace()}
        if not signs:
            return
        for match in re.finditer(r"\S{8,}", _blanked_matches(text, pattern)):
            words = [word for word in re.split("[" + re.escape("".join(signs)) + "]+", match[0]) if word.lower() in self._words]
            if len(words) > 1 and all(sign in match[0] for sign in signs):
                example = self._space.write((0,) * self._count)
                flaw = f"{match[0][:100]!r} is not written as a design is: {example}"
                yield _Finding(match.start(), match.end(), tuple(words), flaw=flaw, weight=3)

    def bracketed(self, text: str) -> Iterator[_Finding]:
        """Lists in brackets, alone or together."""
        lists = [finding for top in _lists(text) for finding in self._of_list(top, text)]
        whole = [each for each in lists if len(each.words) == self._count]
        yield from (self._judged(each.start, each.end, each.words) for each in whole)
        yield from self._together([each for each in lists if len(each.words) != self._count], text)
        for match in re.finditer(r"\(([^()\[\]]*,[^()\[\]]*)\)", text):
            if len(words := _split(match[1])) == self._count and any(word.lower() in self._words for word in words):
                yield self._judged(match.start(), match.end(), words)

    def in_lines(self, text: str) -> Iterator[_Finding]:
        """Lines that hold nothing but words with commas or blanks between them, behind a label or none."""
        found = []
        for start, line in _lines(text):
            begin = max(line.rfind(":"), line.rfind("=")) + 1
            rest = re.sub(r"^\s*\d+[.)]\s+", "", line[begin:]).strip(_MARKUP + ",;.")
            words = re.split(r"\s*,\s*|\s+", rest)
            if len(words) > 1 and all(self._known(word) for word in words):
                found.append(_Finding(start + begin, start + len(line), tuple(words)))
        yield from (self._judged(each.start, each.end, each.words) for each in found if len(each.words) == self._count)
        yield from self._together([each for each in found if len(each.words) != self._count], text)

    def labelled(self, text: str) -> Iterator[_Finding]:
        """A line for each position, "layer 3: 2"; in any order where the labels are the positions' names, or numbers."""
        names = [position.name for position in self._space.positions]
        for start, end, words in labelled(text, names, self._value):
            if len(words) == self._count:
                yield self._judged(start, end, words)
            else:
                flaw = f"the lines choose for {len(words)} positions; there are {self._count}"
                yield _Finding(start, end, tuple(words), flaw=flaw, weight=2)

    def in_prose(self, text: str) -> Iterator[_Finding]:
        """Words with commas between them."""
        for match in self._run.finditer(text):
            words = re.findall(self._word, match[0], re.IGNORECASE)
            yield self._judged(match.start(), match.end(), words, weight=1)

    def digits(
        self, text: str, before: str = r"(?:^|(?<=[:=`\"'*]))[ \t]*", after: str = r"(?=[ \t]*(?:[`\"'*;,.]|$))"
    ) -> Iterator[_Finding]:
        """A digit for each position and no other sign between, set off from what is around it."""
        if any(len(choice.code) != 1 for position in self._space.positions for choice in position.choices):
            return
        pattern = rf"{before}(?<![\w+-])(?<![\d\w][.,:/])(\w{{2,{max(40, 2 * self._count)}}})(?![\w%]|[.,:/-]\d){_UNIT}{after}"
        for match in re.finditer(pattern, text, re.MULTILINE):
            if not match[1].isdigit():
                continue
            if len(match[1]) == self._count:
                yield self._judged(match.start(1), match.end(1), match[1], weight=2)
            else:
                flaw = f"{match[1]} has {len(match[1])} digits; {self._count} are needed"
                yield _Finding(match.start(1), match.end(1), (), flaw=flaw, weight=1)

    def weak_digits(self, text: str) -> Iterator[_Finding]:
        """Such digits within a sentence, for a text that holds nothing better."""
        return (finding for finding in self.digits(text, "", "") if finding.design is not None)

    def _known(self, word: str) -> bool:
        return word.lower() in self._words or _INTEGER.fullmatch(word) is not None

    def _value(self, text: str, sure: bool) -> str:
        """Return the choice that stands behind a label; empty where there is none. `sure`: the label is a position's name."""
        if match := self._single.match(text):
            return match[1]
        if not sure:
            return ""
        named = (match[0] for match in re.finditer(self._word, text, re.IGNORECASE) if not _INTEGER.fullmatch(match[0]))
        return next(named, "") or next(iter(re.findall(r"[\w.+-]+", text)), "")

    def _of_list(self, one: _List, text: str) -> list[_Finding]:
        """Return a list of words, or the lists in a list that is none."""
        words = _split(re.sub(r"[\[\]]", " , ", _COMMENT.sub("", text[one.start : one.end])))
        if not one.lists or len(words) == self._count:
            return [_Finding(one.start, one.end, tuple(words))] if len(words) > 1 else []
        return [finding for inner in one.lists for finding in self._of_list(inner, text)]

    def _together(self, lists: Sequence[_Finding], text: str) -> Iterator[_Finding]:
        """Yield designs that consecutive lists make up; where they make up none, what is wrong with them."""
        place = 0
        while place < len(lists):
            chain = [lists[place]]
            while place + len(chain) < len(lists) and _goes_on(text, chain[-1], lists[place + len(chain)]):
                chain.append(lists[place + len(chain)])
            place += len(chain)
            yield from self._of_chain(chain)

    def _of_chain(self, chain: Sequence[_Finding]) -> Iterator[_Finding]:
        first, found = 0, False
        while first < len(chain):
            words: tuple[str, ...] = ()
            last = first
            while last < len(chain) and len(words) < self._count:
                words += chain[last].words
                last += 1
            if len(words) == self._count and last > first + 1:
                found = True
                yield self._judged(chain[first].start, chain[last - 1].end, words)
                first = last
            else:
                first += 1
        if not found:
            words = tuple(word for each in chain for word in each.words)
            yield self._miscounted(chain[0].start, chain[-1].end, words, len(chain))

    def _judged(self, start: int, end: int, words: Sequence[str], weight: int = 3) -> _Finding:
        """Return what words are: a design, or why they are none; the weight is that of the right number of words."""
        if len(words) != self._count:
            return self._miscounted(start, end, words)
        try:
            return _Finding(start, end, tuple(words), self._space.chosen(list(words)))
        except ValueError as error:
            known = sum(self._known(word) for word in words)
            return _Finding(start, end, tuple(words), flaw=str(error), weight=weight if 2 * known >= len(words) else 1)

    def _miscounted(self, start: int, end: int, words: Sequence[str], lists: int = 1) -> _Finding:
        kind = "numbers" if all(_INTEGER.fullmatch(word) for word in words) else "entries"
        subject = "the list has" if lists == 1 else f"the {lists} lists have together"
        flaw = f"{subject} {len(words)} {kind}; {self._count} are needed, one for each position"
        known = sum(word.lower() in self._words for word in words)
        weight = 2 if known == len(words) > 2 else 1 if known else 0
        return _Finding(start, end, tuple(words), flaw=flaw, weight=weight)


def _lists(text: str) -> Iterator[_List]:
    """Yield the outermost lists in square brackets, each with those in it."""
    opened: list[_List] = []
    for match in re.finditer(r"[\[\]]", text):
        if match[0] == "[":
            if len(opened) == _DEEPEST:  # no list of lists of lists: begin anew
                opened.clear()
            opened.append(_List(match.start()))
        elif opened:
            closed = opened.pop()
            closed.end = match.end()
            if opened:
                opened[-1].lists.append(closed)
            else:
                yield closed
    if opened:  # one was never closed: what it holds may be lists all the same
        yield from opened[0].lists


def _split(text: str) -> list[str]:
    """Return the words of a list: between commas where there are any, otherwise between blanks."""
    text = re.sub(r"\([^()]*\)", "", text.strip("()"))
    return [word for word in re.split(r"[\s,;|]+", re.sub(r"[`\"']", " ", text)) if word]


def _goes_on(text: str, former: _Finding, latter: _Finding) -> bool:
    """Whether two lists stand one below the other, or side by side, with no more than a label between."""
    between = text[former.end : latter.start]
    if len(between) > 300 or between.count("\n") > 3:
        return False
    if "\n" not in between:
        return bool(_JOIN.fullmatch(between))
    return bool(_LABEL.fullmatch(between.rpartition("\n")[2]))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in text.split("\n"):
        yield start, line
        start += len(line) + 1


def _blanked(text: str, found: Iterable[_Finding]) -> str:
    """Return the text without what was found, at its length."""
    parts, end = [], 0
    for finding in sorted(found, key=lambda finding: finding.start):
        start = max(end, finding.start)
        parts += [text[end:start], re.sub(r"[^\n]", "\0", text[start : finding.end])]
        end = max(start, finding.end)
    return "".join(parts) + text[end:]


def _blanked_matches(text: str, pattern: str) -> str:
    return re.sub(pattern, lambda match: " " * len(match[0]), text)


def _wanted(space: Space) -> str:
    numbers = all(getattr(choice, space.shown).isdigit() for position in space.positions for choice in position.choices)
    return f"a list of {len(space.positions)} {'numbers' if numbers else 'choices'}"
