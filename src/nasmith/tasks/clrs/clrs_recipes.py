"""The settings of a training on CLRS, and the presets. Standard library only: they travel to workers, and are checked first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from nasmith.errors import ConfigError, UnknownNameError

__all__ = ["ALGORITHMS", "NODES_ALONE", "PRESETS", "STRINGS", "ClrsRecipe", "clrs_recipe"]

ALGORITHMS = (
    "activity_selector", "articulation_points", "bellman_ford", "bfs", "binary_search", "bridges", "bubble_sort",
    "dag_shortest_paths", "dfs", "dijkstra", "find_maximum_subarray_kadane", "floyd_warshall", "graham_scan", "heapsort",
    "insertion_sort", "jarvis_march", "kmp_matcher", "lcs_length", "matrix_chain_order", "minimum", "mst_kruskal", "mst_prim",
    "naive_string_matcher", "optimal_bst", "quickselect", "quicksort", "segments_intersect", "strongly_connected_components",
    "task_scheduling", "topological_sort",
)  # fmt: skip
"""The 30 algorithms of the benchmark, as the package `dm-clrs` names them."""

STRINGS = frozenset({"kmp_matcher", "naive_string_matcher"})
"""Algorithms that are trained at one length, five quarters of the longest."""

NODES_ALONE = frozenset(
    {"activity_selector", "binary_search", "find_maximum_subarray_kadane", "jarvis_march", "minimum", "naive_string_matcher"}
    | {"segments_intersect", "task_scheduling"}
)
"""Algorithms whose hints and outputs are decoded from nodes and graph alone: they have no pointers and nothing of edges."""

_MOST_SAMPLES = 16_000


def _demand(holds: bool, option: str, rule: str, came: object) -> None:
    if not holds:
        raise ConfigError(f"clrs: {option} must be {rule}; {came!r} came")


@dataclass(frozen=True, slots=True)
class ClrsRecipe:
    """How a network is trained. The defaults are those of the package's `examples/run.py` with AdamW and 2,000 steps.

    Attributes:
        hidden: Hidden size of the network.
        features: Features of a triplet, the argument `nb_triplet_fts`.
        steps: Optimiser steps.
        batch_size: Samples of a step.
        lengths: Nodes of the training samples, one length after the other.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW; optax's default.
        clip: Largest norm of the gradients.
        evaluations: Points at which the validation set is predicted, evenly spaced.
        train_samples: Training samples of each length; None for as many as the steps need, at most 16,000.
        val_samples: Validation samples, of length 16; None for the benchmark's number, 64, or 32 to 64 times as many for seven
            algorithms whose outputs are small.
    """

    hidden: int = 128
    features: int = 8
    steps: int = 2000
    batch_size: int = 32
    lengths: Sequence[int] = (4, 7, 11, 13, 16)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip: float = 1.0
    evaluations: int = 40
    train_samples: int | None = None
    val_samples: int | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: One breaks a rule.
        """
        for option in ("hidden", "features", "steps", "batch_size", "evaluations", "train_samples", "val_samples"):
            value = getattr(self, option)
            optional = option in {"train_samples", "val_samples"} and value is None
            _demand(optional or (type(value) is int and value >= 1), option, "a whole number from 1", value)
        lengths = tuple(self.lengths)
        _demand(
            bool(lengths) and all(type(n) is int and 4 <= n <= 64 for n in lengths), "lengths", "numbers from 4 to 64", lengths
        )
        _demand(self.evaluations <= self.steps, "evaluations", f"at most steps ({self.steps})", self.evaluations)
        _demand(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        _demand(self.weight_decay >= 0, "weight_decay", "0 or more", self.weight_decay)
        _demand(self.clip > 0, "clip", "above 0", self.clip)
        object.__setattr__(self, "lengths", tuple(sorted(set(lengths))))

    def lengths_of(self, algorithm: str) -> tuple[int, ...]:
        """Return the lengths that an algorithm is trained at: for matching strings, one that is a quarter longer."""
        return (max(self.lengths) * 5 // 4,) if algorithm in STRINGS else tuple(self.lengths)

    def samples_of(self, algorithm: str) -> int:
        """Return how many training samples of each length there are."""
        turns = -(-self.steps // len(self.lengths_of(algorithm)))
        return max(self.batch_size, self.train_samples or min(turns * self.batch_size, _MOST_SAMPLES))


PRESETS: Mapping[str, ClrsRecipe] = MappingProxyType(
    {
        "paper": ClrsRecipe(),
        "small": ClrsRecipe(
            hidden=32, steps=400, batch_size=8, lengths=(5, 9), learning_rate=3e-3, evaluations=4, val_samples=64
        ),
    }
)
"""Recipes by name: the paper's, and one for two processor cores."""


def clrs_recipe(preset: str, values: Mapping[str, object]) -> ClrsRecipe:
    """Return a preset with other values; None stands for the preset's.

    Raises:
        UnknownNameError: There is no such preset or value.
        ConfigError: A value breaks a rule.
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset of clrs", preset, PRESETS)
    known = {field.name for field in fields(ClrsRecipe)}
    for name in values:
        if name not in known:
            raise UnknownNameError("option of clrs", name, known)
    return replace(PRESETS[preset], **{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
