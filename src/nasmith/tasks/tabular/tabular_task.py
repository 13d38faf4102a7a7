"""The trusted side of the tabular tasks: what is shown of a table, and what is kept for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasmith.protocols import Data
from nasmith.space import Space
from nasmith.tasks.tabular.bounds import Bounds
from nasmith.tasks.tabular.catalogue import Bench, Catalogue
from nasmith.tasks.tabular.design_workload import DesignWorkload
from nasmith.types import Description, Objective, Outcome, Purpose

__all__ = ["TabularTask"]

_DISGUISED = "A neural network classifies images. One option is to be chosen for each slot; what the options do is not said."


class TabularTask:
    """Look designs up in a table of trained networks.

    A search is shown one accuracy in percent: that on validation data for NAS-Bench-201. NAS-Bench-Macro and
    Channel-Bench-Macro were published with the mean test accuracy of three trainings alone, so there it is that one. The rest
    is for the report: `verify`, and `reveal`, give test accuracy, rank, percentile and regret. Designs that are the same
    network count as one.

    Args:
        folder: Where the table is; None for the environment's NASMITH_DATA, or a download, checked and cached.
        flops_min: Designs with fewer FLOPs (multiply-adds for one image) are INVALID.
        flops_max: Designs with more are.
        params_min: Designs with fewer parameters are INVALID.
        params_max: Designs with more are.
        disguise: Seed by which positions and choices are permuted and renamed: a language model that has read the table does
            not know it again. None for the real names.
    """

    name: str
    bench: Bench
    objectives: Sequence[Objective]
    defaults: Mapping[str, Any] = {
        "strategy": "nasmith",
        "executor": "inline",
        "verify": {"best": 10, "front": 0, "seeds": 1},  # a verification looks up what the search was not shown
    }

    def __init__(
        self,
        *,
        folder: str | None = None,
        flops_min: float | None = None,
        flops_max: float | None = None,
        params_min: float | None = None,
        params_max: float | None = None,
        disguise: int | None = None,
    ) -> None:
        self.folder, self.disguise = folder, disguise
        self.flops_min, self.flops_max, self.params_min, self.params_max = flops_min, flops_max, params_min, params_max
        self._bounds = Bounds(flops_min, flops_max, params_min, params_max)
        self._catalogue = Catalogue(self.bench, folder, self._bounds, disguise)

    @property
    def space(self) -> Space:
        """The space as it is shown."""
        return self._catalogue.space

    @property
    def optimum(self) -> float:
        """The best test accuracy in the table, in percent."""
        return self._catalogue.optimum

    def check(self) -> None:
        """Read the table, and see whether any design keeps the bounds.

        Raises:
            UsageError: The table is not to be had, or no design does.
        """
        self._bounds.check(self._catalogue.original)
        _ = self._catalogue.table

    def describe(self) -> Description:
        """What prompts and people need to know."""
        statement = self.bench.statement if self.disguise is None else _DISGUISED
        if self._bounds:
            statement += f" A network must have {self._bounds.words()}."
        title = self.bench.title if self.disguise is None else "A space of networks under other names"
        return Description(title, "a design", statement=statement)

    def seeds(self) -> Mapping[str, str]:
        """None are needed."""
        return {}

    def workload(self) -> DesignWorkload:
        """What reads designs."""
        return DesignWorkload(self.space, self._bounds)

    def data(self) -> Data:
        """Nothing is trained."""
        return {"train": {}, "val": {}, "test": {}}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Look a design up.

        Returns:
            val_accuracy, or test_accuracy where the table has that alone: what a search is shown, in percent.
            params: Parameters of the network.
            flops: Multiply-adds for one image.
            test_accuracy, rank, percentile, regret: For "verify", as `reveal` gives them.

        Raises:
            ValueError: The arrays are not what `fit` returns.
        """
        array = examined.arrays.get("design")
        if array is None:
            raise ValueError("the worker returned no design")
        design = tuple(int(index) for index in array)
        self.space.check(design)
        return self._catalogue.shown(design) | (self._catalogue.hidden(design) if purpose == "verify" else {})

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """What is shown, in percent; higher is better."""
        return metrics[self.bench.shown]

    def best_state(self, outcome: Outcome) -> Mapping[str, Any]:
        """Nothing was trained here."""
        return {}

    def reveal(self, text: str) -> Mapping[str, float]:
        """Return what is known of a design that a search is not shown.

        Returns:
            test_accuracy: In percent.
            rank: By test accuracy among all designs, 1 the best.
            percentile: Percent of the designs that are not ranked above it.
            regret: The best test accuracy in the table, less this one.
        """
        return self._catalogue.hidden(self.space.read(text))

    def program(self, text: str) -> str:
        """Return a module with the network of a design as `Model()`, untrained; it needs PyTorch alone."""
        return self._catalogue.program(self.space.read(text))
