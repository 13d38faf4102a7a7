from __future__ import annotations

from dataclasses import replace

import matplotlib
import pytest

from nasmith import analysis
from nasmith.protocols import Storage
from nasmith.report.plots import STATUS_COLOURS, draw_all, styled
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Status


@pytest.fixture
def records(recorded_storage: Storage) -> analysis.Records:
    return analysis.read(recorded_storage, "quiet-otter")


def test_a_finished_run_has_all_four_drawings(records: analysis.Records) -> None:
    with styled():
        drawings = draw_all(records, Mnist1d())
    assert [drawing.name for drawing in drawings] == ["pareto", "progress", "statuses", "tuning"]


def test_the_front_names_the_seeds_and_uses_a_logarithmic_size(records: analysis.Records) -> None:
    with styled():
        front = draw_all(records, Mnist1d())[0]
    (axes,) = front.figure.axes
    assert axes.get_xscale() == "log"
    assert {text.get_text() for text in axes.texts} == {"gru", "large_cnn", "mlp", "reference_cnn"}
    assert len(front.tips["verified"]) == 5


def test_a_run_without_children_leaves_drawings_out(records: analysis.Records) -> None:
    seeds = {i: candidate for i, candidate in records.candidates.items() if candidate.operator == "seed"}
    evaluations = tuple(e for e in records.evaluations if e.candidate in seeds and e.purpose == "search")
    with styled():
        drawings = draw_all(replace(records, candidates=seeds, evaluations=evaluations, tunings={}), Mnist1d())
    assert [drawing.name for drawing in drawings] == ["pareto"]


def test_every_status_has_a_colour_of_its_own() -> None:
    assert len({STATUS_COLOURS[status] for status in Status}) == len(Status)


def test_the_process_keeps_its_own_style() -> None:
    before = matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.fonttype"]
    with styled():
        assert matplotlib.rcParams["svg.fonttype"] == "none"
    assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.fonttype"]) == before
