import numpy as np
import pytest

from folder_toys import write_folder
from nasmith.tasks.folder.definition import Definition
from nasmith.tasks.folder.scoring import Scoring, check_clock, compare
from nasmith.types import Outcome, Status


@pytest.fixture(scope="module")
def scoring(tmp_path_factory):
    return Scoring(Definition(write_folder(tmp_path_factory.mktemp("scoring") / "t")))


def logits(scoring, wrong):
    targets = scoring.definition.splits.val[1]
    chosen = targets.copy()
    chosen[:wrong] = (chosen[:wrong] + 1) % 3
    return np.eye(3, dtype=np.float32)[chosen]


def test_the_best_of_several_points_is_found_and_the_first_of_equals(scoring):
    outcome = Outcome(Status.OK, {"outputs/val": np.stack([logits(scoring, wrong) for wrong in (9, 3, 6, 3)])})
    best, points = scoring.best_point(outcome)
    assert best == 1 and points.shape == (4, 60, 3)
    assert scoring.measured("val", points[1])["error"] == pytest.approx(3 / 60)


def test_outputs_may_differ_by_rounding_for_a_few_inputs():
    found = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    compare(found * 1.001, found)
    few = found.copy()
    few[0] += 5
    compare(few, found)
    many = found.copy()
    many[:5] += 5
    with pytest.raises(ValueError, match="other outputs for 5% of the validation inputs"):
        compare(many, found)


@pytest.mark.parametrize(("told", "seconds", "believed"), [(1.0, 1.5, True), (1.0, 6.9, True), (1.0, 7.1, False)])
def test_a_clock_may_run_a_little_behind(told, seconds, believed):
    outcome = Outcome(Status.OK, facts={"clock_seconds": told}, seconds=seconds)
    if believed:
        check_clock(outcome)
    else:
        with pytest.raises(ValueError, match="cannot be believed"):
            check_clock(outcome)
    check_clock(Outcome(Status.OK, seconds=100.0))  # nothing was timed
