from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import matplotlib
import pytest

from nasmith import analysis
from nasmith.protocols import Storage
from nasmith.report.plots import STATUS_COLOURS, draw_all, styled
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Objective, Status


@pytest.fixture
def records(recorded_storage: Storage) -> analysis.Records:
    return analysis.read(recorded_storage, "quiet-otter")


def test_a_finished_run_has_all_drawings(records: analysis.Records) -> None:
    with styled():
        drawings = draw_all(records, Mnist1d())
    assert [drawing.name for drawing in drawings] == ["pareto", "trade-off", "progress", "statuses", "tuning"]


def test_the_front_names_the_seeds_and_uses_a_logarithmic_size(records: analysis.Records) -> None:
    with styled():
        front = draw_all(records, Mnist1d())[0]
    (axes,) = front.figure.axes
    assert axes.get_xscale() == "log"
    assert {text.get_text() for text in axes.texts} == {"gru", "large_cnn", "mlp", "reference_cnn"}
    assert len(front.tips["verified"]) == 5


def remeasured(records: analysis.Records, change: Callable[[dict[str, float]], dict[str, float]]) -> analysis.Records:
    """Return the records with other metrics."""
    evaluations = [replace(e, metrics=change(dict(e.metrics))) if e.metrics else e for e in records.evaluations]
    return replace(records, evaluations=tuple(evaluations))


class Other(Mnist1d):
    """A size that may be negative, on a logarithmic axis, and a score that is maximised."""

    objectives = (Objective("params", "minimize", log=True), Objective("val_score", "maximize"))

    def fitness(self, metrics: Mapping[str, float]) -> float:
        return metrics["val_score"]


def test_values_below_zero_are_drawn_though_the_axis_was_to_be_logarithmic(records: analysis.Records) -> None:
    moved = remeasured(records, lambda m: {**m, "params": m["params"] - 6000})
    with styled():
        front, trade_off, *_ = draw_all(moved, Mnist1d())
    assert front.figure.axes[0].get_xscale() == trade_off.figure.axes[0].get_xscale() == "linear"
    assert front.figure.axes[0].get_xlim()[0] < -5000


def test_a_maximised_score_is_drawn_with_the_best_at_the_top_and_the_worst_children_outside(records: analysis.Records) -> None:
    def change(m: dict[str, float]) -> dict[str, float]:
        scores = {"val_score": -m["val_error"]} | ({"test_score": -m["test_error"]} if "test_error" in m else {})
        return {"params": m["params"], "fitness": m["fitness"], **scores}

    hopeless = next(e for e in records.evaluations if e.candidate > 4 and e.status is Status.OK and e.purpose == "search")
    moved = remeasured(records, change)
    moved = replace(
        moved,
        evaluations=tuple(
            replace(e, metrics={**e.metrics, "val_score": -80.0, "params": 2e6})
            if (e.candidate, e.purpose) == (hopeless.candidate, "search")
            else e
            for e in moved.evaluations
        ),
    )
    with styled():
        front, trade_off, *_ = draw_all(moved, Other())
    (axes,) = front.figure.axes
    assert axes.get_ylim()[1] > -0.1 and axes.get_ylim()[0] > -1
    assert "toward the upper left is better" in front.text and "outside the frame: 1 child" in front.text
    assert "toward the upper left is better" in trade_off.text


def test_the_trade_off_holds_seeds_and_children_with_their_intervals(records: analysis.Records) -> None:
    with styled():
        trade_off = draw_all(records, Mnist1d())[1]
    assert {number for number, _ in trade_off.tips["to-seeds"]} == {1, 2, 3, 4} and len(trade_off.tips["to-children"]) == 5
    assert all("[" in words for _, words in trade_off.tips["to-seeds"])
    assert "95% confidence intervals" in trade_off.text


def test_a_candidate_whose_objective_was_not_measured_is_left_out(records: analysis.Records) -> None:
    checked = {e.candidate for e in records.evaluations if e.purpose == "verify"}
    first = next(e.candidate for e in records.evaluations if e.candidate not in checked and e.status is Status.OK)
    lacking = tuple(
        replace(e, metrics={k: v for k, v in e.metrics.items() if k != "params"}) if e.candidate == first else e
        for e in records.evaluations
    )
    with styled():
        front = draw_all(replace(records, evaluations=lacking), Mnist1d())[0]
    assert first not in {number for group in front.tips.values() for number, _ in group}


def test_one_objective_has_no_front_and_its_own_name(records: analysis.Records) -> None:
    class Lone(Mnist1d):
        objectives = (Objective("combined_score", "maximize"),)

        def fitness(self, metrics: Mapping[str, float]) -> float:
            return metrics["combined_score"]

    moved = remeasured(records, lambda m: {"combined_score": m["fitness"], "fitness": m["fitness"]})
    with styled():
        drawings = draw_all(moved, Lone())
    assert [drawing.name for drawing in drawings] == ["progress", "statuses", "tuning"]
    assert drawings[0].figure.axes[0].get_ylabel() == "combined score (higher is better)"
    assert all("fitness" not in words for _, words in drawings[0].tips["progress-children"])


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
