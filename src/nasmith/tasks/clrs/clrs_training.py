"""Trains a graph network on samples of one algorithm, and predicts with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import clrs
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

from nasmith.seeding import derive
from nasmith.tasks.clrs.algorithm_samples import Samples
from nasmith.tasks.clrs.clrs_recipes import ClrsRecipe
from nasmith.tasks.clrs.graph_network import GraphNetwork, Spec, datapoints

__all__ = ["Predictor", "flat_state", "optimised", "params_of", "train"]

_BATCH = 32  # of predictions: as in the package's example
_log = logging.getLogger("nasmith")


class Predictor:
    """Predicts the outputs of samples, batch by batch; compiled once for each number of nodes and of steps.

    Args:
        network: The network.
        spec: The algorithm's probes.
    """

    def __init__(self, network: GraphNetwork, spec: Spec) -> None:
        self._spec = spec
        self._run: Callable[..., Any] = jax.jit(self._predict, static_argnames="steps")
        self._network = network

    def __call__(self, params: hk.Params, questions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs by name, as the package's `evaluate` takes them, (samples, …): int16 where they are whole.

        Args:
            params: The network's parameters.
            questions: What `Samples.questions` returns.
        """
        samples = Samples.of({name: value for name, value in questions.items() if name != "steps"})
        steps, count = int(questions["steps"][0]), len(samples.lengths)
        found: list[dict[str, np.ndarray]] = []
        for start in range(0, count, _BATCH):
            rows = np.arange(start, start + min(_BATCH, count)) % count  # the last batch has the size of the others
            found.append(jax.device_get(self._run(params, _rows(samples, rows), steps=steps)))
        together = {name: np.concatenate([part[name] for part in found])[:count] for name in found[0]}
        return {name: value.astype(_exact(value)) for name, value in together.items()}

    def _predict(self, params: hk.Params, batch: Mapping[str, Any], steps: int) -> dict[str, jax.Array]:
        hints = {
            name: jnp.zeros((steps, *value.shape[1:])).at[0].set(value[0]) for name, value in _floats(batch["hints"]).items()
        }
        features = _features(self._spec, batch, hints)
        found = self._network.predict(params, jax.random.key(0), features)
        return {name: point.data for name, point in found.items()}


def train(
    network: GraphNetwork,
    lengths: Mapping[int, Samples],
    recipe: ClrsRecipe,
    seed: int,
    visit: Callable[[int, hk.Params], None],
) -> dict[str, float]:
    """Train a network with AdamW, one length after the other, as the package's example does with Adam.

    Args:
        network: The network.
        lengths: Training samples by their number of nodes. Each sample is used once before any is used again.
        recipe: How.
        seed: Of parameters and batches.
        visit: Called at each evaluation point with (its number, the parameters), which it must not keep: they are overwritten.

    Returns:
        Facts: steps, diverged (1 where the loss was not finite at an evaluation point, which ends the training there).

    Raises:
        ValueError: The loss was not finite at the first evaluation point.
    """
    step, begin = optimised(network, recipe, seed)
    batches = {nodes: _batches(samples, recipe.batch_size, derive(seed, "order", nodes)) for nodes, samples in lengths.items()}
    smallest = min(lengths)
    example = _feedback(network.spec, _rows(lengths[smallest], np.arange(recipe.batch_size)))
    params = network.init(jax.random.key(seed), example.features)
    state = begin(params)
    points = {recipe.steps * (point + 1) // recipe.evaluations: point for point in range(recipe.evaluations)}
    turns = sorted(lengths)
    for number in range(recipe.steps):
        # Nothing waits for the device here: the next batch is put together while it works on this one.
        params, state, loss = step(params, state, number, next(batches[turns[number % len(turns)]]))
        point = points.get(number + 1)
        if point is None:
            continue
        last = float(loss)
        _log.info("step %d of %d, loss %.3f", number + 1, recipe.steps, last)
        if not np.isfinite(last):
            if point == 0:
                raise ValueError(f"the loss is {last} after {number + 1} steps: it diverges from the start")
            return {"steps": float(number + 1), "diverged": 1.0}
        visit(point, params)
    return {"steps": float(recipe.steps)}


def optimised(network: GraphNetwork, recipe: ClrsRecipe, seed: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what makes a step of AdamW, and what makes the optimiser's first state of parameters.

    A step takes (parameters, state, its number, batch) and returns (parameters, state, loss); the former two are overwritten.
    Gradients are compiled for each number of nodes, the update once for all, on one array: together, a fifth of the time less.
    """
    optimiser = optax.flatten(
        optax.chain(optax.clip_by_global_norm(recipe.clip), optax.adamw(recipe.learning_rate, weight_decay=recipe.weight_decay))
    )

    def gradients(params: hk.Params, number: jax.Array, batch: Mapping[str, Any]) -> tuple[jax.Array, hk.Params]:
        key = jax.random.fold_in(jax.random.key(seed), number)
        return jax.value_and_grad(network.loss)(params, key, _feedback(network.spec, batch))

    def update(params: hk.Params, state: Any, found: hk.Params) -> tuple[hk.Params, Any]:
        updates, state = optimiser.update(found, state, params)
        return optax.apply_updates(params, updates), state

    differentiate, apply = jax.jit(gradients), jax.jit(update, donate_argnums=(0, 1))

    def step(params: hk.Params, state: Any, number: int, batch: Mapping[str, Any]) -> tuple[hk.Params, Any, jax.Array]:
        loss, found = differentiate(params, number, batch)
        return *apply(params, state, found), loss

    return step, optimiser.init


def flat_state(params: hk.Params) -> dict[str, np.ndarray]:
    """Return Haiku's parameters as arrays by "module/name"."""
    # Copies: the device's own memory is given to the next step.
    return {f"{module}/{name}": np.array(value) for module, values in params.items() for name, value in values.items()}


def params_of(state: Mapping[str, np.ndarray], shapes: hk.Params) -> hk.Params:
    """Read what `flat_state` returned.

    Raises:
        ValueError: It is not a state of the network with these shapes.
    """
    wanted = {f"{module}/{name}": tuple(v.shape) for module, values in shapes.items() for name, v in values.items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if wanted != found:
        odd = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
        raise ValueError(f"the trained state is not one of this program: {odd} has another shape, or is missing")
    params: dict[str, dict[str, jax.Array]] = {}
    for name, value in state.items():
        module, _, parameter = name.rpartition("/")
        params.setdefault(module, {})[parameter] = jnp.asarray(value, jnp.float32)
    return params


def _batches(samples: Samples, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield batches without end; a sample comes again when all others have."""
    count = len(samples.lengths)
    generator = np.random.default_rng(seed)
    order = np.empty(0, dtype=np.int64)
    while True:
        while len(order) < size:
            order = np.concatenate([order, generator.permutation(count)])
        rows, order = order[:size], order[size:]
        yield _rows(samples, rows)


def _rows(samples: Samples, rows: np.ndarray) -> dict[str, Any]:
    """Return some of the samples, in the types that they are kept in: less to move to the device."""
    return {
        "inputs": {name: value[rows] for name, value in samples.inputs.items()},
        "hints": {name: value[:, rows] for name, value in samples.hints.items()},
        "outputs": {name: value[rows] for name, value in samples.outputs.items()},
        "lengths": samples.lengths[rows],
    }


def _floats(arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
    return {name: jnp.asarray(value, jnp.float32) for name, value in arrays.items()}


def _features(spec: Spec, batch: Mapping[str, Any], hints: Mapping[str, Any]) -> clrs.Features:
    inputs = tuple(datapoints(spec, _floats(batch["inputs"])))
    return clrs.Features(inputs, tuple(datapoints(spec, hints)), jnp.asarray(batch["lengths"], jnp.float32))


def _feedback(spec: Spec, batch: Mapping[str, Any]) -> clrs.Feedback:
    features = _features(spec, batch, _floats(batch["hints"]))
    return clrs.Feedback(features, tuple(datapoints(spec, _floats(batch["outputs"]))))


def _exact(values: np.ndarray) -> type[np.generic]:
    """Return int16 for whole numbers, which outputs are but for scalars."""
    finite = bool(np.isfinite(values).all())
    return (
        np.int16
        if finite and bool((values == np.round(values)).all()) and np.abs(values).max(initial=0) < 2**15
        else np.float32
    )
