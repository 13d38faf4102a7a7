"""A Gaussian process over designs whose prior mean is a belief: accuracy = level + scale * (belief + f + noise).

The belief is what is thought of a design before anything was trained, in units of the standard deviation of `f`, what it does
not explain. `f` is half additive in the choices and half their interaction. Neither names nor the order of positions and
choices matter. The level has a flat prior, the scale its likeliest value, so that the unit of accuracy does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Surrogate", "expected_improvement"]

_DECAY = 3.0  # of the interaction: e^-1 where a third of the positions differ
_JITTER = 1e-6


@dataclass(frozen=True)
class _Fit:
    """What conditioning on the observations leaves."""

    onehot: np.ndarray
    inverse: np.ndarray  # of the covariance's lower triangular root
    weights: np.ndarray
    ones: np.ndarray  # the inverse times ones
    level: float
    scale: float


class Surrogate:
    """Predicts accuracy of designs from that of others.

    Designs are given as `onehot`, (n, choices) float with one 1 for each position, and `belief`, (n,).

    Args:
        positions: Of a design.
        noise: Variance of the noise as a share of that of `f`.
    """

    def __init__(self, positions: int, noise: float) -> None:
        self._positions, self._noise = positions, noise
        self._fit: _Fit | None = None

    def fit(self, onehot: np.ndarray, belief: np.ndarray, accuracy: np.ndarray) -> None:
        """Learn from designs with their accuracies, (n,), at least one."""
        import numpy as np

        count = len(accuracy)
        covariance = self._covariance(onehot, onehot) + (self._noise + _JITTER) * np.eye(count)
        inverse = np.linalg.inv(np.linalg.cholesky(covariance))
        ones, seen, thought = inverse.sum(axis=1), inverse @ accuracy, inverse @ belief
        norm = ones @ ones
        seen_, thought_ = (each - ones * (ones @ each) / norm for each in (seen, thought))  # without the level
        scale = _likeliest_scale(count - 1, float(seen_ @ seen_), float(seen_ @ thought_))
        level = float(ones @ (seen - scale * thought) / norm)
        weights = inverse.T @ ((seen - level * ones) / scale - thought)
        self._fit = _Fit(onehot, inverse, weights, ones, level, scale)

    def posterior(self, onehot: np.ndarray, belief: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the noiseless accuracy, (n,) each.

        Raises:
            RuntimeError: `fit` was not called.
        """
        import numpy as np

        if self._fit is None:
            raise RuntimeError("there is nothing to predict from: call fit first")
        fit = self._fit
        cross = self._covariance(onehot, fit.onehot)
        mean = fit.level + fit.scale * (belief + cross @ fit.weights)
        explained = cross @ fit.inverse.T
        unsure_of_level = (1 - explained @ fit.ones) ** 2 / (fit.ones @ fit.ones)
        variance = np.maximum(1 - (explained**2).sum(axis=1) + unsure_of_level, 1e-9)
        return mean, fit.scale * np.sqrt(variance)

    def _covariance(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        import numpy as np

        agreement = (first @ second.T).astype(np.float64) / self._positions
        covariance: np.ndarray = 0.5 * agreement + 0.5 * np.exp(_DECAY * (agreement - 1))
        return covariance


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Return by how much each design is expected to be better than `best` (Jones, Schonlau, Welch 1998), (n,)."""
    from scipy.special import ndtr

    ahead = (mean - best) / deviation
    improvement: np.ndarray = deviation * (ahead * ndtr(ahead) + _density(ahead))
    return improvement


def _density(values: np.ndarray) -> np.ndarray:
    import numpy as np

    density: np.ndarray = np.exp(-0.5 * values**2) / np.sqrt(2 * np.pi)
    return density


def _likeliest_scale(count: int, square: float, product: float) -> float:
    """Maximise the likelihood in the scale: its derivative is a quadratic equation.

    Args:
        count: Observations, less the one that the level takes.
        square: Squared length of the whitened accuracies without their level.
        product: Their product with the whitened beliefs.
    """
    if count < 1 or square <= 1e-12:
        return 1.0
    return float((-product + (product * product + 4 * count * square) ** 0.5) / (2 * count))
