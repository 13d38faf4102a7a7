"""The part of CLRS that meets candidates' code: screens functions, trains networks with them, predicts. It holds no data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith.files import cache_folder
from nasmith.protocols import Data
from nasmith.tasks.clrs.clrs_recipes import STRINGS, ClrsRecipe
from nasmith.tasks.clrs.packages import kept_handlers, load_clrs
from nasmith.tasks.clrs.parts import Part, load_part

if TYPE_CHECKING:
    import haiku as hk
    import numpy as np

    from nasmith.tasks.clrs.graph_network import GraphNetwork, Spec

__all__ = ["ClrsWorkload", "params_around"]


@dataclass(frozen=True, slots=True)
class ClrsWorkload:
    """What travels to the worker processes.

    Attributes:
        algorithm: As the package names it.
        recipe: How networks are trained.
        part: Place of the part that is searched, for `load_part`.
        max_params: Parameters that a whole network may have.
        device: "auto", "cpu" or "cuda".
    """

    algorithm: str
    recipe: ClrsRecipe
    part: str
    max_params: int
    device: str

    readable = ("/proc/cpuinfo", "/sys/devices/system/cpu")  # XLA's fast kernels ask what the processor has

    @property
    def gpu(self) -> bool:
        """Whether networks are trained on a GPU; "auto" takes one where its driver is and JAX's plug-in for it."""
        from importlib.util import find_spec

        plugged = any(find_spec(name) for name in ("jax_cuda12_plugin", "jax_cuda13_plugin"))
        return self.device == "cuda" or (self.device == "auto" and plugged and Path("/dev/nvidiactl").exists())

    @property
    def spare_threads(self) -> int:
        """Threads that JAX starts: about 15, and two for each processor while it compiles."""
        return 16 + 2 * (os.cpu_count() or 1)

    def warm(self) -> None:
        """Import all that a job needs, and trace a function, in a process that stays single-threaded.

        JAX starts its threads with its first array, and must not be forked after that: here nothing is computed.
        """
        load_clrs()
        from nasmith.tasks.clrs import clrs_training  # noqa: F401 - jobs find it imported
        from nasmith.tasks.clrs.part_functions import screen_function

        part = self._part
        screen_function(next(iter(part.seeds.values())), part, self.recipe.hidden, self.recipe.features, compute=False)

    def screen(self, text: str) -> Mapping[str, float]:
        """Check a program before anything of the network is compiled; see `part_functions.screen_function`.

        Returns:
            params: Parameters of the whole network with this function.
            part_params: Of the function alone.
            flops: Of the function, for one graph of 16 nodes.

        Raises:
            ValueError: It breaks a rule; the message says which.
        """
        self._begin()
        from nasmith.tasks.clrs.part_functions import ProgramError, screen_function

        facts = screen_function(text, self._part, self.recipe.hidden, self.recipe.features)
        params = self._params_around() + facts["part_params"]
        if params > self.max_params:
            raise ProgramError(f"the network has {params:,.0f} parameters with it; at most {self.max_params:,} are allowed")
        return {"params": params, **facts}

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
        """Train a network with the function, and predict the other splits at each evaluation point.

        Args:
            text: The program.
            seed: Of parameters and batches.
            data: "train": `Samples.flat` of each length, below "<length>/"; other splits: `Samples.questions`.

        Returns:
            Arrays: `predictions/<split>/<output>`, (points, samples, …); `state/<point>/<module>/<name>`.
            Facts: steps; diverged, where it did.

        Raises:
            ValueError: The loss is not finite from the start.
        """
        self._begin()
        import numpy as np

        from nasmith.tasks.clrs.clrs_training import Predictor, flat_state, train

        network, spec = self._network(text)
        predict = Predictor(network, spec)
        arrays: dict[str, Any] = {}
        rows: dict[str, list[np.ndarray]] = {}

        def visit(point: int, params: hk.Params) -> None:
            arrays.update({f"state/{point}/{name}": value for name, value in flat_state(params).items()})
            for split, questions in data.items():
                if split != "train":
                    for name, value in predict(params, questions).items():
                        rows.setdefault(f"predictions/{split}/{name}", []).append(value)

        facts = train(network, _by_length(data["train"]), self.recipe, seed, visit)
        arrays.update({name: np.stack(values) for name, values in rows.items()})
        return arrays, facts

    def examine(
        self, text: str, state: Mapping[str, np.ndarray], data: Data
    ) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
        """Measure a program again, give its network the trained state, and predict: `predictions/<split>/<output>`, (1, …).

        Raises:
            ValueError: The program does not build, or the state is not one of its network.
        """
        from nasmith.tasks.clrs.clrs_training import Predictor, params_of

        facts = self.screen(text)
        network, spec = self._network(text)
        params = params_of(state, network.shapes(_example(self.algorithm)[1].features))
        predict = Predictor(network, spec)
        found = {
            f"predictions/{split}/{name}": value[None]
            for split, questions in data.items()
            for name, value in predict(params, questions).items()
        }
        return found, facts

    @property
    def _part(self) -> Part:
        return load_part(self.part)

    def _begin(self) -> None:
        """Choose the device, before JAX starts, and keep what it compiles where nothing holds the candidate.

        In a sandbox no file may be written, and one that candidates share must not be: it could change what another one runs.
        """
        load_clrs()
        import resource  # not on Windows

        import jax

        jax.config.update("jax_platforms", "cuda,cpu" if self.gpu else "cpu")
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0:
            jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "clrs" / "compiled"))

    def _network(self, text: str) -> tuple[GraphNetwork, Spec]:
        from nasmith.tasks.clrs.graph_network import GraphNetwork, sizes_of
        from nasmith.tasks.clrs.part_functions import build_function

        spec, feedback = _example(self.algorithm)
        function = build_function(text, self._part)
        processor = self._part.processor(function, self.recipe.features)
        return GraphNetwork(spec, sizes_of(feedback), processor, self.recipe.hidden), spec

    def _params_around(self) -> int:
        """Return the parameters of the network around the function."""
        return params_around(self.algorithm, self.part, self.recipe.hidden, self.recipe.features)


@cache
def _example(algorithm: str) -> tuple[Spec, Any]:
    """Return an algorithm's probes and one sample with four nodes, or five for strings, which need no more."""
    import clrs

    from nasmith.tasks.clrs.graph_network import processed

    with kept_handlers():
        sampler, _ = clrs.build_sampler(algorithm, seed=0, num_samples=1, length=5 if algorithm in STRINGS else 4)
    spec, samples = processed(algorithm, iter([sampler.next()]))
    return spec, next(samples)


@cache
def params_around(algorithm: str, place: str, hidden: int, features: int) -> int:
    """Return the parameters of the network without those of the part: those of the standard function taken from the whole."""
    load_clrs()
    from nasmith.tasks.clrs.graph_network import GraphNetwork, sizes_of
    from nasmith.tasks.clrs.part_functions import build_function, count, screen_function

    part = load_part(place)
    text = next(iter(part.seeds.values()))
    spec, feedback = _example(algorithm)
    network = GraphNetwork(spec, sizes_of(feedback), part.processor(build_function(text, part), features), hidden)
    own = screen_function(text, part, hidden, features, compute=False)["part_params"]
    return count(network.shapes(feedback.features)) - int(own)


def _by_length(arrays: Mapping[str, np.ndarray]) -> dict[int, Any]:
    """Return the samples of a split by their number of nodes."""
    from nasmith.tasks.clrs.algorithm_samples import Samples

    parts: dict[int, dict[str, np.ndarray]] = {}
    for name, value in arrays.items():
        length, _, rest = name.partition("/")
        parts.setdefault(int(length), {})[rest] = value
    return {length: Samples.of(part) for length, part in parts.items()}
