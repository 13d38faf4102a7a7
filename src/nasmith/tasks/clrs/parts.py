"""The parts of the graph network that can be searched: what the function is called, what it takes and returns, where it goes.

The built-in part is that of EvoPrompting, `TRIPLET_MESSAGES`. One's own is another `Part` in a module that can be imported; the
task's option `part` is its place, "package.module:NAME". See docs/clrs.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any

from nasmith.errors import UsageError
from nasmith.tasks.clrs.clrs_recipes import NODES_ALONE

__all__ = ["TRIPLET_MESSAGES", "Part", "load_part"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A function of the network that is searched.

    Attributes:
        title: What it is, for people.
        function: Its name in a program.
        arguments: The names of what it takes, in order.
        shapes: (batch, nodes, hidden size, features of a triplet) to (what it takes, what it returns): tuples of integers are
            the shapes of float32 arrays, an integer is an argument that is a number; what it returns is a shape, or a tuple of
            shapes.
        processor: (the function, features of a triplet) to what makes a processor of `dm-clrs` for a hidden size. A function at
            the top level of a module, which imports JAX where it is called.
        seeds: Programs by name, the standard one first.
        preamble: What stands above every program.
        statement: What the function is and must do, for a language model that is asked.
        without_effect: Algorithms whose predictions the function cannot change.
    """

    title: str
    function: str
    arguments: tuple[str, ...]
    shapes: Callable[[int, int, int, int], tuple[tuple[Shape | int, ...], Any]]
    processor: Callable[[Callable[..., Any], int], Callable[[int], Any]]
    seeds: Mapping[str, str]
    preamble: str
    statement: str
    without_effect: frozenset[str] = frozenset()

    @property
    def first_line(self) -> str:
        """The line that opens the function."""
        return f"def {self.function}({', '.join(self.arguments)}):"


def load_part(place: str) -> Part:
    """Return a part by its place, "package.module:NAME".

    Raises:
        UsageError: There is none.
    """
    module, _, name = place.partition(":")
    try:
        part = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"cannot load the part {place!r} of the network: {error}. It is written package.module:NAME."
        ) from error
    if not isinstance(part, Part):
        raise UsageError(f"{place!r} is a {type(part).__name__}, not a nasmith.tasks.clrs.Part.")
    return part


def _triplet_shapes(batch: int, nodes: int, hidden: int, features: int) -> tuple[tuple[Shape | int, ...], Shape]:
    takes = ((batch, nodes, 2 * hidden), (batch, nodes, nodes, hidden), (batch, hidden), features, hidden)
    return takes, (batch, nodes, nodes, hidden)


def _triplet_processor(function: Callable[..., Any], features: int) -> Callable[[int], Any]:
    from nasmith.tasks.clrs.graph_network import triplet_gmpnn

    return triplet_gmpnn(function, features)


def _seeds() -> dict[str, str]:
    folder = files("nasmith.tasks.clrs") / "seeds"
    return {f"v{number}": (folder / f"v{number}.py").read_text(encoding="utf-8") for number in range(1, 10)}


TRIPLET_MESSAGES = Part(
    title="triplet messages",
    function="get_triplet_msgs",
    arguments=("z", "edge_fts", "graph_fts", "nb_triplet_fts", "out_size"),
    shapes=_triplet_shapes,
    processor=_triplet_processor,
    seeds=_seeds(),
    preamble=(files("nasmith.tasks.clrs") / "seeds" / "preamble.py").read_text(encoding="utf-8"),
    statement="""\
The function computes the messages of triplets of nodes in a graph neural network, a Triplet-GMPNN in JAX and Haiku that \
learns to execute a classical algorithm. It takes float32 arrays: `z` of shape (batch, nodes, 2 * out_size), the features and \
the hidden state of each node; `edge_fts` (batch, nodes, nodes, out_size); `graph_fts` (batch, out_size); and the integers \
`nb_triplet_fts` and `out_size`. It returns float32 messages of shape (batch, nodes, nodes, out_size), for any batch and any \
number of nodes. The network passes them through a ReLU, and decodes edges from them.

The standard function maps nodes, edges and graph to `nb_triplet_fts` features for each place in a triplet, adds them by \
broadcasting to (batch, nodes, nodes, nodes, nb_triplet_fts), takes the maximum over axis 1, and maps that to out_size. Layers \
are Haiku's (`hk.Linear`, `hk.nets.MLP`, `hk.LayerNorm`), made inside the function. JAX traces it: no effects, no state, no \
Python branches on values.""",
    without_effect=NODES_ALONE,
)
"""The function that EvoPrompting searched (Chen, Dohan, So 2023, arXiv 2302.14838), with its nine seeds."""
