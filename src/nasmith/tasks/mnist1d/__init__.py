"""MNIST-1D (Greydanus 2020, arXiv 2011.14439): ten digits as noisy, shifted, sheared series of 40 numbers."""

from __future__ import annotations

from nasmith.tasks.mnist1d.task import Mnist1d

__all__ = ["Mnist1d"]
