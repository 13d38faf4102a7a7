from __future__ import annotations

import pytest

from nasmith.report.wording import (
    clip,
    containment,
    counts,
    designs_only,
    dollars,
    duration,
    looked_up,
    metrics,
    number,
    plural,
    shows_fitness,
    with_spread,
    words,
)
from nasmith.types import Objective, Status


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5210.0, "5,210"),
        (0.0764, "0.0764"),
        (0, "0"),
        (-396.2, "-396"),
        (12.345, "12.35"),
        (1e-6, "1.0e-06"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_read_well(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (42.4, "0:42"), (723, "12:03"), (3723, "1:02:03"), (-1, "0:00")])
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.5, "$0.500"), (0.01234, "$0.0123"), (2e-5, "$0.0000200"), (1e-9, "<$0.000001")],
)
def test_small_sums_of_money_keep_their_digits(value: float, text: str) -> None:
    assert dollars(value) == text


def test_plurals_know_the_irregular_ones() -> None:
    assert [plural(1, "child"), plural(2, "child"), plural(3, "reply"), plural(1200, "step")] == [
        "1 child", "2 children", "3 replies", "1,200 steps",
    ]  # fmt: skip


def test_metrics_name_the_objectives_that_are_there() -> None:
    objectives = (Objective("params", "minimize"), Objective("val_error", "minimize"), Objective("missing", "minimize"))
    assert metrics({"params": 4210.0, "val_error": 0.062}, objectives) == "4,210 params, val error 0.0620"


def test_only_what_is_counted_stands_before_its_name() -> None:
    objectives = (Objective("score", "maximize"), Objective("flops", "minimize"))
    assert metrics({"score": -12.0, "flops": 1500.0}, objectives) == "score -12, 1,500 flops"


def test_one_objective_alone_is_its_own_fitness() -> None:
    lone, other = Objective("score", "maximize"), Objective("params", "minimize")
    assert (shows_fitness([lone]), shows_fitness([lone, other])) == (False, True)


def test_counts_follow_the_order_of_statuses_and_skip_zeros() -> None:
    assert counts({Status.INVALID: 3, Status.OK: 12, Status.OOM: 0}) == "ok 12, invalid 3"


def test_containment_warns_only_where_nothing_holds_a_candidate() -> None:
    assert "with your rights" in containment({"executor": {"name": "inline", "options": {}}})
    assert "can read your files" in containment({"executor": {"name": "processes", "options": {"sandbox": "off"}}})
    assert containment({"executor": {"name": "processes", "options": {"sandbox": "bwrap"}}}) == ""
    assert containment({}) == ""


def test_clip_keeps_one_line_within_the_width() -> None:
    assert clip("a\n  b", 10) == "a b"
    assert clip("abcdefgh", 5) == "abcd…"


def test_spread_and_words() -> None:
    assert with_spread(0.081, 0.001) == "0.0810 ± 0.0010"
    assert words("val_error") == "val error"


@pytest.mark.parametrize(
    ("task", "designs", "looked"),
    [("mnist1d", False, False), ("nasbench-macro", True, True), ("imagenet-mobile", True, False), ("gone", False, False)],
)
def test_what_candidates_are_is_known_by_the_task(task, designs, looked):
    config = {"task": {"name": task, "options": {}}}
    assert (designs_only(config), looked_up(config)) == (designs, looked)
