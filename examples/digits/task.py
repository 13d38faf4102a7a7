"""Handwritten digits that ship with scikit-learn: 1,797 images of 8 x 8 pixels, ten classes."""

from nasmith.problems import Classification, Splits

problem = Classification()


def data() -> Splits:
    """Load the images, scale them to 0..1, and split them at random: 70% training, 15% validation, 15% test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Splits.random(digits.images[:, None] / 16, digits.target, val=0.15, test=0.15, seed=0)
