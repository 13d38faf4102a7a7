"""The metrics, each function complete in itself: exports hold their very source, so that both give the same digits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["classification_scores", "regression_scores", "segmentation_scores", "sequence_scores", "source_of"]


def source_of(function: Callable[..., dict[str, float]], options: Mapping[str, object]) -> str:
    """Return the source of a module that defines `score(outputs, targets)` and needs NumPy alone.

    Args:
        function: One of this module.
        options: Its further arguments; their `repr` is Python.
    """
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return (
        f"import numpy as np\n\n\n{inspect.getsource(function)}\n\n"
        "def score(outputs, targets):\n"
        '    """Return the metrics of a model\'s outputs (n, ...) for targets (n, ...)."""\n'
        f"    return {function.__name__}(outputs, targets{given})\n"
    )


def classification_scores(outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Score one label for each input.

    Args:
        outputs: Logits, (n, classes).
        targets: Labels, (n,), from 0.

    Returns:
        error: Share of wrong labels, 0 to 1; lower is better.
        loss: Mean cross-entropy in nats; lower is better.
        f1: Mean of the classes' F1 scores, 0 to 1; higher is better. Classes that neither occur nor are predicted do not count.
    """
    logits, labels = outputs.astype(np.float64), targets.astype(np.int64)
    guesses = logits.argmax(axis=1)
    logits = logits - logits.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(logits).sum(axis=1)) - np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    classes = logits.shape[1]
    hits = np.bincount(labels[guesses == labels], minlength=classes)
    there = np.bincount(labels, minlength=classes) + np.bincount(guesses, minlength=classes)
    f1 = 2 * hits[there > 0] / there[there > 0]
    return {"error": float(np.mean(guesses != labels)), "loss": float(np.mean(surprise)), "f1": float(np.mean(f1))}


def regression_scores(
    outputs: np.ndarray, targets: np.ndarray, mean: tuple[float, ...] = (0.0,), sd: tuple[float, ...] = (1.0,)
) -> dict[str, float]:
    """Score numbers.

    Args:
        outputs: (n, k), in standard deviations from the mean.
        targets: (n, k), or (n,) where k is 1; in their own unit.
        mean: Of the training targets: k numbers, or one for all.
        sd: Their standard deviations, likewise.

    Returns:
        error: 1 - R2, the mean of the k columns; 0 is perfect, 1 as good as always saying the mean; lower is better.
        rmse: Root of the mean squared error, in the targets' unit; lower is better.
        mae: Mean absolute error, likewise.
    """
    guesses = outputs.astype(np.float64) * np.array(sd) + np.array(mean)
    truth = targets.astype(np.float64).reshape(guesses.shape)
    wrong = guesses - truth
    spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    return {
        "error": float(np.mean((wrong**2).sum(axis=0) / spread)),
        "rmse": float(np.sqrt(np.mean(wrong**2))),
        "mae": float(np.mean(np.abs(wrong))),
    }


def segmentation_scores(outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Score a label for each pixel.

    Args:
        outputs: Logits, (n, classes, h, w).
        targets: Labels, (n, h, w), from 0.

    Returns:
        error: Share of pixels with a wrong label, 0 to 1; lower is better.
        iou: Mean over classes of intersection over union, 0 to 1; higher is better. Classes that neither occur nor are
            predicted do not count.
    """
    guesses, labels = outputs.argmax(axis=1).ravel(), targets.astype(np.int64).ravel()
    classes = outputs.shape[1]
    hits = np.bincount(labels[guesses == labels], minlength=classes)
    union = np.bincount(labels, minlength=classes) + np.bincount(guesses, minlength=classes) - hits
    iou = hits[union > 0] / union[union > 0]
    return {"error": float(np.mean(guesses != labels)), "iou": float(np.mean(iou))}


def sequence_scores(outputs: np.ndarray, targets: np.ndarray, ignore: int = -100) -> dict[str, float]:
    """Score a label for each position.

    Args:
        outputs: Logits, (n, t, classes).
        targets: Labels, (n, t), from 0.
        ignore: Label of positions that do not count.

    Returns:
        error: Share of wrong labels, 0 to 1; lower is better.
        loss: Mean cross-entropy in nats; lower is better.
    """
    counts = targets != ignore
    logits, labels = outputs[counts].astype(np.float64), targets[counts].astype(np.int64)
    guesses = logits.argmax(axis=1)
    logits = logits - logits.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(logits).sum(axis=1)) - np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return {"error": float(np.mean(guesses != labels)), "loss": float(np.mean(surprise))}
