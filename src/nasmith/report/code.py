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
    """Split at line feeds alone: what else ends a line for Python would not for Pygments."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")


def _highlighted(lines: list[str]) -> list[str]:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    html: str = highlight("\n".join(lines) + "\n", PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return html.removesuffix("\n").split("\n")


def side_by_side(left: str, right: str) -> list[Row]:
    """Return the lines of two programs, the equal ones next to each other."""
    texts = _lines(left), _lines(right)
    shown = _highlighted(texts[0]), _highlighted(texts[1])
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
