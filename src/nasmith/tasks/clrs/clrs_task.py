"""The trusted side of CLRS: options, samples, and scores by outputs that no worker ever had."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from nasmith.errors import ConfigError, UnknownNameError
from nasmith.protocols import Data
from nasmith.tasks.clrs import algorithm_samples
from nasmith.tasks.clrs.algorithm_samples import TEST_LENGTH, Samples, Wanted, val_length
from nasmith.tasks.clrs.clrs_recipes import ALGORITHMS, ClrsRecipe, clrs_recipe
from nasmith.tasks.clrs.clrs_workload import ClrsWorkload
from nasmith.tasks.clrs.output_scores import best_point, compare, scores
from nasmith.tasks.clrs.packages import check_installed
from nasmith.tasks.clrs.parts import load_part
from nasmith.tasks.torch_accounts import state_at
from nasmith.types import Description, Objective, Outcome, Purpose

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Clrs"]

_log = logging.getLogger("nasmith")

_AIM = """

What counts is the number of the network's parameters times its validation error (1 - score); lower is better. The network has \
{hidden} hidden units and learns `{algorithm}` in {steps:,} steps; it is judged on samples of {length} nodes. A network with \
more than {task.max_params:,} parameters is rejected. Imports are allowed of JAX, Haiku, NumPy and einops alone."""

_EXAMPLE = """\
import clrs
import jax.numpy as jnp
from safetensors.numpy import load_file

import graph_network
import model

ALGORITHM, HIDDEN, FEATURES = "{algorithm}", {hidden}, {features}
settings = clrs.CLRS_30_ALGS_SETTINGS[ALGORITHM]
sampler, _ = clrs.build_sampler(ALGORITHM, seed=3, num_samples=32 * settings["num_samples_multiplier"], length=64)
spec, samples = graph_network.processed(ALGORITHM, iter([sampler.next()]))
feedback = next(samples)
params = {{}}
for name, value in load_file("weights.safetensors").items():
    module, _, parameter = name.rpartition("/")
    params.setdefault(module, {{}})[parameter] = jnp.asarray(value)
network = graph_network.GraphNetwork(
    spec, graph_network.sizes_of(feedback), graph_network.triplet_gmpnn(model.get_triplet_msgs, FEATURES), HIDDEN
)
found = graph_network.predict_all(network, params, feedback.features)
print(f"test error: {{1 - clrs.evaluate(feedback.outputs, found)['score']:.4f}}")
"""


class Clrs:
    """A function of the graph network that learns one of 30 classical algorithms (CLRS-30); EvoPrompting's second benchmark.

    Candidates are Python functions `get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size)` in Haiku and JAX; the
    rest is `dm-clrs`'s own Triplet-GMPNN. Settings and fitness are those of EvoPrompting (Chen, Dohan, So 2023, arXiv
    2302.14838): fitness is -(parameters * validation error), of the whole network; the error is 1 - the best score at the
    evaluation points, on samples of length 16. A verification adds the error on the benchmark's test set, of length 64.

    Args:
        algorithm: One of the 30; `nasmith search clrs-bfs` names it, too.
        preset: "paper" (hidden size 128, 2,000 steps), or "small" for two processor cores. See docs/clrs.md.
        hidden: Hidden size. This and what follows is as the preset says where it is left out.
        steps: Optimiser steps of a training.
        batch_size: Samples of a step.
        lengths: Nodes of the training samples.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        evaluations: Evaluation points of a training, evenly spaced.
        train_samples: Training samples of each length.
        val_samples: Validation samples.
        max_params: A function whose network has more parameters is rejected before training.
        part: Place of the part of the network that is searched ("package.module:NAME"), a `Part`.
        device: "auto" (a GPU where JAX has one), "cpu", "cuda".
        data_seed: Of the training and validation samples.
    """

    shorthand = "algorithm"
    shorthand_separator = "-"
    objectives: Sequence[Objective] = (Objective("params", "minimize", log=True), Objective("val_error", "minimize"))

    def __init__(
        self,
        algorithm: str,
        *,
        preset: str = "paper",
        hidden: int | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        lengths: Sequence[int] | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        evaluations: int | None = None,
        train_samples: int | None = None,
        val_samples: int | None = None,
        max_params: int = 2_000_000,
        part: str = "nasmith.tasks.clrs.parts:TRIPLET_MESSAGES",
        device: str = "auto",
        data_seed: int = 0,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise UnknownNameError("algorithm of CLRS", algorithm, ALGORITHMS)
        if device not in {"auto", "cpu", "cuda"}:
            raise ConfigError(f'clrs: device must be "auto", "cpu" or "cuda"; {device!r} came')
        if type(max_params) is not int or max_params < 1:
            raise ConfigError(f"clrs: max_params must be a whole number from 1; {max_params!r} came")
        self.algorithm, self.preset, self.part, self.device, self.data_seed = algorithm, preset, part, device, data_seed
        self.hidden, self.steps, self.batch_size, self.lengths = hidden, steps, batch_size, lengths
        self.learning_rate, self.weight_decay, self.evaluations = learning_rate, weight_decay, evaluations
        self.train_samples, self.val_samples, self.max_params = train_samples, val_samples, max_params
        self.name = f"clrs-{algorithm}"
        self.recipe  # noqa: B018 - checks the options

    @property
    def recipe(self) -> ClrsRecipe:
        """How networks are trained."""
        names = ("hidden", "steps", "batch_size", "lengths", "learning_rate", "weight_decay", "evaluations")
        return clrs_recipe(self.preset, {name: getattr(self, name) for name in (*names, "train_samples", "val_samples")})

    @property
    def planned_steps(self) -> int:
        """Optimiser steps of a whole training."""
        return self.recipe.steps

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a run has where the user names nothing: room for JAX; a small search for the small preset."""
        strategy: dict[str, Any] = {"name": "evoprompting", "options": {}}
        limits: dict[str, Any] = {"memory_mb": 16_000.0, "timeout_seconds": 86_400.0, "output_mb": 1024.0}
        if self.preset != "small":
            return {"strategy": strategy, "executor": {"name": "processes", "options": limits}}
        # Short trainings have large errors. Few children of a small model can be trained: the tuning is on all of them.
        strategy["options"] = {"error_threshold": 1.0, "rounds": 2, "prompts": 8, "samples": 8, "survivors": 3}
        strategy["options"] |= {"tune_on": "all", "temperatures": [0.6, 0.8, 1.0]}
        limits |= {"memory_mb": 6000.0, "timeout_seconds": 1800.0}
        return {
            "strategy": strategy,
            "executor": {"name": "processes", "options": limits},
            "verify": {"best": 1, "front": 0, "seeds": 1, "baselines": False},
        }

    def describe(self) -> Description:
        """What prompts, exports and people need to know."""
        part, recipe = load_part(self.part), self.recipe
        example = _EXAMPLE.format(algorithm=self.algorithm, hidden=recipe.hidden, features=recipe.features)
        aim = _AIM.format(
            hidden=recipe.hidden, algorithm=self.algorithm, steps=recipe.steps, length=val_length(self.algorithm), task=self
        )
        return Description(
            title=f"CLRS {self.algorithm}: {part.title} of a graph network",
            first_line=part.first_line,
            preamble=part.preamble,
            example_script=example if self.part.startswith("nasmith.") else "",
            statement=part.statement + aim,
        )

    def seeds(self) -> Mapping[str, str]:
        """The part's seed programs by name."""
        return load_part(self.part).seeds

    def workload(self) -> ClrsWorkload:
        """How programs are checked and trained."""
        return ClrsWorkload(self.algorithm, self.recipe, self.part, self.max_params, self.device)

    def check(self) -> None:
        """Find out whether the extra is installed, before anything is begun. Warns where a search is for nothing.

        Raises:
            MissingDependencyError: It is not.
        """
        check_installed()
        part = load_part(self.part)
        if self.algorithm in part.without_effect:
            _log.warning(
                "%s: the %s change no prediction of this network, so that errors of different functions differ by chance alone",
                self.name,
                part.title,
            )

    def data(self) -> Data:
        """Training samples, and questions of the others; draws the samples on first use."""
        recipe = self.recipe
        train: dict[str, np.ndarray] = {}
        for length in recipe.lengths_of(self.algorithm):
            samples = algorithm_samples.load(
                Wanted(self.algorithm, length, recipe.samples_of(self.algorithm), 2 * self.data_seed)
            )
            train |= {f"{length}/{name}": value for name, value in samples.flat().items()}
        return {"train": train, "val": self._val.questions(), "test": self._test.questions()}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Metrics of a training, from predictions and a state that are checked, and outputs that no worker ever had.

        Returns:
            val_error: 1 - the score that the package's evaluator gives at the best evaluation point, 0 to 1.
            params: Numbers in the returned state.
            flops: Of the searched function, for one graph of 16 nodes.
            train_seconds: Wall time of the job, compiling included.
            diverged: 1 where the loss was not finite later on.
            test_error, best_point: For "verify": the error on the test set, by the state of that point.

        Raises:
            ValueError: The arrays are not what `fit` returns.
        """
        val, names = self._val.outputs, (self.algorithm, self.recipe.evaluations)
        best = best_point(scores(outcome, "val", val, *names))
        params = sum(int(value.size) for value in state_at(outcome, best).values())
        if params > examined.facts.get("params", 0):
            raise ValueError(f"the trained state has {params:,} parameters; the program was measured with fewer")
        again = scores(examined, "val", val, *names)[0]
        compare(outcome, examined, best, val)
        metrics = {"val_error": 1 - again, "params": float(params)}
        metrics |= {"flops": float(examined.facts.get("flops", 0.0)), "train_seconds": outcome.seconds}
        if outcome.facts.get("diverged"):
            metrics["diverged"] = 1.0
        if purpose == "verify":
            metrics |= {"test_error": 1 - scores(examined, "test", self._test.outputs, *names)[0], "best_point": float(best)}
        return metrics

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """-(params * val_error); higher is better, 0 at best."""
        return -(metrics["params"] * metrics["val_error"])

    def best_state(self, outcome: Outcome) -> Mapping[str, np.ndarray]:
        """The parameters by "module/name" at the point with the best validation score.

        Raises:
            ValueError: The arrays are not what `fit` returns.
        """
        found = scores(outcome, "val", self._val.outputs, self.algorithm, self.recipe.evaluations)
        return state_at(outcome, best_point(found))

    def companions(self) -> Mapping[str, bytes]:
        """The network around the function, as an export needs it."""
        source = files("nasmith.tasks.clrs") / "graph_network.py"
        return {"graph_network.py": source.read_bytes()} if self.part.startswith("nasmith.") else {}

    @cached_property
    def _val(self) -> Samples:
        count = self.recipe.val_samples or algorithm_samples.full_size(self.algorithm)[0]
        return algorithm_samples.load(Wanted(self.algorithm, val_length(self.algorithm), count, 2 * self.data_seed + 1))

    @cached_property
    def _test(self) -> Samples:
        return algorithm_samples.load(Wanted(self.algorithm, TEST_LENGTH, algorithm_samples.full_size(self.algorithm)[1]))
