import numpy as np
import pytest

from nasmith.strategies.surrogate import Surrogate, expected_improvement

SIZES = (3, 3, 3, 3)


def onehot(designs):
    return np.concatenate([np.eye(size, dtype=np.float32)[designs[:, place]] for place, size in enumerate(SIZES)], axis=1)


def drawn(seed, count):
    draw = np.random.default_rng(seed)
    designs = np.unique(draw.integers(0, 3, (count, 4)), axis=0)
    draw.shuffle(designs)
    return designs


def accuracy(designs):
    return 70 + 5.0 * (designs[:, 0] == 2) - 3.0 * (designs[:, 1] == 0) + 2.0 * (designs[:, 2] == designs[:, 3])


def test_it_learns_what_choices_are_worth():
    designs = drawn(0, 60)
    seen, new = designs[:30], designs[30:]
    model = Surrogate(4, noise=0.1)
    model.fit(onehot(seen), np.zeros(len(seen)), accuracy(seen))
    mean, deviation = model.posterior(onehot(new), np.zeros(len(new)))
    assert np.corrcoef(mean, accuracy(new))[0, 1] > 0.9
    assert (np.abs(mean - accuracy(new)) < 3 * deviation).mean() > 0.9


def test_it_is_the_textbook_posterior():
    # With the level's flat prior as a wide one, and the scale found, a Gaussian process by its plain formulas.
    seen, new, belief = drawn(1, 12), drawn(2, 8), np.random.default_rng(3)
    thought, of_new, values = belief.normal(size=len(seen)), belief.normal(size=len(new)), accuracy(seen)
    model = Surrogate(4, noise=0.5)
    model.fit(onehot(seen), thought, values)
    scale = model._fit.scale

    def covariance(first, second):
        agreement = (onehot(first) @ onehot(second).T).astype(float) / 4
        return scale**2 * (0.5 * agreement + 0.5 * np.exp(3 * (agreement - 1)) + 1e6)

    noisy = covariance(seen, seen) + scale**2 * (0.5 + 1e-6) * np.eye(len(seen))
    cross = covariance(new, seen)
    mean = scale * of_new + cross @ np.linalg.solve(noisy, values - scale * thought)
    variance = np.diag(covariance(new, new) - cross @ np.linalg.solve(noisy, cross.T))
    found, deviation = model.posterior(onehot(new), of_new)
    assert found == pytest.approx(mean, abs=1e-3)
    assert deviation**2 == pytest.approx(variance, rel=1e-2)


def test_the_unit_of_accuracy_changes_nothing():
    seen, new = drawn(4, 20), drawn(5, 20)
    belief = np.linspace(-1, 1, len(seen))
    percent, share = Surrogate(4, 0.5), Surrogate(4, 0.5)
    percent.fit(onehot(seen), belief, accuracy(seen))
    share.fit(onehot(seen), belief, accuracy(seen) / 100 - 0.2)
    first, second = (model.posterior(onehot(new), np.zeros(len(new))) for model in (percent, share))
    assert first[0] / 100 - 0.2 == pytest.approx(second[0]) and first[1] / 100 == pytest.approx(second[1])


def test_one_observation_leaves_the_belief():
    model = Surrogate(4, 0.5)
    designs = drawn(6, 10)
    belief = np.arange(len(designs), dtype=float)
    model.fit(onehot(designs[:1]), belief[:1], np.array([90.0]))
    mean, _ = model.posterior(onehot(designs), belief)
    assert mean.argmax() == len(designs) - 1


def test_without_observations_it_says_what_to_do():
    with pytest.raises(RuntimeError, match="call fit first"):
        Surrogate(4, 0.5).posterior(onehot(drawn(0, 3)), np.zeros(3))


def test_expected_improvement_is_the_mean_of_what_is_better():
    draws = np.random.default_rng(0).normal(91.0, 2.0, 400_000)
    assert expected_improvement(np.array([91.0]), np.array([2.0]), 92.0)[0] == pytest.approx(
        np.maximum(draws - 92.0, 0).mean(), rel=0.02
    )
