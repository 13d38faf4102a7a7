from __future__ import annotations

import pytest

from nasmith.errors import ConfigError
from nasmith.tasks.imagenet.ranges import FLOPS, LATENCY, Range


@pytest.mark.parametrize(
    ("text", "inside", "outside", "words"),
    [
        ("270..330", (270e6, 330.4e6, 269.6e6), (269.4e6, 330.6e6), "270 to 330 M FLOPs"),
        ("..330", (0.0, 330e6), (331e6,), "at most 330 M FLOPs"),
        ("270..", (270e6, 1e12), (269e6,), "at least 270 M FLOPs"),
        (" 320 .. 340.0 ", (320e6, 340e6), (341e6,), "320 to 340 M FLOPs"),
    ],
)
def test_a_value_counts_as_it_is_told(text, inside, outside, words):
    found = Range.parse(FLOPS, text)
    assert all(value in found for value in inside) and not any(value in found for value in outside)
    assert all(found.broken(value) == "" for value in inside) and all(found.broken(value) for value in outside)
    assert found.words() == words
    least, most = found.limits
    assert all(least <= value <= most for value in inside) and not any(least < value < most for value in outside)


def test_what_is_missed_is_told_in_whole_millions():
    found = Range.parse(FLOPS, "270..330")
    assert found.broken(361.74e6) == ("fails the constraint: 362 M FLOPs, 32 M FLOPs above the upper bound of 330 M FLOPs")
    assert found.broken(200e6) == "fails the constraint: 200 M FLOPs, 70 M FLOPs below the lower bound of 270 M FLOPs"


def test_latency_is_told_with_two_decimals():
    assert Range.parse(LATENCY, "..8").broken(8.126) == (
        "fails the constraint: 8.13 ms, 0.13 ms above the upper bound of 8.00 ms"
    )


def test_the_wrong_way_round_is_refused_with_the_right_one():
    with pytest.raises(ConfigError, match=r"nothing lies in '330\.\.270'\. The smaller number comes first: 270\.\.330"):
        Range.parse(FLOPS, "330..270")


@pytest.mark.parametrize("text", ["", "..", "330", "270-330", "a..b", "..."])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ConfigError, match=r'flops is a range in M FLOPs, such as "270\.\.330"'):
        Range.parse(FLOPS, text)
