"""Generates a small data set of images: shapes and textures of any colour, in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nasmith.errors import ConfigError, UsageError
from nasmith.seeding import derive

__all__ = ["CLASSES", "write_sample"]

_QUALITY = 90
_NOISE = 12.0  # standard deviation, of 255


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x**2 + y**2 < 1


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) < 0.85


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y > -0.7) & (y < 1.1 - 2.1 * abs(x))


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (np.minimum(abs(x), abs(y)) < 0.28) & (np.maximum(abs(x), abs(y)) < 1)


def _stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(6 * x) > 0


def _rings(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(7 * np.hypot(x, y)) > 0


def _chequers(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(5 * x) * np.sin(5 * y) > 0


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot((x % 0.8) - 0.4, (y % 0.8) - 0.4) < 0.22


_PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": _disc,
    "stripes": _stripes,
    "cross": _cross,
    "chequers": _chequers,
    "square": _square,
    "rings": _rings,
    "triangle": _triangle,
    "dots": _dots,
}
CLASSES = tuple(_PATTERNS)
"""What there is to be told apart."""


def write_sample(folder: Path, classes: int = 4, train: int = 60, test: int = 15, size: int = 64, seed: int = 0) -> None:
    """Write `train/CLASS/NNN.jpg` and `val/CLASS/NNN.jpg`: a pattern at a random place, size and angle, in two random colours.

    Args:
        folder: New or empty.
        classes: From 2 to 8.
        train: Training images of each class.
        test: Test images of each class.
        size: Pixels a side.
        seed: The same gives the same files.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
        ConfigError: A number is out of range.
    """
    from PIL import Image

    if not 2 <= classes <= len(CLASSES):
        raise ConfigError(f"classes must be from 2 to {len(CLASSES)}, got {classes}.")
    if min(train, test) < 1 or size < 16:
        raise ConfigError("there must be 1 image of each class at least, and 16 pixels a side.")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty: name a new folder.")
        for part, count in (("train", train), ("val", test)):
            for name in CLASSES[:classes]:
                (folder / part / name).mkdir(parents=True)
                for number in range(count):
                    draw = np.random.default_rng(derive(seed, part, name, number))
                    image = Image.fromarray(_picture(_PATTERNS[name], size, draw))
                    image.save(folder / part / name / f"{number:04}.jpg", quality=_QUALITY)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}.") from error


def _picture(pattern: Callable[[np.ndarray, np.ndarray], np.ndarray], size: int, draw: np.random.Generator) -> np.ndarray:
    """Return an image, uint8 (size, size, 3)."""
    angle, scale = draw.uniform(0, 2 * np.pi), draw.uniform(0.3, 0.6)
    centre = draw.uniform(-0.4, 0.4, 2)
    axis = np.linspace(-1, 1, size)
    right, down = np.meshgrid(axis - centre[0], axis - centre[1])
    x = (right * np.cos(angle) + down * np.sin(angle)) / scale
    y = (down * np.cos(angle) - right * np.sin(angle)) / scale
    ground = draw.uniform(0, 255, 3)
    figure = (ground + draw.choice([-1, 1], 3) * draw.uniform(70, 160, 3)) % 256
    shade = 1 + 0.25 * (right * np.cos(angle) + down * np.sin(angle))
    image = np.where(pattern(x, y)[..., None], figure, ground) * shade[..., None]
    return (image + draw.normal(0, _NOISE, image.shape)).clip(0, 255).astype(np.uint8)
