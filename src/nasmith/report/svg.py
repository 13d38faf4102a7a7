"""Turns a Matplotlib figure into SVG that stands inside a page: it follows the page's colours and says what each point is."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from nasmith.report.plots import ACCENT, GRID, INK, MUTED, Drawing

__all__ = ["inline_svg"]

_LINK = "{http://www.w3.org/1999/xlink}href"


def inline_svg(drawing: Drawing) -> str:
    """Return the drawing as an `<svg>` element without namespaces, links or fixed text colours. Call it within `styled`."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": drawing.name}):
        drawing.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        for child in list(element):
            if child.tag.endswith("}metadata"):
                element.remove(child)
    for group, tips in drawing.tips.items():
        _add_tips(root, group, tips)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if _LINK in element.attrib:
            element.set("href", element.attrib.pop(_LINK))
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", drawing.title)
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, name in ((INK, "ink"), (MUTED, "muted"), (GRID, "grid"), (ACCENT, "accent")):
        text = text.replace(colour, f"var(--{name})")
    return re.sub(r"'DejaVu Sans'(, [^;\"]*)?", "system-ui, sans-serif", text)


def _add_tips(root: ElementTree.Element, group: str, tips: Sequence[tuple[int, str]]) -> None:
    """Say on each point of a group which candidate it is; Matplotlib draws points in the order in which they came."""
    for element in root.iter():
        if element.get("id") == group:
            points = [child for child in element.iter() if child.tag.endswith("}use")]
            if len(points) != len(tips):  # a wrong name on a point would be worse than none
                return
            for point, (candidate, words) in zip(points, tips, strict=True):
                point.set("data-candidate", str(candidate))
                point.set("data-tip", words)
            return
