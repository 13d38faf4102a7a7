"""Derives independent seeds from one: all of a search's randomness hangs on the run's seed and a path of names and counts."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

__all__ = ["derive", "generator"]


def derive(seed: int, *path: int | str) -> int:
    """Return a seed in [0, 2**31) that depends on all arguments and looks unrelated to those of other paths."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def generator(seed: int, *path: int | str) -> Random:
    """Return a private random generator seeded by `derive`."""
    return Random(derive(seed, *path))
