from __future__ import annotations

import pytest

from nasmith.against_seed import AgainstSeed, Standing
from nasmith.report.against import basis, change, findings, trade_off_rows
from nasmith.types import Candidate, Objective

ERROR, PARAMS, SCORE = Objective("val_error", "minimize"), Objective("params", "minimize"), Objective("score", "maximize")


def standing(number: int, params: float, error: float, half: float | None = None, *, flagged: bool = False) -> Standing:
    intervals = {} if half is None else {"val_error": half, "params": 0.0}
    label = "mlp" if number == 1 else ""
    metrics = {"params": params, "val_error": error, "test_error": error + 0.01}
    return Standing(Candidate(number, "", label=label), metrics, intervals, 1 if half is None else 3, flagged)


@pytest.mark.parametrize(
    ("value", "reference", "text"),
    [
        (60, 100, "-40%"),
        (101, 100, "+1%"),
        (99.9, 100, "-0.10%"),
        (5000, 100, "50 times"),
        (5, 5, "the same"),
        (0.5, 0, "+0.5"),
        (-1, -2, "+1"),  # no percentages of what is below zero
        (-1, 2, "-3"),
    ],
)
def test_a_change_is_in_percent_where_that_means_something(value: float, reference: float, text: str) -> None:
    assert change(value, reference) == text


def test_what_was_found_is_said_with_its_changes_and_whether_the_intervals_overlap() -> None:
    seed, small, good = standing(1, 100, 0.2, 0.01), standing(2, 50, 0.195, 0.01), standing(3, 90, 0.1, 0.01, flagged=True)
    item = AgainstSeed(seed, ERROR, PARAMS, True, 5, small, good, (small, good))
    assert findings(item) == [
        (
            "lowest params, val error no worse",
            "#2: params 50 (-50%), val error 0.1950 (-3%); the 95% intervals of val error overlap",
        ),
        (
            "lowest val error, params no worse",
            "#3: params 90 (-10%), val error 0.1000 (-50%); the 95% intervals of val error do not overlap; flagged: its test "
            "score is much worse",
        ),
    ]
    assert basis(item) == "by validation data, means over 3 trainings with new seeds"


def test_nothing_found_is_said_and_so_is_what_it_rests_on() -> None:
    item = AgainstSeed(standing(1, 100, 0.2), ERROR, PARAMS, False, 1, None, None, ())
    assert [text for _, text in findings(item)] == [
        "none of 1 child has better params at no worse val error",
        "none of 1 child has better val error at no worse params",
    ]
    assert "what the search saw" in basis(item)


def test_one_objective_has_one_line() -> None:
    seed, best = Standing(Candidate(1, ""), {"score": 0.5}), Standing(Candidate(2, ""), {"score": 0.6})
    assert findings(AgainstSeed(seed, SCORE, None, False, 3, None, best, (best,))) == [
        ("highest score", "#2: score 0.6000 (+20%)")
    ]


def test_rows_stand_below_the_seed_with_intervals_and_the_test_twin() -> None:
    seed, child = standing(1, 100, 0.2, 0.01), standing(2, 50, 0.1, 0.02)
    headings, rows = trade_off_rows(AgainstSeed(seed, ERROR, PARAMS, True, 5, child, child, (child,)), (PARAMS, ERROR))
    assert headings == ["model", "params", "val error", "test error"]
    assert rows == [
        ["#1 mlp", "100", "0.2000 [0.1900, 0.2100]", "0.2100"],
        ["#2", "50 (-50%)", "0.1000 [0.0800, 0.1200] (-50%)", "0.1100 (-48%)"],
    ]
