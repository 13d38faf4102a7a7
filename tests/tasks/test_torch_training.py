from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from nasmith.tasks.torch_settings import Recipe
from nasmith.tasks.torch_training import early_stop, train


@pytest.fixture
def problem():
    """Three classes that a linear model tells apart."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(3, (300,), generator=generator)
    x = torch.randn(300, 8, generator=generator) + 3 * torch.eye(3, 8)[y]
    return x, y


def linear(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def recipe(**options) -> Recipe:
    return Recipe(**{"steps": 60, "batch_size": 32, "evaluations": 4, "device": "cpu"} | options)


def test_predictions_are_classes_at_each_point_and_get_better(problem):
    x, y = problem
    trained = train(linear(), x, y, {"val": x}, recipe(), seed=1)
    rows = trained.predictions["val"]
    assert rows.dtype == np.int16 and rows.shape == (4, 300)
    assert (rows[-1] == y.numpy()).mean() > 0.95
    assert trained.losses[-1] < trained.losses[0] < 2 * math.log(3)
    assert trained.facts["steps"] == 60 and trained.facts["diverged"] == 0


def test_same_seed_gives_the_same_training_and_another_seed_another(problem):
    x, y = problem
    first, again, other = (train(linear(), x, y, {}, recipe(), seed=seed).states[3]["0.weight"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_training_equals_the_plain_loop_with_the_optimizer_class(problem):
    x, y = problem
    size = len(x)
    ours, plain = linear(), linear()
    train(ours, x, y, {}, recipe(steps=10, batch_size=size, evaluations=1), seed=1)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.01)
    for _ in range(10):
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(x), y).backward()
        optimizer.step()
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_weights_that_take_no_part_stay_as_they_are(problem):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, x):
            return self.used(x)

    x, y = problem
    model = Idle()
    before = copy.deepcopy(model.state_dict())
    train(model, x, y, {}, recipe(), seed=1)
    assert torch.equal(model.idle.weight, before["idle.weight"])
    assert not torch.equal(model.used.weight, before["used.weight"])


def test_last_state_alone_is_kept_unless_all_are_asked_for(problem):
    x, y = problem
    states = train(linear(), x, y, {}, recipe(), seed=1).states
    assert list(states) == [0, 1, 2, 3]
    assert not np.array_equal(states[0]["0.weight"], states[3]["0.weight"])


def test_fewer_examples_than_a_batch_are_one_batch(problem):
    x, y = problem
    assert train(linear(), x[:20], y[:20], {"val": x}, recipe(batch_size=128), seed=1).facts["steps"] == 60


def test_a_loss_that_is_never_finite_is_an_error(problem):
    x, y = problem
    model = linear()
    with torch.no_grad():
        model[0].weight.fill_(math.nan)
    with pytest.raises(ValueError, match="not finite within the first 15 steps"):
        train(model, x, y, {"val": x}, recipe(), seed=1)


def test_a_loss_that_stops_being_finite_keeps_what_was_predicted_before(problem):
    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.out, self.calls = nn.Linear(8, 3), 0

        def forward(self, x):
            self.calls += self.training
            return self.out(x) * (math.nan if self.calls > 20 else 1.0)

    x, y = problem
    trained = train(Breaks(), x, y, {"val": x}, recipe(), seed=1)
    assert trained.predictions["val"].shape == (1, 300)
    assert trained.facts["diverged"] == 1 and trained.facts["steps"] == 30
    assert np.isfinite(trained.states[0]["out.weight"]).all()


def test_process_settings_are_put_back(problem):
    x, y = problem
    threads = torch.get_num_threads()
    train(linear(), x, y, {}, recipe(threads=threads + 1), seed=1)
    assert torch.get_num_threads() == threads
    assert float(torch.tensor([1e-39]) * 1.0) > 0


def test_hopeless_run_is_stopped_when_asked(problem):
    x, y = problem
    noise = torch.randint(3, y.shape, generator=torch.Generator().manual_seed(5))
    options = {"evaluations": 10, "learning_rate": 1e-4}
    stopped = train(linear(), x, noise, {"val": x}, recipe(early_stopping=True, **options), seed=1)
    full = train(linear(), x, noise, {"val": x}, recipe(**options), seed=1)
    assert stopped.facts["early_stopped"] == 1 and stopped.facts["steps"] == 6
    assert full.facts["early_stopped"] == 0 and full.facts["steps"] == 60
    assert np.array_equal(stopped.predictions["val"], full.predictions["val"][:1])


@pytest.mark.parametrize(
    ("shares", "stops"),
    [
        ([0.96], 2),
        ([0.9, 0.85, 0.82, 0.81, 0.81], 5),
        ([0.9, 0.7, 0.5, 0.3, 0.2, 0.15, 0.1, 0.08, 0.07], None),
        ([0.9, 0.5, 0.2, 0.1, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001], 10),
        ([0.9, 0.8, 0.7, 0.6] + [0.5] * 16, 10),
    ],
)
def test_rule_of_early_stopping(shares, stops):
    chance = math.log(10)
    losses = [share * chance for share in shares for _ in range(2 if len(shares) <= 1 else 1)]
    assert early_stop(losses, planned=20, classes=10) == stops


@pytest.mark.gpu
def test_cuda_graph_trains_like_eager_steps(problem):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = problem
    options = {"device": "cuda", "batch_size": 64}
    graph, eager = linear(), linear()
    facts = train(graph, x, y, {"val": x}, recipe(**options), seed=1).facts
    train(eager, x, y, {"val": x}, recipe(**options, cuda_graph=False), seed=1)
    assert facts["graph"] == 1
    for a, b in zip(graph.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
