from __future__ import annotations

import numpy as np
import pytest
import torch

from nasmith.errors import UsageError
from nasmith.problems import Classification, DataError, Splits


@pytest.fixture
def splits():
    x = np.random.default_rng(0).normal(size=(60, 4))
    return Splits.ordered(x, np.arange(60) % 5)


def squared(logits, labels):
    return (logits.argmax(1) - labels).float().pow(2).mean()


def test_classes_are_counted_in_the_training_labels(splits):
    problem = Classification().fitted(splits)
    assert problem.classes == 5 and problem.output_shape(splits) == (5,) and "5 logits" in problem.describe()


def test_named_classes_may_be_more_than_occur(splits):
    problem = Classification(classes=7)
    splits.check(problem)
    assert problem.fitted(splits).output_shape(splits) == (7,)


def test_smoothing_is_that_of_the_cross_entropy():
    logits, labels = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    plain, smooth = Classification(), Classification(label_smoothing=0.2)
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    assert torch.equal(smooth.loss(logits, labels), expected) and not torch.equal(plain.loss(logits, labels), expected)


def test_a_function_takes_the_place_of_the_loss_and_stays_when_fitted(splits):
    problem = Classification(loss=squared).fitted(splits)
    assert float(problem.loss(torch.eye(5), torch.tensor([0, 1, 2, 3, 1]))) == pytest.approx(9 / 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": 1}, "classes must be a whole number from 2"),
        ({"loss": "hinge"}, "loss must be 'cross_entropy', or a function"),
        ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\)"),
    ],
)
def test_an_argument_that_breaks_a_rule_is_named(options, said):
    with pytest.raises(UsageError, match=said):
        Classification(**options)


def test_labels_above_the_named_classes_are_refused(splits):
    with pytest.raises(DataError, match="train: y holds the label 4, the first time in row 4; with 3 classes"):
        splits.check(Classification(classes=3))
