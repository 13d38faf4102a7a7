"""Decides at the rungs of a training whether it goes on, and keeps what it goes on from: asynchronous successive halving.

Source: Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht, Talwalkar, "A System for Massively Parallel Hyperparameter Tuning",
MLSys 2020, arXiv:1810.05934. As there no rung has to fill. Unlike there a decision is final, so that each candidate is told to
the strategy once, and compares a candidate with earlier ones alone, so that it can be repeated.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasmith.files import write_whole
from nasmith.types import Evaluation

__all__ = ["Ladder"]

_CHECKPOINT = "checkpoint/"


class Ladder:
    """The rungs of a run: what each candidate reached there, and who goes on.

    A candidate goes on where it is among the best 1/factor of the candidates up to itself that reached the rung, the factor
    being the steps of the next rung over those of this one; the best of them always does. Later candidates have no say, so that
    the decision does not hang on who was faster: it is a function of the run's seed with any number of workers, and after any
    interruption. It waits for earlier candidates that are still on their way to the rung; their workers do not.

    Seeds always go on: their values are what children are measured by.

    Args:
        rungs: Optimiser steps, ascending, the last for a whole training.
        seeds: How many of the first candidates are seeds.
        folder: Returns the folder for checkpoints; called where one is read or written.
        known: Stored evaluations with the purpose "rung".
    """

    def __init__(self, rungs: Sequence[int], seeds: int, folder: Callable[[], Path], known: Iterable[Evaluation] = ()) -> None:
        self.rungs, self._seeds, self._folder = tuple(rungs), seeds, folder
        self._values: list[dict[int, float]] = [{} for _ in self.rungs]
        self._under_way: set[int] = set()
        for evaluation in known:
            if evaluation.fidelity in self.rungs:
                rung = self.rungs.index(evaluation.fidelity)
                self._values[rung][evaluation.candidate] = evaluation.metrics.get("fitness", -math.inf)

    def begin(self, candidate: int) -> tuple[int, Mapping[str, Any]]:
        """Return the rung that a candidate is trained to next, and the checkpoint that it starts from; empty for none."""
        self._under_way.add(candidate)
        reached = sum(candidate in values for values in self._values)
        if reached and not self.goes_on(candidate, reached - 1):
            reached -= 1  # the run was cut before it was decided, or before the candidate was examined
        return reached, self._read(candidate, reached - 1) if reached else {}

    def known(self, candidate: int, rung: int) -> bool:
        """Whether a candidate has been at a rung before, so that its evaluation there is stored."""
        return candidate in self._values[rung]

    def reached(self, candidate: int, rung: int, fitness: float, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
        """Note what a candidate reached at a rung, and store what its training goes on from.

        Args:
            candidate: Its id.
            rung: Which, from 0; not the last.
            fitness: By what was measured there; higher is better.
            arrays: What the worker returned.

        Returns:
            The checkpoint.
        """
        import numpy as np

        self._values[rung].setdefault(candidate, fitness)
        state = {name.removeprefix(_CHECKPOINT): array for name, array in arrays.items() if name.startswith(_CHECKPOINT)}
        buffer = io.BytesIO()
        np.savez(buffer, **state)
        write_whole(self._path(candidate, rung), buffer.getvalue())
        return state

    def goes_on(self, candidate: int, rung: int) -> bool | None:
        """Whether a candidate goes on from a rung that it reached; None where that is not decided yet."""
        if candidate <= self._seeds:
            return True
        values = self._values[rung]
        if any(number < candidate and number not in values for number in self._under_way):
            return None
        rivals = [value for number, value in values.items() if number <= candidate]
        better = sum(value > values[candidate] for value in rivals)
        return better < max(1, math.ceil(len(rivals) * self.rungs[rung] / self.rungs[rung + 1]))

    def over(self, candidate: int) -> None:
        """Note that a candidate is not trained further, and delete its checkpoints."""
        self._under_way.discard(candidate)
        for rung, values in enumerate(self._values):
            if candidate in values:
                self._path(candidate, rung).unlink(missing_ok=True)

    def _read(self, candidate: int, rung: int) -> Mapping[str, Any]:
        """Return a checkpoint; none where the file is gone, and the training then begins again."""
        import numpy as np

        try:
            with np.load(self._path(candidate, rung), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError):
            return {}

    def _path(self, candidate: int, rung: int) -> Path:
        return self._folder() / "checkpoints" / f"{candidate}-{rung}.npz"
