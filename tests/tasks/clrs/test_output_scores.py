from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("clrs", reason='the extra is not installed: pip install "nasmith[clrs]"')

from nasmith.tasks.clrs.algorithm_samples import Wanted, draw
from nasmith.tasks.clrs.clrs_recipes import ALGORITHMS, STRINGS
from nasmith.tasks.clrs.output_scores import best_point, compare, scores
from nasmith.types import Outcome, Status


def outcome(**arrays):
    return Outcome(Status.OK, {f"predictions/val/{name}": value for name, value in arrays.items()})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_right_outputs_score_one_for_every_algorithm(algorithm):
    outputs = draw(Wanted(algorithm, 8 if algorithm in STRINGS else 5, 4, seed=0)).outputs
    right = {name: np.abs(value)[None].astype(np.float32) for name, value in outputs.items()}  # -1 masks an output
    assert scores(outcome(**right), "val", outputs, algorithm, 1) == [pytest.approx(1.0)]


def test_wrong_outputs_score_less():
    outputs = draw(Wanted("bfs", 6, 8, seed=0)).outputs
    values = np.stack([np.zeros_like(outputs["pi"]), outputs["pi"]])
    found = scores(outcome(pi=values), "val", outputs, "bfs", 2)
    assert found[0] < found[1] == 1.0 and best_point(found) == 1


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "predictions of nothing, not of"),
        ({"other": np.zeros((1, 8, 6))}, r"predictions of \['other'\]"),
        ({"pi": np.zeros((1, 8, 5))}, r"shape \(points, 8, 6\)"),
        ({"pi": np.full((1, 8, 6), np.nan)}, "not finite"),
        ({"pi": np.zeros((1, 8, 6), dtype=object)}, "not finite"),
        ({"pi": [[0]]}, "not finite"),
        ({"pi": np.zeros((3, 8, 6))}, "1 to 2"),
        ({"pi": np.zeros((0, 8, 6))}, "1 to 2"),
    ],
)
def test_other_arrays_are_refused(arrays, said):
    outputs = draw(Wanted("bfs", 6, 8, seed=0)).outputs
    with pytest.raises(ValueError, match=said):
        scores(outcome(**arrays), "val", outputs, "bfs", 2)


def test_two_accounts_must_agree():
    one, other = outcome(pi=np.zeros((1, 10, 10))), outcome(pi=np.ones((1, 10, 10)))
    compare(one, one, 0, ["pi"])
    with pytest.raises(ValueError, match="other values for 100% of pi"):
        compare(one, other, 0, ["pi"])
