import math

import pytest

from nasmith.tasks.foreign.combined_score import NoScoreError, combined, numbers, passes


def test_the_score_is_the_named_one_or_the_mean_of_the_numbers():
    assert combined({"combined_score": 0.25, "other": 9.0}) == 0.25
    assert combined({"a": 1.0, "b": 2.0, "flag": True, "text": "x", "odd": math.nan}) == 1.5
    assert combined({"a": 1.0, "size": 9.0}, dimensions=["size"]) == 1.0


def test_only_finite_numbers_are_metrics():
    assert numbers({"a": 1, "b": math.inf, "c": True, "d": "x", "e": None}) == {"a": 1.0}


def test_a_threshold_is_passed_by_the_score():
    assert passes({"combined_score": 0.5}, 0.5) and not passes({"combined_score": 0.4}, 0.5)


@pytest.mark.parametrize("metrics", [{}, {"combined_score": "high"}, {"combined_score": math.nan}, {"note": "x"}])
def test_what_is_no_score_is_refused(metrics):
    with pytest.raises(NoScoreError):
        combined(metrics)
