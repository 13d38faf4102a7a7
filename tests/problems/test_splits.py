from __future__ import annotations

import numpy as np
import pytest
import torch

from nasmith.problems import Classification, DataError, Splits

X = np.random.default_rng(0).normal(size=(900, 4))
Y = np.arange(900) % 3


def check(**parts) -> None:
    whole = {name: (X, Y) for name in ("train", "val", "test")}
    Splits(**whole | parts).check(Classification())


def changed(row, value):
    x = X.copy()
    x[row] = value
    return x


def test_lists_tensors_and_arrays_become_arrays_of_two_types():
    splits = Splits(
        train=([[1, 2], [3, 4]], torch.tensor([0, 1], dtype=torch.int32)),
        val=(torch.ones(2, 2, dtype=torch.bfloat16), [0.5, 1]),
        test=(np.ones((2, 2), np.uint8), np.array([True, False])),
    )
    types = [array.dtype for part in splits.parts().values() for array in part]
    assert types == [np.int64, np.int64, np.float32, np.float32, np.float32, np.int64]


def test_a_random_split_takes_every_row_once_in_an_order_of_the_seed():
    first, again, other = (Splits.random(X, np.arange(900), val=0.2, test=90, seed=seed) for seed in (1, 1, 2))
    assert [len(y) for _, y in first.parts().values()] == [630, 180, 90]
    assert sorted(np.concatenate([y for _, y in first.parts().values()])) == list(range(900))
    assert np.array_equal(first.val[1], again.val[1]) and not np.array_equal(first.val[1], other.val[1])
    assert np.array_equal(first.val[0], X.astype(np.float32)[first.val[1]])


def test_a_stratified_split_gives_each_part_its_share_of_each_label():
    y = np.repeat([0, 1, 2], [700, 180, 20])
    splits = Splits.random(X, y, val=0.1, test=0.2, stratify=True)
    assert [np.bincount(labels).tolist() for _, labels in splits.parts().values()] == [
        [490, 126, 14],
        [70, 18, 2],
        [140, 36, 4],
    ]


def test_an_ordered_split_keeps_time():
    splits = Splits.ordered(X, np.arange(900), val=0.1, test=0.2)
    assert [(y[0], y[-1], len(y)) for _, y in splits.parts().values()] == [(0, 629, 630), (630, 719, 90), (720, 899, 180)]


@pytest.mark.parametrize("make", [Splits.random, Splits.ordered])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"val": 0.0001}, "val would be empty"),
        ({"val": 0.5, "test": 0.5}, "train would be empty"),
        ({"val": 2000}, "train would be empty"),
        ({"val": 0}, "val and test must be shares"),
    ],
)
def test_a_part_cannot_be_empty(make, options, said):
    with pytest.raises(DataError, match=said):
        make(X, Y, **options)


def test_inputs_are_standardised_by_the_training_inputs_alone():
    pictures = np.random.default_rng(1).normal([[[[3.0]], [[-5.0]]]], [[[[2.0]], [[7.0]]]], size=(50, 2, 4, 4))
    splits = Splits((pictures, Y[:50]), (pictures + 2, Y[:50]), (pictures, Y[:50])).standardized()
    assert splits.train[0].mean(axis=(0, 2, 3)) == pytest.approx([0, 0], abs=1e-5)
    assert splits.train[0].std(axis=(0, 2, 3)) == pytest.approx([1, 1], abs=1e-5)
    assert splits.val[0].mean(axis=(0, 2, 3)) == pytest.approx(2 / pictures.std(axis=(0, 2, 3)), rel=1e-4)
    assert splits.val[0].dtype == np.float32


def test_a_feature_that_never_changes_becomes_0():
    x = changed(slice(None), [1.0, 2.0, 3.0, 4.0])
    assert not Splits((x, Y), (x, Y), (x, Y)).standardized().test[0].any()


def test_tokens_are_not_standardised():
    with pytest.raises(DataError, match="train: x is of type int64"):
        Splits(*[(np.ones((3, 2), int), [0, 1, 2])] * 3).standardized()


def test_training_inputs_that_come_again_are_counted():
    splits = Splits((X[:600], Y[:600]), (X[590:700], Y[590:700]), (X[700:], Y[700:]))
    assert splits.overlaps() == {"val": 10, "test": 0}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"train": (changed(slice(17, 29), np.nan), Y)},
            r"train: x holds NaN in 12 of 900 rows, the first is row 17: drop or fill them in data\(\)",
        ),
        (
            {"test": (changed(3, 1e300), Y)},
            "test: x holds infinite numbers .* in 1 of 900 rows, the first is row 3: drop, clip",
        ),
        ({"val": (X[:5], Y)}, "val: x has 5 rows and y has 900: each input needs its target"),
        ({"val": (X[:0], Y[:0])}, r"val: x has shape \(0, 4\), so there is nothing in it"),
        ({"val": (X[:, :3], Y)}, r"val: .*\(3,\).*\(4,\).*make them alike"),
        ({"val": (X.astype(int), Y)}, "val: x is of type int64"),
        ({"train": (X[:, 0], Y)}, r"train: x has shape \(900,\); .*x\[:, None\]"),
        ({"train": (X.astype(object), Y)}, "train: x is of type object .*inputs must be numbers"),
        ({"train": (3, Y)}, "train: x is a single value"),
    ],
)
def test_what_is_wrong_with_inputs_is_told_with_its_place_and_a_remedy(parts, said):
    with pytest.raises(DataError, match=said):
        check(**parts)


def test_negative_tokens_are_refused():
    tokens = (np.array([[0, 1], [5, -1], [2, 2]]), [0, 1, 2])
    with pytest.raises(DataError, match="one is -1; the first below 0 is in row 1"):
        Splits(tokens, tokens, tokens).check(Classification())


@pytest.mark.parametrize("part", [X, (X,), [X, Y, Y], 3])
def test_a_part_that_is_no_pair_is_refused_at_once(part):
    with pytest.raises(DataError, match=r"val must be a pair \(x, y\), got .*: write val=\(x, y\)"):
        Splits(train=(X, Y), val=part, test=(X, Y))


def test_rows_of_several_lengths_are_refused_with_a_remedy():
    with pytest.raises(DataError, match=r"train: x cannot be made an array .*padding"):
        Splits(([[1], [1, 2]], [0, 1]), (X, Y), (X, Y))


def test_right_data_passes():
    check()
