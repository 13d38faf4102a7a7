"""A workload whose programs are Python statements: for the tests of executors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasmith.protocols import Data

__all__ = ["PythonWorkload"]


class PythonWorkload:
    """Runs the text as Python: `screen` runs what stands above a line of five dashes, `fit` what stands below it.

    Statements see NumPy as `np` and fill the mappings `facts` and `arrays`; those of `fit` see `seed`, `data` and `splits`, the
    names of the data's parts. `examine` runs the whole text, which sees `state`, and returns the data's `x` by part.
    """

    def warm(self) -> None:
        """Import NumPy, before a process may read no more files."""
        import numpy  # noqa: F401

    def screen(self, text: str) -> Mapping[str, float]:
        """Return the facts, "screened" among them."""
        return self._run(text.rpartition("-----\n")[0], facts={"screened": 1})["facts"]

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Return the arrays and the facts."""
        above, _, below = text.rpartition("-----\n")
        below = "\n" * above.count("\n") + ("\n" if above else "") + below  # lines keep their numbers
        names = self._run(below, seed=seed, splits=list(data), data=data, arrays={}, facts={})
        return names["arrays"], names["facts"]

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Return the data's `x`, and the facts."""
        facts = self._run(text, state=state, facts={"screened": 1})["facts"]
        return {split: part["x"] for split, part in data.items()}, facts

    @staticmethod
    def _run(text: str, **names: Any) -> dict[str, Any]:
        import numpy as np

        names["np"] = np
        exec(compile(text, "<program>", "exec"), names)  # as a real workload does, in a worker
        return names
