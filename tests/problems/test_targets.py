from __future__ import annotations

import numpy as np
import pytest

from nasmith.problems import Classification, DataError, Regression, Splits

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 3
COLUMNS = np.random.default_rng(1).normal(size=(12, 2))


def said(problem, train=Y, val=Y, test=Y) -> str:
    with pytest.raises(DataError) as caught:
        Splits((X, train), (X, val), (X, test)).check(problem)
    return str(caught.value)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (
            {"train": np.array(["cat", "dog", "emu"])[Y]},
            "train: labels are of type <U3 ('cat', …): turn them into whole numbers",
        ),
        ({"val": Y * 1.0}, "val: labels are of type float32 (0.0, …): turn them into integers with y.astype('int64')"),
        ({"val": Y + 0.25}, "val: y holds 0.25 in row 0, which is no label; where y is to be numbers"),
        ({"train": Y + 1}, "train: the labels go up to 3, but 0 is missing: turn them"),
        ({"train": Y * 2, "val": Y * 2}, "train: the labels go up to 4, but 1, 3 are missing: turn them"),
        ({"train": Y % 2}, "val: y holds 1 label that train does not: 2, the first in row 2: put such rows into train"),
        ({"test": -Y}, "test: y holds the label -2, the first time in row 2; labels count from 0: turn them"),
        ({"train": Y * 0}, "train: y holds the label 0 alone, so there is nothing to tell apart"),
        ({"test": np.eye(3, dtype=int)[Y]}, "test: y has shape (12, 3), and labels must have shape (n,)"),
    ],
)
def test_what_is_wrong_with_labels_is_told_with_its_place_and_a_remedy(labels, words):
    assert said(Classification(), **labels).startswith(words)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"train": COLUMNS[:, :, None]}, "train: y has shape (12, 2, 1); it must be (n,), or (n, k)"),
        ({"val": COLUMNS[:, :1]}, "val: y has shape (12, 1), and that of train (12, 2): make them alike"),
        ({"test": COLUMNS * [1, 0]}, "test: column 1 of y holds 0 in all 12 rows; R2 is not defined there: leave it out"),
        ({"train": np.full((12, 2), "a")}, "train: y holds 'a', … of type <U1; these targets must be numbers"),
    ],
)
def test_what_is_wrong_with_numbers_is_told_with_its_place_and_a_remedy(numbers, words):
    assert said(Regression(), **{name: COLUMNS for name in ("train", "val", "test")} | numbers).startswith(words)


def test_a_very_large_label_is_told_without_listing_all_that_are_missing():
    assert "0, 3, 4, 5, 6, …" in said(Classification(), train=np.array([1, 2, 10**9] * 4))
