"""The network around a function, against the package's own Triplet-GMPNN."""

from __future__ import annotations

import re
from functools import cache

import pytest

clrs = pytest.importorskip("clrs", reason='the extra is not installed: pip install "nasmith[clrs]"')

import jax  # noqa: E402
import numpy as np  # noqa: E402

from nasmith.tasks.clrs.clrs_recipes import ALGORITHMS, STRINGS  # noqa: E402
from nasmith.tasks.clrs.graph_network import (  # noqa: E402
    GraphNetwork,
    predict_all,
    probes,
    processed,
    sizes_of,
    triplet_gmpnn,
)
from nasmith.tasks.clrs.part_functions import build_function, count  # noqa: E402
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES  # noqa: E402

PUBLISHED = {"articulation_points": 531_913, "bfs": 523_963, "floyd_warshall": 625_089, "heapsort": 659_654}
MORE_THAN_V1 = {"v1": 0, "v2": 16_512, "v3": 0, "v4": 216, "v5": 216, "v6": 72, "v7": -1_032, "v8": 21_448, "v9": 226_424}
PROCESSOR = "net/mpnn_aggr_clrs_processor/"


@cache
def sample(algorithm, count=2, length=0):
    length = length or (5 if algorithm in STRINGS else 4)
    sampler, _ = clrs.build_sampler(algorithm, seed=0, num_samples=count, length=length)
    spec, samples = processed(algorithm, iter([sampler.next()]), np.random.default_rng(0))
    return spec, next(samples)


def network(algorithm, seed="v1", hidden=128):
    spec, feedback = sample(algorithm)
    function = build_function(TRIPLET_MESSAGES.seeds[seed], TRIPLET_MESSAGES)
    return GraphNetwork(spec, sizes_of(feedback), triplet_gmpnn(function, 8), hidden), feedback


def packages_own(algorithm, hidden=128):
    spec, feedback = sample(algorithm)
    factory = clrs.get_processor_factory("triplet_gmpnn", use_ln=True, nb_triplet_fts=8, nb_heads=1)
    return clrs.models.BaselineModel(
        spec=[dict(spec)],
        dummy_trajectory=[feedback],
        processor_factory=factory,
        hidden_dim=hidden,
        encode_hints=True,
        decode_hints=True,
        encoder_init="xavier_on_scalars",
        learning_rate=1e-3,
        grad_clip_max_norm=1.0,
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_standard_function_has_as_many_parameters_as_the_packages_network(algorithm):
    ours, feedback = network(algorithm)
    theirs = packages_own(algorithm)

    def init(key, features):
        return theirs.net_fn.init(key, [features], True, algorithm_index=-1, return_hints=False, return_all_outputs=False)

    wanted = count(jax.eval_shape(init, jax.ShapeDtypeStruct((2,), "uint32"), feedback.features))
    assert count(ours.shapes(feedback.features)) == wanted == PUBLISHED.get(algorithm, wanted)


@pytest.mark.parametrize(("seed", "more"), MORE_THAN_V1.items())
def test_the_seeds_differ_by_the_parameters_of_the_paper(seed, more):
    ours, feedback = network("articulation_points", seed)
    assert count(ours.shapes(feedback.features)) == PUBLISHED["articulation_points"] + more


@cache
def with_the_packages_parameters():
    """The package's network, ours, and parameters of both that are the same numbers."""
    ours, feedback = network("articulation_points", hidden=8)
    theirs = packages_own("articulation_points", hidden=8)
    theirs.init([feedback.features], 1)
    mine = {module: dict(values) for module, values in ours.init(jax.random.key(0), feedback.features).items()}
    numbered = {name: value for name, value in theirs.params.items() if re.fullmatch(PROCESSOR + r"linear(_\d+)?", name)}

    def linear(number, scope=""):
        return f"{PROCESSOR}{scope}linear" + (f"_{number}" if number else "")

    for number in range(9):  # without triplets, the gates come after the first six
        mine[linear(number)] = theirs.params[linear(number if number < 6 else number + 8)]
    for number in range(8):  # seven maps and the output
        mine[linear(number, "messages/")] = theirs.params[linear(number + 6)]
    mine |= {name: value for name, value in theirs.params.items() if name not in numbered}
    return theirs, ours, mine, feedback


def test_with_the_packages_parameters_its_loss_is_the_packages():
    theirs, ours, mine, feedback = with_the_packages_parameters()
    key = jax.random.PRNGKey(3)
    assert float(ours.loss(mine, key, feedback)) == pytest.approx(
        float(theirs._loss(theirs.params, key, feedback, 0)), rel=1e-5
    )


def test_with_the_packages_parameters_it_predicts_what_the_package_predicts():
    theirs, ours, mine, feedback = with_the_packages_parameters()
    key = jax.random.PRNGKey(3)
    wanted, _ = theirs.predict(key, feedback.features, 0)
    found = ours.predict(mine, key, feedback.features)
    assert all(np.array_equal(found[name].data, wanted[name].data) for name in wanted)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pointers_and_edges_alone_are_decoded_from_messages(algorithm):
    decoded = [(place, kind) for stage, place, kind in probes(algorithm).values() if stage != "input"]
    nodes_alone = all(place != "edge" and "pointer" not in kind for place, kind in decoded)
    assert nodes_alone == (algorithm in TRIPLET_MESSAGES.without_effect)


@pytest.mark.parametrize("algorithm", ["segments_intersect", "minimum", "bfs"])
def test_messages_change_the_loss_of_pointers_and_edges_alone(algorithm):
    ours, feedback = network(algorithm, hidden=8)
    params = ours.init(jax.random.key(0), feedback.features)
    gradients = jax.jit(jax.grad(ours.loss))(params, jax.random.key(1), feedback)
    of_messages = [np.asarray(value) for name, values in gradients.items() if "/messages/" in name for value in values.values()]
    assert of_messages
    assert any(value.any() for value in of_messages) == (algorithm == "bfs")


def test_the_package_is_as_it_was():
    before = clrs._src.processors.get_triplet_msgs, clrs._src.nets.Net._msg_passing_step
    _, ours, mine, feedback = with_the_packages_parameters()
    ours.loss(mine, jax.random.PRNGKey(0), feedback)
    assert (clrs._src.processors.get_triplet_msgs, clrs._src.nets.Net._msg_passing_step) == before


def test_parameters_are_drawn_as_the_packages_initialisers_say():
    ours, feedback = network("articulation_points", hidden=8)
    params = ours.init(jax.random.key(0), feedback.features)
    shapes = ours.shapes(feedback.features)
    assert jax.tree.map(lambda value: value.shape, params) == jax.tree.map(lambda value: value.shape, shapes)
    assert (np.asarray(params[PROCESSOR + "linear_8"]["b"]) == -3).all()  # the gate is nearly closed
    other = ours.init(jax.random.key(1), feedback.features)
    assert not np.array_equal(params[PROCESSOR + "linear"]["w"], other[PROCESSOR + "linear"]["w"])


def test_all_samples_are_predicted_a_few_at_a_time():
    ours, _ = network("bfs", hidden=8)
    _, feedback = sample("bfs", 5)
    params = ours.init(jax.random.key(0), feedback.features)
    whole = ours.predict(params, jax.random.key(0), feedback.features)
    parts = predict_all(ours, params, feedback.features, batch=2)
    assert all(np.array_equal(parts[name].data, whole[name].data) for name in whole)
    assert 0 <= clrs.evaluate(feedback.outputs, parts)["score"] <= 1


def test_probes_are_those_of_the_pipeline():
    assert probes("bubble_sort")["pred"][2] == "permutation_pointer" and "pred_mask" in probes("bubble_sort")
    assert probes("minimum")["pred"][0] == "input" and "pred_h" not in probes("minimum")
