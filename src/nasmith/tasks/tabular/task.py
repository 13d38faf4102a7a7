"""The trusted side of the tabular tasks: what is shown of a table, and what is kept for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from nasmith.protocols import Data
from nasmith.space import Design, Disguise, Space
from nasmith.tasks.tabular.bounds import Bounds
from nasmith.tasks.tabular.tables import Table, load
from nasmith.tasks.tabular.workload import DesignWorkload
from nasmith.types import Description, Objective, Outcome, Purpose

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Bench", "TabularTask"]

_NETWORKS = files("nasmith.tasks.tabular") / "networks"

_DISGUISED = "A neural network classifies images. One option is to be chosen for each slot; what the options do is not said."


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
        self.folder = folder
        self.bounds = Bounds(flops_min, flops_max, params_min, params_max)
        self.flops_min, self.flops_max, self.params_min, self.params_max = asdict(self.bounds).values()
        self.disguise = disguise

    @cached_property
    def space(self) -> Space:
        """The space as it is shown."""
        return self._original if self._disguise is None else self._disguise.space

    @property
    def optimum(self) -> float:
        """The best test accuracy in the table, in percent."""
        return float(self._table.test.max())

    def check(self) -> None:
        """Read the table, and see whether any design keeps the bounds.

        Raises:
            UsageError: The table is not to be had, or no design does.
        """
        self.bounds.check(self._original)
        _ = self._table

    def describe(self) -> Description:
        """What prompts and people need to know."""
        statement = self.bench.statement if self._disguise is None else _DISGUISED
        if self.bounds:
            statement += f" A network must have {self.bounds.words()}."
        title = self.bench.title if self._disguise is None else "A space of networks under other names"
        return Description(title, "a design", statement=statement)

    def seeds(self) -> Mapping[str, str]:
        """None are needed."""
        return {}

    def workload(self) -> DesignWorkload:
        """What reads designs."""
        return DesignWorkload(self.space, self.bounds)

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
        design = self._design(examined)
        place = self._table.place(design)
        params, flops = self._sizes[place]
        metrics = {self.bench.shown: float(self._table.shown[place]), "params": float(params), "flops": float(flops)}
        return {**metrics, **(self._revealed(place) if purpose == "verify" else {})}

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
        return self._revealed(self._table.place(self._real(self.space.read(text))))

    def program(self, text: str) -> str:
        """Return a module with the network of a design as `Model()`, untrained; it needs PyTorch alone."""
        source = (_NETWORKS / self.bench.network).read_text(encoding="utf-8").rstrip()
        design = self._real(self.space.read(text))
        return f"{source}\n\n\ndef Model() -> Network:\n    return Network({design}{self.bench.options})\n"

    @cached_property
    def _original(self) -> Space:
        return self.bench.space()

    @cached_property
    def _disguise(self) -> Disguise | None:
        return None if self.disguise is None else Disguise(self._original, self.disguise)

    @cached_property
    def _table(self) -> Table:
        return load(self.bench.file, self.folder, self._original.sizes, self.bench.fields, self._original.read)

    @cached_property
    def _sizes(self) -> np.ndarray:
        """Parameters and FLOPs of every design, (designs, 2)."""
        import numpy as np

        assert self._original.measure is not None
        measured = self._original.measure(np.array(list(self._original.designs())))
        columns = [self._original.measures.index(name) for name in ("params", "flops")]
        return measured[:, columns]

    def _real(self, design: Design) -> Design:
        return design if self._disguise is None else self._disguise.reveal(design)

    def _design(self, examined: Outcome) -> Design:
        """The design that a worker read, checked."""
        array = examined.arrays.get("design")
        if array is None:
            raise ValueError("the worker returned no design")
        design = tuple(int(index) for index in array)
        self.space.check(design)
        return self._real(design)

    def _revealed(self, place: int) -> dict[str, float]:
        table, rank = self._table, int(self._table.rank[place])
        return {
            "test_accuracy": float(table.test[place]),
            "rank": float(rank),
            "percentile": 100 * (1 - (rank - 1) / len(table.test)),
            "regret": self.optimum - float(table.test[place]),
        }
