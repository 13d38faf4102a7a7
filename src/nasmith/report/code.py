"""Shows a program beside its parent, with syntax colours and marks where they differ. All text is escaped by Pygments."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["Row", "side_by_side", "stylesheet"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison: HTML of both sides (None where there is no line), and whether they differ."""

    left: str | None
    right: str | None
    changed: bool


def _lines(text: str) -> list[str]:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    lexer = PythonLexer(stripnl=False, ensurenl=True)
    html: str = highlight(text.rstrip() + "\n", lexer, HtmlFormatter(nowrap=True))
    return html.splitlines()


def side_by_side(left: str, right: str) -> list[Row]:
    """Return the lines of two programs, the equal ones next to each other."""
    texts = left.rstrip().splitlines(), right.rstrip().splitlines()
    shown = _lines(left), _lines(right)
    if [len(side) for side in shown] != [len(side) for side in texts]:  # other line ends inside strings: mark nothing
        texts = shown
    rows = []
    for kind, i, j, k, m in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
        for step in range(max(j - i, m - k)):
            rows.append(
                Row(
                    shown[0][i + step] if i + step < j else None,
                    shown[1][k + step] if k + step < m else None,
                    changed=kind != "equal",
                )
            )
    return rows


def stylesheet() -> str:
    """Return the CSS of the syntax colours, light and dark."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="friendly").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n.code {{ background: none }}\n"
