"""Ranges that a design's FLOPs or latency must lie in, as people write them ("270..330"), and the words for missing them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from nasmith.errors import ConfigError

__all__ = ["FLOPS", "LATENCY", "Measure", "Range"]

_WRITTEN = re.compile(r"(\d*\.?\d*)\s*\.\.\s*(\d*\.?\d*)")


@dataclass(frozen=True, slots=True)
class Measure:
    """What is held to a range.

    Attributes:
        option: Name of the option that holds the range.
        unit: Behind a number: "329 M FLOPs".
        scale: How much one unit is.
        decimals: With which a value is told, and held to the range.
    """

    option: str
    unit: str
    scale: float
    decimals: int

    def amount(self, value: float) -> float:
        """Return a value in units, rounded as it is told."""
        return round(value / self.scale, self.decimals)

    def said(self, amount: float) -> str:
        """Return an amount with its unit."""
        return f"{amount:.{self.decimals}f} {self.unit}"


FLOPS = Measure("flops", "M FLOPs", 1e6, 0)
"""Multiply-adds for one image (`mobile_space`), in whole millions: GENIUS told and judged them so."""

LATENCY = Measure("latency", "ms", 1.0, 2)
"""Milliseconds for one image on the device that trains."""


@dataclass(frozen=True, slots=True)
class Range:
    """From the least to the most, both allowed, in the units of the measure.

    A value counts as it is told: 330.4 M FLOPs are 330, and keep to a range up to 330.
    """

    measure: Measure
    least: float
    most: float

    @classmethod
    def parse(cls, measure: Measure, text: str) -> Range:
        """Read "270..330", "..330" or "270..".

        Raises:
            ConfigError: It is no range, or nothing lies in it.
        """
        match = _WRITTEN.fullmatch(text.strip())
        if match is None or not any(match.groups()) or "." in match.groups():
            raise ConfigError(
                f'{measure.option} is a range in {measure.unit}, such as "270..330", "..330" or "270..", not {text!r}.'
            )
        least, most = float(match[1] or 0), float(match[2] or math.inf)
        if least > most:
            raise ConfigError(
                f"{measure.option}: nothing lies in {text!r}. The smaller number comes first: {match[2]}..{match[1]}."
            )
        return cls(measure, least, most)

    def __contains__(self, value: float) -> bool:
        return self.least <= self.measure.amount(value) <= self.most

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the most value that keep to it, not rounded."""
        slack = 0.5 * 10.0**-self.measure.decimals
        return max(0.0, (self.least - slack) * self.measure.scale), (self.most + slack) * self.measure.scale

    def broken(self, value: float) -> str:
        """Say how a value misses the range; empty where it keeps to it."""
        amount, said = self.measure.amount(value), self.measure.said
        for bound, side, far in ((self.least, "lower", "below"), (self.most, "upper", "above")):
            if (amount < bound) if side == "lower" else (amount > bound):
                return (
                    f"fails the constraint: {said(amount)}, {said(abs(amount - bound))} {far} the {side} bound of {said(bound)}"
                )
        return ""

    def words(self) -> str:
        """Say the range: "270 to 330 M FLOPs"."""
        said = self.measure.said
        if self.least <= 0:
            return f"at most {said(self.most)}"
        if math.isinf(self.most):
            return f"at least {said(self.least)}"
        return f"{self.least:.{self.measure.decimals}f} to {said(self.most)}"
