"""The graph network of dm-clrs (Triplet-GMPNN) with another function in one place. Needs dm-clrs alone; goes into exports.

Everything but that function is the package's own: encoders, decoders, message passing, losses (Ibarz et al. 2022, arXiv
2209.11142; Velickovic et al. 2022, arXiv 2205.15659). Nothing of the package is changed: its triplet messages do not enter the
nodes that its processor returns, so that the processor is run without them, and the function's messages are put beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import clrs
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from clrs._src import decoders, losses, nets, processors

__all__ = [
    "PRED_AS_INPUT",
    "GraphNetwork",
    "Spec",
    "TripletGMPNN",
    "datapoints",
    "predict_all",
    "probes",
    "processed",
    "sizes_of",
    "triplet_gmpnn",
]

PRED_AS_INPUT = frozenset(
    {"activity_selector", "binary_search", "find_maximum_subarray", "find_maximum_subarray_kadane", "jarvis_march"}
    | {"kmp_matcher", "lcs_length", "matrix_chain_order", "minimum", "naive_string_matcher", "optimal_bst", "task_scheduling"}
)
"""Algorithms whose hint `pred_h` never changes, so that it is an input (as in the package's `examples/run.py`)."""

_HINT, _OUTPUT = "hint/", "output/"
Spec = Mapping[str, tuple[str, str, str]]


class TripletGMPNN(processors.MPNN):
    """The package's gated, fully connected processor with messages of triplets by `messages`.

    Args:
        messages: (z, edge_fts, graph_fts, features, size) to float32 (batch, nodes, nodes, size), with z (batch, nodes,
            2 * size), edge_fts (batch, nodes, nodes, size), graph_fts (batch, size).
        size: Hidden size of the network.
        features: Features of a triplet in the standard messages.
    """

    def __init__(self, messages: Callable[..., jax.Array], size: int, features: int) -> None:
        super().__init__(out_size=size, msgs_mlp_sizes=[size, size], use_ln=True, use_triplets=False, gated=True)
        self.messages, self.features = messages, features

    def __call__(
        self, node_fts: Any, edge_fts: Any, graph_fts: Any, adj_mat: Any, hidden: Any, **unused: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Return the nodes' next state, and the messages of triplets, which the decoders of edges take."""
        nodes, _ = super().__call__(node_fts, edge_fts, graph_fts, adj_mat, hidden, **unused)
        z = jnp.concatenate([node_fts, hidden], axis=-1)
        with hk.name_scope("messages"):  # of its own: the package's layers are numbered, too
            messages = self.messages(z, edge_fts, graph_fts, self.features, self.out_size)
        return nodes, jax.nn.relu(messages)


def triplet_gmpnn(messages: Callable[..., jax.Array], features: int) -> Callable[[int], processors.Processor]:
    """Return what makes the processor of a network, as the package's `get_processor_factory` does."""
    return lambda size: TripletGMPNN(messages, size, features)


class _HintsStacked(nets.Net):
    """Returns the predictions of hints as arrays over time, where the package makes a list with an array for each step.

    The loss is the same; a step of 121 hints compiles in 6 s instead of 21.
    """

    def _msg_passing_step(self, mp_state: Any, i: Any, **options: Any) -> tuple[Any, Any]:
        options.update(return_hints=False, return_all_outputs=False)
        state, lean = super()._msg_passing_step(mp_state, i, **options)
        lean.output_preds = {
            **{_HINT + name: value for name, value in state.hint_preds.items()},
            **{_OUTPUT + name: value for name, value in state.output_preds.items()},
        }
        return state, lean


@dataclass(frozen=True)
class GraphNetwork:
    """A network for one algorithm. Parameters are Haiku's: {module: {name: array}}.

    Attributes:
        spec: The algorithm's probes: (stage, location, type) by name, as `processed` returns them.
        sizes: Length of each probe's last axis, by name.
        processor: Makes the processor for a hidden size.
        hidden: Hidden size.
    """

    spec: Spec
    sizes: Mapping[str, int]
    processor: Callable[[int], processors.Processor]
    hidden: int

    def _net(self, features: clrs.Features, repred: bool, training: bool) -> Any:
        kind = _HintsStacked if training else nets.Net
        net = kind(
            spec=[dict(self.spec)],
            hidden_dim=self.hidden,
            encode_hints=True,
            decode_hints=True,
            processor_factory=self.processor,
            use_lstm=False,
            encoder_init="xavier_on_scalars",
            dropout_prob=0.0,
            hint_teacher_forcing=0.0,
            hint_repred_mode="soft",
            nb_dims=[dict(self.sizes)],
        )
        return net([features], repred, algorithm_index=0, return_hints=False, return_all_outputs=training)

    def init(self, key: jax.Array, features: clrs.Features) -> hk.Params:
        """Draw parameters. Compiled, without optimising what runs once: step by step it takes three times as long."""

        def drawn(key: jax.Array, features: clrs.Features) -> hk.Params:
            return hk.transform(lambda: self._net(features, True, False)).init(key)

        return jax.jit(drawn, compiler_options={"xla_backend_optimization_level": 0})(key, features)

    def shapes(self, features: clrs.Features) -> hk.Params:
        """Return the parameters' shapes; nothing is computed."""
        key = jax.ShapeDtypeStruct((2,), jnp.uint32)
        return jax.eval_shape(hk.transform(lambda features: self._net(features, True, False)).init, key, features)

    def loss(self, params: hk.Params, key: jax.Array, feedback: clrs.Feedback) -> jax.Array:
        """Return the package's loss of a batch: of the outputs and of every hint."""
        features, outputs = feedback.features, feedback.outputs
        found, _ = hk.transform(self._net).apply(params, key, features, False, True)
        nodes = _nodes(features.inputs)
        total = sum(losses.output_loss(truth=truth, pred=found[_OUTPUT + truth.name][-1], nb_nodes=nodes) for truth in outputs)
        return total + sum(
            losses.hint_loss(truth=hint, preds=found[_HINT + hint.name], lengths=features.lengths, nb_nodes=nodes)
            for hint in features.hints
        )

    def predict(self, params: hk.Params, key: jax.Array, features: clrs.Features) -> dict[str, clrs.DataPoint]:
        """Return the outputs as the package's `evaluate` takes them. Of the hints it sees the first step alone."""
        found, _ = hk.transform(self._net).apply(params, key, features, True, False)
        return decoders.postprocess(dict(self.spec), found, sinkhorn_temperature=0.1, sinkhorn_steps=50, hard=True)


def datapoints(spec: Spec, arrays: Mapping[str, Any]) -> list[clrs.DataPoint]:
    """Return arrays by name as the package's records."""
    return [clrs.DataPoint(name, *spec[name][1:], value) for name, value in arrays.items()]


def processed(algorithm: str, samples: Iterator[clrs.Feedback], positions: Any = None) -> tuple[Spec, Iterator[clrs.Feedback]]:
    """Pass samples through the package's pipeline, as its `examples/run.py` does; return the algorithm's probes, too.

    Args:
        algorithm: One of the 30.
        samples: Of the package's sampler.
        positions: NumPy generator of random positions; None leaves them evenly spaced.
    """
    spec: Spec = clrs.SPECS[algorithm]
    if positions is not None:
        samples = clrs.process_random_pos(samples, positions)
    if algorithm in PRED_AS_INPUT:
        spec, samples = clrs.process_pred_as_input(spec, samples)
    return clrs.process_permutations(spec, samples, True)


def probes(algorithm: str) -> Spec:
    """Return (stage, location, type) of an algorithm's probes by name, as the network has them."""
    return processed(algorithm, iter(()))[0]


def sizes_of(feedback: clrs.Feedback) -> dict[str, int]:
    """Return the length of each probe's last axis, by name."""
    points = [*feedback.features.inputs, *feedback.features.hints, *feedback.outputs]
    return {point.name: int(point.data.shape[-1]) for point in points}


def predict_all(network: GraphNetwork, params: hk.Params, features: clrs.Features, batch: int = 8) -> dict[str, clrs.DataPoint]:
    """Predict many samples, a few at a time, each part compiled as the first."""
    count = len(features.lengths)
    run = jax.jit(lambda features: {k: v.data for k, v in network.predict(params, jax.random.key(0), features).items()})
    found = []
    for start in range(0, count, batch):
        rows = np.arange(start, start + batch) % count
        inputs = [_taken(point, rows, 0) for point in features.inputs]
        hints = [_taken(point, rows, 1) for point in features.hints]
        found.append(jax.device_get(run(clrs.Features(tuple(inputs), tuple(hints), features.lengths[rows]))))
    whole = {name: np.concatenate([part[name] for part in found])[:count] for name in found[0]}
    return {point.name: point for point in datapoints(network.spec, whole)}


def _taken(point: clrs.DataPoint, rows: np.ndarray, axis: int) -> clrs.DataPoint:
    return clrs.DataPoint(point.name, point.location, point.type_, np.take(point.data, rows, axis=axis))


def _nodes(inputs: Sequence[clrs.DataPoint]) -> int:
    return next(int(point.data.shape[1]) for point in inputs if point.location != clrs.Location.GRAPH)
