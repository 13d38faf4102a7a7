from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

from nasmith.errors import UsageError
from nasmith.problems import DataError, Regression, Splits


@pytest.fixture(scope="module")
def splits():
    return Splits.random(*load_diabetes(return_X_y=True))


def test_what_models_learn_has_mean_0_and_deviation_1_in_training(splits):
    problem = Regression().fitted(splits)
    y = torch.from_numpy(splits.train[1])
    assert float(problem.loss(torch.zeros(len(y), 1), y)) == pytest.approx(1.0, rel=1e-4)
    assert problem.mean == pytest.approx((splits.train[1].mean(),)) and problem.sd == pytest.approx((splits.train[1].std(),))


def test_scores_are_in_the_targets_own_unit(splits):
    problem, y = Regression().fitted(splits), splits.val[1]
    shifted = ((y + 10 - problem.mean[0]) / problem.sd[0]).astype(np.float32)[:, None]
    assert problem.score(shifted, y)["mae"] == pytest.approx(10, rel=1e-4)
    assert problem.score(shifted, y)["rmse"] == pytest.approx(10, rel=1e-4)


def test_always_saying_the_mean_has_the_error_1():
    x, y = np.zeros((4, 1)), np.array([1.0, 2.0, 3.0, 4.0])
    problem = Regression().fitted(Splits((x, y), (x, y), (x, y)))
    assert problem.score(np.zeros((4, 1), np.float32), y)["error"] == pytest.approx(1.0)


def test_without_standardising_outputs_are_the_targets(splits):
    problem, y = Regression(standardize=False).fitted(splits), splits.val[1]
    assert problem.score(y[:, None], y) == {"error": 0.0, "rmse": 0.0, "mae": 0.0}
    assert float(problem.loss(torch.from_numpy(y[:, None]), torch.from_numpy(y))) == 0.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mse", (2.75**2 + 0.25**2) / 2), ("mae", (2.75 + 0.25) / 2), ("huber", ((2.75 - 0.5) + 0.25**2 / 2) / 2)],
)
def test_losses_by_name(name, expected):
    loss = Regression(name, standardize=False).loss(torch.tensor([[2.75], [0.25]]), torch.zeros(2))
    assert float(loss) == pytest.approx(expected)


def test_whole_numbers_are_targets_too():
    x, y = np.zeros((4, 1)), np.arange(4)
    splits = Splits((x, y), (x, y), (x, y))
    splits.check(Regression())
    assert float(Regression(standardize=False).loss(torch.zeros(4, 1), torch.from_numpy(splits.train[1]))) == 14 / 4


def test_targets_of_some_columns_have_as_many_outputs():
    x, y = np.zeros((4, 1)), np.random.default_rng(0).normal(size=(4, 3))
    splits = Splits((x, y), (x, y), (x, y))
    assert Regression().output_shape(splits) == (3,) and Regression().fitted(splits).outputs == 3
    with pytest.raises(DataError, match=r"3 numbers a row, and Regression\(outputs=2\)"):
        splits.check(Regression(outputs=2))


@pytest.mark.parametrize(("options", "said"), [({"loss": "mape"}, "'mse' or 'mae' or 'huber'"), ({"outputs": 0}, "outputs")])
def test_an_argument_of_a_regression_that_breaks_a_rule_is_named(options, said):
    with pytest.raises(UsageError, match=said):
        Regression(**options)
