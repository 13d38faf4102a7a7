from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score, log_loss, r2_score, root_mean_squared_error

from nasmith.problems.scores import classification_scores, regression_scores, segmentation_scores, sequence_scores


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def softmax(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(-1, keepdims=True)


def test_classification_agrees_with_scikit_learn(generator):
    # class 4 neither occurs nor is predicted, class 3 is predicted alone
    logits, labels = generator.normal(size=(50, 5)).astype(np.float32), generator.integers(0, 3, 50)
    logits[:, 4] = -9
    scores = classification_scores(logits, labels)
    guesses = logits.argmax(1)
    assert scores["error"] == pytest.approx(np.mean(guesses != labels))
    assert scores["loss"] == pytest.approx(log_loss(labels, softmax(logits), labels=range(5)))
    assert scores["f1"] == pytest.approx(f1_score(labels, guesses, average="macro"))


def test_huge_logits_have_a_finite_loss():
    scores = classification_scores(np.array([[1e30, 0.0], [0.0, 1e3]], np.float32), np.array([0, 1]))
    assert scores == {"error": 0.0, "loss": 0.0, "f1": 1.0}


def test_regression_agrees_with_scikit_learn(generator):
    outputs, targets = generator.normal(size=(2, 30, 2)).astype(np.float32)
    mean, sd = (1.5, -2.0), (3.0, 0.5)
    guesses = outputs * np.array(sd) + np.array(mean)
    scores = regression_scores(outputs, targets, mean, sd)
    assert scores["error"] == pytest.approx(1 - r2_score(targets, guesses))
    assert scores["rmse"] == pytest.approx(root_mean_squared_error(targets.ravel(), guesses.ravel()))
    assert scores["mae"] == pytest.approx(np.abs(targets - guesses).mean())


def test_segmentation_agrees_with_scikit_learn(generator):
    logits, labels = generator.normal(size=(3, 4, 5, 6)).astype(np.float32), generator.integers(0, 3, (3, 5, 6))
    scores = segmentation_scores(logits, labels)
    guesses = logits.argmax(1)
    assert scores["error"] == pytest.approx(np.mean(guesses != labels))
    assert scores["iou"] == pytest.approx(jaccard_score(labels.ravel(), guesses.ravel(), average="macro"))


def test_sequences_are_scored_without_ignored_positions(generator):
    logits, labels = generator.normal(size=(4, 6, 3)).astype(np.float32), generator.integers(0, 3, (4, 6))
    labels[:, 4:] = -1
    scores = sequence_scores(logits, labels, ignore=-1)
    flat, kept = logits[:, :4].reshape(-1, 3), labels[:, :4].ravel()
    assert scores["error"] == pytest.approx(np.mean(flat.argmax(1) != kept))
    assert scores["loss"] == pytest.approx(log_loss(kept, softmax(flat), labels=range(3)))
