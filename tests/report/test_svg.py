from __future__ import annotations

from xml.etree import ElementTree

from nasmith import analysis
from nasmith.protocols import Storage
from nasmith.report.plots import INK, draw_all, styled
from nasmith.report.svg import inline_svg
from nasmith.tasks.mnist1d import Mnist1d


def test_every_point_says_which_candidate_it_is_at_its_own_place(recorded_storage: Storage) -> None:
    records = analysis.read(recorded_storage, "quiet-otter")
    with styled():
        front = draw_all(records, Mnist1d())[0]
        root = ElementTree.fromstring(inline_svg(front))
    points = [element for element in root.iter("use") if element.get("data-candidate")]
    assert len(points) == sum(len(tips) for tips in front.tips.values()) > 20
    scored = {item.candidate.id: item for item in analysis.scored(records)}
    seeds = [p for p in points if records.candidates[int(p.get("data-candidate", 0))].operator == "seed"]
    by_size = sorted(seeds, key=lambda p: scored[int(p.get("data-candidate", 0))].evaluation.metrics["params"])
    assert [float(p.get("x", 0)) for p in by_size] == sorted(float(p.get("x", 0)) for p in seeds)


def test_the_drawing_needs_no_network_and_follows_the_pages_colours(recorded_storage: Storage) -> None:
    records = analysis.read(recorded_storage, "quiet-otter")
    with styled():
        texts = [inline_svg(drawing) for drawing in draw_all(records, Mnist1d())]
    for text in texts:
        assert text.startswith("<svg") and "http" not in text and "xmlns" not in text
        assert INK not in text and "var(--ink)" in text
