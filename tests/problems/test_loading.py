import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset

from nasmith.problems import DataError
from nasmith.problems.loading import from_loaders

X, Y = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20) % 2


def dataset(start, stop):
    return TensorDataset(torch.from_numpy(X[start:stop]), torch.from_numpy(Y[start:stop]))


def sizes(splits):
    return [len(part[0]) for part in (splits.train, splits.val, splits.test)]


def test_loaders_data_sets_and_arrays_are_read():
    loaders = tuple(DataLoader(dataset(*span), batch_size=4) for span in ((0, 12), (12, 16), (16, 20)))
    splits = from_loaders(loaders)
    assert sizes(splits) == [12, 4, 4] and (splits.test[0] == X[16:]).all() and (splits.test[1] == Y[16:]).all()
    assert sizes(from_loaders((dataset(0, 10), dataset(10, 15), dataset(15, 20)))) == [10, 5, 5]
    assert sizes(from_loaders({"train": (X[:10], Y[:10]), "valid": (X[10:12], Y[10:12]), "test": (X[12:], Y[12:])})) == [
        10,
        2,
        8,
    ]


def test_what_is_missing_is_split_off():
    assert sizes(from_loaders((X, Y), val=0.2, test=0.1)) == [14, 4, 2]
    assert sizes(from_loaders(dataset(0, 20), val=0.2, test=0.1)) == [14, 4, 2]
    two = from_loaders((DataLoader(dataset(0, 16), batch_size=5), DataLoader(dataset(16, 20), batch_size=5)), val=0.25)
    assert sizes(two) == [12, 4, 4] and (two.test[0] == X[16:]).all()


def test_of_a_mapping_what_is_missing_is_split_off_the_training_part():
    named = from_loaders({"train": (X[:16], Y[:16]), "val": (X[16:], Y[16:])}, test=0.25)
    assert sizes(named) == [12, 4, 4] and (named.val[0] == X[16:]).all()
    assert sizes(from_loaders({"train": (X[:16], Y[:16]), "test": (X[16:], Y[16:])}, val=0.25)) == [12, 4, 4]


def test_a_loader_that_shuffles_gives_the_same_rows_each_time():
    shuffled = DataLoader(dataset(0, 20), batch_size=3, shuffle=True, drop_last=True)
    before = torch.get_rng_state()
    first, second = from_loaders((shuffled, (X, Y))), from_loaders((shuffled, (X, Y)))
    assert (first.train[0] == second.train[0]).all() and (first.val[0] == second.val[0]).all()
    assert sizes(first) == [17, 3, 20]  # the rows of the last batch too
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loader_of_a_subset_gives_the_subset_alone():
    parts = [[5, 3, 1], [0, 2], [7, 9]]
    loaders = [DataLoader(dataset(0, 20), batch_size=2, sampler=SubsetRandomSampler(rows)) for rows in parts]
    splits = from_loaders(loaders)
    assert (splits.train[0] == X[[1, 3, 5]]).all() and (splits.test[0] == X[[7, 9]]).all()


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"trian": 1}, "a mapping with train, val and test is needed; its keys are trian"),
        ([({"ids": 1}, 0)], "a mapping with the keys ids"),
        (DataLoader([(torch.zeros(n + 1), 0) for n in range(4)], batch_size=1), "its items have different shapes; pad or cut"),
        (3, "train: a DataLoader, a data set or a pair of arrays is needed, got int"),
        ([1.0, 2.0, 3.0], "train: a DataLoader"),
        (DataLoader(TensorDataset(torch.from_numpy(X)), batch_size=4), "train: each item must be an input and a target"),
    ],
)
def test_what_is_no_data_says_what_is_needed(result, reason):
    with pytest.raises(DataError, match=reason):
        from_loaders(result)
