"""A table with its space: what is known of a design, by its real name or in disguise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.resources import files
from typing import TYPE_CHECKING

from nasmith.space import Design, Disguise, Space
from nasmith.tasks.tabular.bounds import Bounds
from nasmith.tasks.tabular.tables import Table, load

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Bench", "Catalogue"]

_NETWORKS = files("nasmith.tasks.tabular") / "networks"


@dataclass(frozen=True, slots=True)
class Bench:
    """What makes a table a task.

    Attributes:
        title: One line for people.
        file: The table's.
        fields: The table's fields with the accuracy that is shown, the test accuracy and the rank (empty: computed).
        shown: The metric's name for what is shown.
        space: Makes the space.
        network: File of the network in `networks`.
        options: Further arguments of the network.
        statement: What is searched, for a language model.
    """

    title: str
    file: str
    fields: tuple[str, str, str]
    shown: str
    space: Callable[[], Space]
    network: str
    options: str
    statement: str


class Catalogue:
    """Looks designs up. Designs come as they are shown; nothing is read before it is needed.

    Args:
        bench: Which table.
        folder: Where it is; None for the environment's, or a download.
        bounds: What designs must keep.
        disguise: Seed by which positions and choices are permuted and renamed; None for the real names.
    """

    def __init__(self, bench: Bench, folder: str | None, bounds: Bounds, disguise: int | None) -> None:
        self._bench, self._folder, self._bounds, self._seed = bench, folder, bounds, disguise

    @cached_property
    def original(self) -> Space:
        """The space under its real names."""
        space = self._bench.space()
        return replace(space, admits=partial(self._bounds.kept, space)) if self._bounds else space

    @cached_property
    def space(self) -> Space:
        """The space as it is shown."""
        return self.original if self._disguise is None else self._disguise.space

    @cached_property
    def table(self) -> Table:
        """The table.

        Raises:
            UsageError: It is not to be had.
        """
        return load(self._bench.file, self._folder, self.original.sizes, self._bench.fields, self.original.read)

    @property
    def optimum(self) -> float:
        """The best test accuracy, in percent."""
        return float(self.table.test.max())

    def shown(self, design: Design) -> dict[str, float]:
        """Return what a search is shown of a design: accuracy in percent, parameters, FLOPs."""
        place = self._place(design)
        params, flops = self._sizes[place]
        return {self._bench.shown: float(self.table.shown[place]), "params": float(params), "flops": float(flops)}

    def hidden(self, design: Design) -> dict[str, float]:
        """Return what it is not shown: test accuracy, rank, percentile, regret (`TabularTask.reveal`)."""
        place = self._place(design)
        accuracy, rank = float(self.table.test[place]), int(self.table.rank[place])
        return {
            "test_accuracy": accuracy,
            "rank": float(rank),
            "percentile": 100 * (1 - (rank - 1) / len(self.table.test)),
            "regret": self.optimum - accuracy,
        }

    def program(self, design: Design) -> str:
        """Return the source of a module with the network of a design as `Model()`."""
        source = (_NETWORKS / self._bench.network).read_text(encoding="utf-8").rstrip()
        return f"{source}\n\n\ndef Model() -> Network:\n    return Network({self.real(design)}{self._bench.options})\n"

    def real(self, design: Design) -> Design:
        """Return the design under its real name."""
        return design if self._disguise is None else self._disguise.reveal(design)

    @cached_property
    def _disguise(self) -> Disguise | None:
        return None if self._seed is None else Disguise(self.original, self._seed)

    @cached_property
    def _sizes(self) -> np.ndarray:
        """Parameters and FLOPs of every design, (designs, 2)."""
        import numpy as np

        assert self.original.measure is not None
        measured = self.original.measure(np.array(list(self.original.designs())))
        columns = [self.original.measures.index(name) for name in ("params", "flops")]
        return measured[:, columns]

    def _place(self, design: Design) -> int:
        return self.table.place(self.real(design))
