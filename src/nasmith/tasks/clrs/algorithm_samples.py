"""Samples of the benchmark's algorithms: drawn by the package's own samplers, passed through its pipeline, and kept in a cache.

Draws are those of the package's `examples/run.py`: training and validation samples with a random connection probability and
random positions, and for matching strings a random needle. The test set is the benchmark's own (CLRS-30, length 64), drawn
again by its seed instead of downloaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from nasmith.array_files import cached_arrays
from nasmith.files import cache_folder
from nasmith.seeding import derive
from nasmith.tasks.clrs.clrs_recipes import STRINGS
from nasmith.tasks.clrs.packages import check_installed, kept_handlers, load_clrs

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TEST_LENGTH", "Samples", "Wanted", "draw", "full_size", "load", "val_length"]

TEST_LENGTH = 64

_SPARSE = frozenset({"articulation_points", "bridges", "mst_kruskal"})  # half the connections: their traces are long
_PROBABILITIES = tuple(0.1 + 0.1 * i for i in range(9))
_LONGEST_NEEDLE = 8
_LAYOUT = 1  # of the files; counts up where it changes
_log = logging.getLogger("nasmith")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which samples.

    Attributes:
        algorithm: As the package names it.
        length: Nodes of each; of strings, needle and haystack together.
        count: How many.
        seed: Seed of the draws; None for the benchmark's test set.
    """

    algorithm: str
    length: int
    count: int
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one length, as arrays by the probes' names: int8 where all values are whole and small, float32 otherwise.

    Attributes:
        inputs: (samples, …).
        hints: (steps, samples, …), zeros behind a sample's own steps.
        outputs: (samples, …).
        lengths: Steps of each sample, int16 (samples,).
    """

    inputs: Mapping[str, np.ndarray]
    hints: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    lengths: np.ndarray

    def flat(self) -> dict[str, np.ndarray]:
        """Return all arrays under one name each."""
        arrays = {"lengths": self.lengths}
        for kind in ("inputs", "hints", "outputs"):
            arrays |= {f"{kind}/{name}": value for name, value in getattr(self, kind).items()}
        return arrays

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Samples:
        """Read what `flat` returned; parts that are not there are empty."""
        parts: dict[str, dict[str, np.ndarray]] = {"inputs": {}, "hints": {}, "outputs": {}}
        for name, value in arrays.items():
            kind, slash, probe = name.partition("/")
            if slash:
                parts[kind][probe] = value
        return cls(lengths=arrays["lengths"], **parts)

    def questions(self) -> dict[str, np.ndarray]:
        """Return what a network may see of samples that it is judged by, flat: no outputs, and of the hints the first step.

        The steps behind it hold the answers; a network that predicts uses none of them. "steps" says how many there are.
        """
        import numpy as np

        first = Samples(self.inputs, {name: value[:1] for name, value in self.hints.items()}, {}, self.lengths)
        steps = next(iter(self.hints.values())).shape[0]
        return {**first.flat(), "steps": np.array([steps], dtype=np.int32)}


def load(wanted: Wanted) -> Samples:
    """Return samples from the cache; they are drawn where they are not there.

    Raises:
        MissingDependencyError: The extra is not installed.
        NasmithError: The cache cannot be written.
    """
    check_installed()
    what = [wanted.algorithm, wanted.length, wanted.count, wanted.seed]
    packages = {name: version(name) for name in ("dm-clrs", "numpy")}
    key = hashlib.sha256(json.dumps([_LAYOUT, what, packages], sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / "clrs" / f"{wanted.algorithm}-{wanted.length}-{wanted.count}-{key}.npz"
    return Samples.of(cached_arrays(path, lambda: draw(wanted).flat()))


def draw(wanted: Wanted) -> Samples:
    """Draw samples."""
    load_clrs()
    import clrs
    import numpy as np

    from nasmith.tasks.clrs.graph_network import processed

    _log.info("drawing %s samples of %s with %s nodes", f"{wanted.count:,}", wanted.algorithm, wanted.length)
    began = time.monotonic()
    options: dict[str, Any] = {}
    positions = None
    seed = clrs.CLRS30["test"]["seed"]
    if wanted.seed is not None:
        seed = derive(wanted.seed, "clrs", wanted.algorithm, wanted.length) % 2**32
        share = 0.5 if wanted.algorithm in _SPARSE else 1.0
        needle = min(_LONGEST_NEEDLE, (wanted.length - 1) // 2)  # a longer one finds no place
        chosen = {"p": tuple(share * p for p in _PROBABILITIES), "length_needle": -needle}  # below 0: of any length up to it
        options = _taken(wanted.algorithm, chosen)
        positions = np.random.default_rng(seed)
    options |= {"seed": seed, "num_samples": wanted.count, "length": wanted.length}
    with kept_handlers():
        sampler, _ = clrs.build_sampler(wanted.algorithm, **options)
        feedback = next(processed(wanted.algorithm, _endless(sampler), positions)[1])
    _log.info("drawn in %.0f s", time.monotonic() - began)
    features = feedback.features
    inputs, hints, outputs = (
        {point.name: _compact(point.data) for point in points} for points in (features.inputs, features.hints, feedback.outputs)
    )
    return Samples(inputs, hints, outputs, np.asarray(features.lengths).astype(np.int16))


def val_length(algorithm: str) -> int:
    """Return the nodes of validation samples: 16; for strings 20, as the paper trains them, where needles of 8 have a place."""
    return 20 if algorithm in STRINGS else 16


def full_size(algorithm: str) -> tuple[int, int]:
    """Return the numbers of validation and of test samples at full size, as the benchmark has them."""
    load_clrs()
    import clrs

    factor: int = clrs.CLRS_30_ALGS_SETTINGS[algorithm]["num_samples_multiplier"]
    return clrs.CLRS30["val"]["num_samples"] * 2 * factor, clrs.CLRS30["test"]["num_samples"] * factor


def _taken(algorithm: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options that an algorithm's sampler takes; the package warns of others."""
    import inspect

    from clrs._src.samplers import SAMPLERS

    known = inspect.signature(SAMPLERS[algorithm]._sample_data).parameters
    return {name: value for name, value in options.items() if name in known}


def _endless(sampler: Any) -> Iterator[Any]:
    while True:
        yield sampler.next()


def _compact(values: Any) -> np.ndarray:
    """Return values in the smallest type that holds them: int8 for whole and small numbers, float32 otherwise."""
    import numpy as np

    array = np.asarray(values)
    small = np.abs(array).max(initial=0) <= np.iinfo(np.int8).max and bool((array == np.round(array)).all())
    return array.astype(np.int8 if small else np.float32)
