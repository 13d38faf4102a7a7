from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("clrs", reason='the extra is not installed: pip install "nasmith[clrs]"')

import jax

from clrs_toys import tiny
from nasmith.tasks.clrs.algorithm_samples import Samples
from nasmith.tasks.clrs.clrs_training import _batches, flat_state, params_of, train
from nasmith.tasks.clrs.clrs_workload import _by_length


def run(task, text=None, seed=0):
    """Train with the workload's network; return the facts and the loss-free parameters at each point."""
    workload = task.workload()
    network, _ = workload._network(text or task.seeds()["v8"])
    visited = {}
    facts = train(
        network,
        _by_length(task.data()["train"]),
        task.recipe,
        seed,
        lambda point, params: visited.update({point: flat_state(params)}),
    )
    return facts, visited


def test_points_are_visited_with_parameters_that_learn():
    facts, visited = run(tiny())
    assert facts == {"steps": 6.0} and list(visited) == [0, 1]
    first, second = visited.values()
    assert any(not np.array_equal(first[name], second[name]) for name in first)


def test_weights_decay():
    plain, decayed = (run(tiny(weight_decay=decay, steps=4, evaluations=1))[1][0] for decay in (0.0, 10.0))
    size = [sum(float(np.square(value).sum()) for value in params.values()) for params in (plain, decayed)]
    assert size[1] < size[0]


def test_a_loss_that_is_not_finite_from_the_start_is_said():
    with pytest.raises(ValueError, match="the loss is nan after 3 steps: it diverges from the start"):
        run(tiny(), "def get_triplet_msgs(z, edge_fts, graph_fts, nb_triplet_fts, out_size):\n"
                    "    w = hk.get_parameter('w', [1], init=jnp.ones)\n"
                    "    return jnp.zeros_like(edge_fts) + jnp.sqrt(w - 1) / 0\n")  # fmt: skip


def test_a_loss_that_diverges_later_ends_the_training_there():
    facts, visited = run(tiny("articulation_points", learning_rate=1e18, steps=8, evaluations=8))
    assert facts.get("diverged") == 1.0 and facts["steps"] < 8 and len(visited) == facts["steps"] - 1


def test_a_sample_comes_again_when_all_others_have():
    samples = Samples({"x": np.arange(6)}, {"h": np.zeros((2, 6))}, {"y": np.arange(6)}, np.ones(6))
    batches = _batches(samples, 4, seed=0)
    drawn = np.concatenate([next(batches)["inputs"]["x"] for _ in range(3)])
    assert sorted(drawn[:6]) == sorted(drawn[6:]) == list(range(6))
    assert next(batches)["hints"]["h"].shape == (2, 4)


def test_a_state_goes_and_comes():
    params = {"net/linear": {"w": jax.numpy.ones((2, 3)), "b": jax.numpy.zeros(3)}}
    state = flat_state(params)
    assert set(state) == {"net/linear/w", "net/linear/b"}
    back = params_of(state, params)
    assert np.array_equal(back["net/linear"]["w"], params["net/linear"]["w"])
    for wrong in (
        {**state, "net/more/w": np.ones(1)},
        {"net/linear/w": state["net/linear/w"]},
        {**state, "net/linear/b": np.ones(2)},
    ):
        with pytest.raises(ValueError, match="is not one of this program"):
            params_of(wrong, params)
