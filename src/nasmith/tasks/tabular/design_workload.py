"""The half of a tabular task that runs in workers: it reads designs. There is nothing to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasmith.protocols import Data
from nasmith.space import Space
from nasmith.tasks.tabular.bounds import Bounds

__all__ = ["DesignWorkload"]


@dataclass(frozen=True)
class DesignWorkload:
    """Returns a design as an array, "design", with the index of each choice; the task looks it up.

    Attributes:
        space: Of the designs.
        bounds: What a design must keep.
    """

    space: Space
    bounds: Bounds = field(default_factory=Bounds)

    def warm(self) -> None:
        """Need nothing."""

    def screen(self, text: str) -> Mapping[str, float]:
        """Read the design; ValueError where it is none, or breaks a bound."""
        design = self.space.read(text)
        if self.bounds and (flaw := self.bounds.broken(self.space, design)):
            raise ValueError(flaw)
        return {}

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Return the design."""
        import numpy as np

        return {"design": np.array(self.space.read(text), dtype=np.int16)}, {}

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Return the design again."""
        return self.fit(text, 0, data)
