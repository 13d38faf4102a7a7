"""Programs of which only marked parts may change. Everything else stays as it is, byte for byte.

Marks are comments on lines of their own: `# nasmith: begin` and `# nasmith: end`, or `# EVOLVE-BLOCK-START` and
`# EVOLVE-BLOCK-END`. They may be indented, and text may follow. A text with n marked parts is n + 1 fixed parts around n free
ones; the lines of the marks are fixed.

Pure functions of text; nothing is executed.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from nasmith.source import lines_of, parsed

__all__ = ["Frame", "agree", "end_at_mark", "marks_in"]

_MARK = re.compile(r"(?P<indent>[ \t]*)#[ \t]*(?:nasmith:[ \t]*(?P<own>begin|end)|EVOLVE-BLOCK-(?P<their>START|END))\b.*")
_HEADER = re.compile(r"\s*(?:@|(?:async\s+)?def\b|class\b)")


@dataclass(frozen=True, slots=True)
class Frame:
    """What may not change in a program.

    Attributes:
        fixed: n + 1 texts around the n parts that may change, the lines of the marks included.
    """

    fixed: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Frame | None:
        """Read the frame of a text; None where it has no marks.

        Raises:
            ValueError: An end without a begin, a begin without an end, one inside another, or a mark within a string; the
                message names the line.
        """
        found = _Split.of(text)
        if not found.free:
            return None
        _refuse_strings(text)
        return cls(found.fixed)

    @classmethod
    def of_parts(cls, fixed: Sequence[str]) -> Frame | None:
        """Return the frame of a description's fixed parts; None where there are none."""
        return cls(tuple(fixed)) if fixed else None

    @property
    def marks(self) -> tuple[str, ...]:
        """The lines of the marks, in order: a begin and an end for each part that may change."""
        ends = [(lines_of(before)[-1], lines_of(behind)[0]) for before, behind in zip(self.fixed, self.fixed[1:], strict=False)]
        return tuple(line.strip() for pair in ends for line in pair)

    @property
    def outline(self) -> str:
        """The program with `...` in place of each part that may change."""
        return self.joined([f"{indent}...\n" for indent in _indents(self.fixed)])

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the lines of the free parts of a text: index of the first, and after the last.

        Raises:
            ValueError: As `parts`.
        """
        self.check(text)
        found = _Split.of(text)
        return [(start, start + len(lines_of(part))) for start, part in zip(found.starts[1::2], found.free, strict=True)]

    def parts(self, text: str) -> tuple[str, ...]:
        """Return the free parts of a text that has these fixed parts, byte for byte.

        Raises:
            ValueError: It has others, the message says which line is another; or a string of a free part swallows a mark.
        """
        found = _Split.of(text)
        self._compare(found, exactly=True)
        _refuse_strings(text)
        return found.free

    def joined(self, parts: Sequence[str]) -> str:
        """Return the text of the fixed parts around free ones; a free part that does not end its last line gets its end.

        Raises:
            ValueError: There are not as many as belong there, or one holds a mark.
        """
        if len(self.fixed) != len(parts) + 1:
            raise ValueError(f"the program has {_parts(len(self.fixed) - 1)} that may change, and {len(parts)} came")
        texts = [self.fixed[0]]
        for part, behind in zip(parts, self.fixed[1:], strict=True):
            texts += [part if not part or part.endswith(("\n", "\r")) else part + "\n", behind]
        text = "".join(texts)
        try:
            if _Split.of(text).fixed == self.fixed:
                return text
        except ValueError:
            pass
        raise ValueError("a mark of a part that may change stands inside of one")

    def check(self, text: str) -> None:
        """Refuse a text in which more is different of the fixed parts than line ends and blanks at the ends of lines.

        Raises:
            ValueError: The message says which line.
        """
        self._compare(_Split.of(text), exactly=False)

    def restored(self, text: str) -> str:
        """Return a text whose fixed parts `check` admits, with those of the frame, byte for byte.

        Raises:
            ValueError: As `check` and `parts`.
        """
        self.check(text)
        text = self.joined(_Split.of(text).free)
        _refuse_strings(text)
        return text

    def refit(self, text: str) -> str:
        """Return a text that a language model wrote, with its free parts in the fixed parts of the frame, byte for byte.

        A text with marks is taken apart at them: whatever it has around is dropped. One without marks stands for the one part
        that may change; what it repeats of the fixed lines around that part is left out, up to blanks and comments. A part that
        is indented by less than belongs there is indented as the marks are, if the program parses so.

        Raises:
            ValueError: It has no marks and there are several parts, or marks that are wrong, or not as many parts; or a mark
                would stand in a string.
        """
        tries = [self.joined(free) for free in self._readings(text)]
        program = next(filter(_parses, tries), tries[0])
        _refuse_strings(program)
        return program

    def _readings(self, text: str) -> Iterator[Sequence[str]]:
        """Yield what the free parts of a text can be, the likeliest first."""
        found, places = _Split.of(text), _indents(self.fixed)
        if found.free:
            if len(found.free) == len(places):
                yield list(map(_shifted, found.free, _indents(found.fixed), places))
            yield found.free
            return
        if len(places) != 1:
            raise ValueError(f"the program has {_parts(len(places))} that may change: repeat the lines of their marks")
        for part, old, new in (_inner(text, self.fixed, places[0]), (text, *_lacking(text, places[0]))):
            yield [_shifted(part, old, new)]
            yield [part]

    def _compare(self, found: _Split, *, exactly: bool) -> None:
        """Refuse fixed parts that are others."""
        if found.fixed == self.fixed:
            return
        starts = found.starts[::2]
        for place, part in enumerate(self.fixed):
            own = found.fixed[place] if place < len(found.fixed) else ""
            start = starts[place] if place < len(starts) else found.lines
            for number, (line, mine) in enumerate(zip_longest(lines_of(part), lines_of(own), fillvalue=""), start=start + 1):
                if line != mine and (exactly or line.rstrip() != mine.rstrip()):
                    raise ValueError(f"line {number} is fixed: {_change(line, mine)}")
        if len(found.fixed) > len(self.fixed):
            number = starts[len(self.fixed)] + 1
            raise ValueError(f"line {number}: the program has {_parts(len(self.fixed) - 1)} that may change, not more")


def agree(seeds: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fixed parts that all seeds have; () where none has marks.

    Args:
        seeds: Texts by name.

    Raises:
        ValueError: Marks that are wrong, or seeds that differ outside of their marks; the message names the seeds and the line.
    """
    frames: dict[str, Frame | None] = {}
    for name, text in seeds.items():
        try:
            frames[name] = Frame.of(text)
        except ValueError as error:
            raise ValueError(f"seed {name!r}, {error}") from error
    first = next(iter(frames), "")
    frame = frames.get(first)
    for name, other in frames.items():
        problem = ""
        if (frame is None) != (other is None):
            problem = f"{(first if frame is None else name)!r} has no marks"
        elif frame is not None:
            try:
                frame.parts(seeds[name])
            except ValueError as error:
                problem = f"in {name!r}, {error}"
        if problem:
            what = f"seeds {first!r} and {name!r} differ in what may not change: {problem}"
            raise ValueError(f"{what}. Mark the same part in all of them, or let all of every seed change")
    return () if frame is None else frame.fixed


def end_at_mark(reply: str) -> int | None:
    """Return where the first mark begins in what a language model writes; None where there is none."""
    length = 0
    for line in lines_of(reply):
        if _MARK.fullmatch(line.rstrip("\r\n")):
            return length
        length += len(line)
    return None


def marks_in(text: str) -> int:
    """Return how many lines of a text are marks, whatever they make together."""
    return sum(_MARK.fullmatch(line.rstrip("\r\n")) is not None for line in lines_of(text))


@dataclass(frozen=True, slots=True)
class _Split:
    """A text taken apart at its marks.

    Attributes:
        fixed: As of a frame; () where there are no marks.
        free: The parts between.
        starts: Index of the first line of each part, fixed and free ones by turns.
        lines: How many the text has.
    """

    fixed: tuple[str, ...]
    free: tuple[str, ...]
    starts: tuple[int, ...]
    lines: int

    @classmethod
    def of(cls, text: str) -> _Split:
        """Take a text apart; ValueError with the line where a mark has no partner."""
        lines = lines_of(text)
        parts, current, starts = list[str](), list[str](), [0]
        opened: int | None = None
        for index, line in enumerate(lines):
            mark = _MARK.fullmatch(line.rstrip("\r\n"))
            if mark is None:
                current.append(line)
            elif (mark["own"] or mark["their"]) in {"begin", "START"}:
                if opened is not None:
                    raise ValueError(f"line {index + 1}: a part that may change begins inside of that of line {opened + 1}")
                parts.append("".join([*current, line]))
                current, opened = [], index
                starts.append(index + 1)
            else:
                if opened is None:
                    raise ValueError(f"line {index + 1}: a part that may change ends, and none has begun")
                parts.append("".join(current))
                current, opened = [line], None
                starts.append(index)
        if opened is not None:
            raise ValueError(f"line {opened + 1}: a part that may change begins and does not end")
        if not parts:
            return cls((), (), (0,), len(lines))
        parts.append("".join(current))
        return cls(tuple(parts[::2]), tuple(parts[1::2]), tuple(starts), len(lines))


def _indents(fixed: Sequence[str]) -> list[str]:
    """Return what stands before the mark that begins each free part."""
    return [_indent(lines_of(part)[-1]) for part in fixed[:-1]]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _shifted(part: str, old: str, new: str) -> str:
    """Return lines with another indentation."""
    if not new.startswith(old) and not old.startswith(new):
        return part  # tabs and blanks: nobody knows how wide a tab is
    lines = lines_of(part)
    return "".join(new + line[len(old) :] if line.strip() and line.startswith(old) else line for line in lines)


def _inner(text: str, fixed: Sequence[str], place: str) -> tuple[str, str, str]:
    """Return what stands between fixed parts that a text repeats without their marks; all of it where it repeats none.

    The second and the third value say from which indentation it must be brought to which.
    """
    lines = lines_of(text)
    above, below = lines_of(fixed[0])[:-1], lines_of(fixed[1])[1:]
    start, old, new = _repeated_above(lines, list(filter(_is_code, above)))
    stop = _repeated_below(lines, start, list(filter(_is_code, below)), old, new)
    part = "".join(lines[start:stop])
    return (part, old, new) if start else (part, *_lacking(part, place))


def _lacking(part: str, place: str) -> tuple[str, str]:
    """Return the indentation of the first line of a part, and the deeper one of its place; twice nothing where it is not."""
    indent = _indent(next(filter(_is_code, lines_of(part)), ""))
    return (indent, place) if len(indent) < len(place) else ("", "")


def _is_code(line: str) -> bool:
    """Whether a line holds more than a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _repeated_above(lines: Sequence[str], above: Sequence[str]) -> tuple[int, str, str]:
    """Return how many lines repeat the end of `above`, and how both are indented.

    A text that does not begin where the program begins must begin with a definition: any other line may stand there in its own
    right.
    """
    places = [place for place, line in enumerate(lines) if _is_code(line)]
    for skipped, first in enumerate(above):
        if skipped and not _HEADER.match(first):
            continue
        count = len(above) - skipped
        same = (lines[place].split() == line.split() for place, line in zip(places, above[skipped:], strict=False))
        if count <= len(places) and all(same):
            return places[count - 1] + 1, _indent(lines[places[0]]), _indent(first)
    return 0, "", ""


def _repeated_below(lines: Sequence[str], start: int, below: Sequence[str], old: str, new: str) -> int:
    """Return the index from which on lines from `start` repeat the beginning of `below`: all of it, if `start` is 0."""
    places = [place for place in range(start, len(lines)) if _is_code(lines[place])]
    for length in range(len(below), 0, -1):
        wanted, last = below[:length], places[-length:]
        if len(last) < length:
            continue
        whole = length == len(below)
        if not whole and not start:
            break
        same = (
            lines[p].split() == want.split() if whole else lines[p].rstrip() == _shifted(want, new, old).rstrip()
            for p, want in zip(last, wanted, strict=True)
        )
        if all(same):
            return last[0]
    return len(lines)


def _refuse_strings(text: str) -> None:
    """Refuse a program in which a mark stands within a string: what is fixed would be no code any more."""
    if not _parses(text):
        return  # whatever it holds, it does not run
    lines = [line.rstrip("\r\n") for line in lines_of(text)]
    tokens = tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline)
    comments = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    for number, line in enumerate(lines, start=1):
        if number not in comments and _MARK.fullmatch(line):
            raise ValueError(f"line {number}: the mark of a part that may change stands within a string")


def _parses(text: str) -> bool:
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def _parts(count: int) -> str:
    return "1 part" if count == 1 else f"{count} parts"


def _change(line: str, mine: str) -> str:
    """Say how a fixed line became another."""
    if line.strip() == mine.strip():
        return f"the blanks or the line end of {line.strip()!r}"
    if not mine.strip():
        return f"{line.strip()!r} is missing"
    return f"{line.strip()!r} became {mine.strip()!r}" if line.strip() else f"{mine.strip()!r} is new"
