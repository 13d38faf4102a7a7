from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from folder_plans import MLP, NOISY, PREAMBLE, SHARES, STEPS, diabetes, diabetes_plan, digits, digits_plan
from torch import nn

from nasmith.tasks.folder.training import outputs_of, train
from nasmith.tasks.torch_programs import build, materialize


def trained(plan, text=NOISY, splits=None, seed=1, model=None, **options):
    parts = splits or digits()
    x, y = (torch.from_numpy(array) for array in parts.train)
    inputs = {"val": torch.from_numpy(parts.val[0])}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model is None:
            model = build(text, PREAMBLE)
            materialize(model, x[:2])
        return train(model, plan, x, y, inputs, seed=seed, **options)


def checkpoint_of(arrays):
    return {name.removeprefix("checkpoint/"): value for name, value in arrays.items() if name.startswith("checkpoint/")}


def results_of(arrays):
    return {name: value for name, value in arrays.items() if not name.startswith("checkpoint/")}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype and np.array_equal(first[name], second[name]), name


@pytest.mark.parametrize("rungs", [STEPS, SHARES], ids=["steps", "data"])
def test_stopping_at_each_rung_gives_to_the_last_bit_what_one_training_through_them_gives(rungs):
    plan = digits_plan(rungs=rungs)
    once, facts = trained(plan, rung=2)
    state: dict = {}
    for rung in range(3):
        arrays, stopped_facts = trained(plan, rung=rung, checkpoint=state)
        state = checkpoint_of(arrays)
    assert_same(results_of(once), results_of(arrays))
    assert {**facts, "train_seconds": 0} == {**stopped_facts, "train_seconds": 0}


def test_a_checkpoint_at_a_rung_does_not_hang_on_where_the_training_stopped_before():
    plan = digits_plan(rungs=SHARES)
    first, _ = trained(plan, rung=0)
    assert_same(trained(plan, rung=1)[0], trained(plan, rung=1, checkpoint=checkpoint_of(first))[0])


def test_going_on_without_the_checkpoint_gives_something_else():
    plan = digits_plan(rungs=STEPS)
    first, _ = trained(plan, rung=0)
    damaged = {
        name: np.zeros_like(value) if name.startswith("optimizer/") else value for name, value in checkpoint_of(first).items()
    }
    whole, other = (trained(plan, rung=1, checkpoint=saved)[0]["outputs/val"] for saved in (checkpoint_of(first), damaged))
    assert np.array_equal(whole[:1], other[:1]) and not np.array_equal(whole[-1], other[-1])


def test_a_rung_is_evaluated_at_the_points_up_to_it_and_at_its_end():
    plan = digits_plan(rungs=STEPS)  # points 10, 20, 30; ends 7, 18, 30
    points = [len(trained(plan, rung=rung)[0]["outputs/val"]) for rung in range(3)]
    assert points == [1, 3, 5]


def test_the_last_rung_leaves_no_checkpoint():
    plan = digits_plan(rungs=STEPS)
    assert checkpoint_of(trained(plan, rung=1)[0]) and not checkpoint_of(trained(plan, rung=2)[0])


def test_a_rung_of_less_data_uses_the_same_first_examples_in_each_of_its_epochs():
    seen: list[set[bytes]] = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(64, 10)

        def forward(self, x):
            if self.training:
                seen.append({row.numpy().tobytes() for row in x})
            return self.out(x.flatten(1))

    plan = digits_plan(rungs=SHARES)
    rows = len(digits().train[0])
    trained(plan, model=Spy(), rung=1)
    first, second = set().union(*seen[:7]), set().union(*seen[7:])
    quarter, half = -(-rows // 4), -(-rows // 2)
    assert len(first) <= quarter < len(second) <= half
    assert len(first | second) <= half  # the later part holds the earlier one


def test_without_rungs_all_of_the_data_is_used_and_the_points_are_those_of_the_recipe():
    arrays, facts = trained(digits_plan(rungs=SHARES))
    assert arrays["outputs/val"].shape == (3, len(digits().val[0]), 10) and arrays["outputs/val"].dtype == np.float32
    assert arrays["train_loss"].shape == (3,) and arrays["train_loss"].dtype == np.float32
    assert facts["steps"] == 30 and not checkpoint_of(arrays)
    assert {name.split("/")[1] for name in arrays if name.startswith("state/")} == {"0", "1", "2"}


def test_a_classifier_learns():
    plan = digits_plan()
    arrays, _ = trained(replace(plan, recipe=replace(plan.recipe, steps=200)), MLP)
    assert plan.problem.score(arrays["outputs/val"][-1], digits().val[1])["error"] < 0.1


def test_a_regression_learns():
    plan = diabetes_plan()
    text = "def Model():\n    return nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(1))\n"
    arrays, _ = trained(replace(plan, recipe=replace(plan.recipe, steps=100)), text, diabetes())
    assert plan.problem.score(arrays["outputs/val"][-1], diabetes().val[1])["error"] < 0.75


def test_the_state_of_a_point_gives_the_outputs_of_that_point():
    arrays, _ = trained(digits_plan())
    model = build(NOISY, PREAMBLE)
    x = torch.from_numpy(digits().val[0])
    materialize(model, x[:2])
    model.load_state_dict(
        {name.removeprefix("state/1/"): torch.from_numpy(v) for name, v in arrays.items() if name.startswith("state/1/")}
    )
    with torch.no_grad():
        assert np.array_equal(outputs_of(model.eval(), x), arrays["outputs/val"][1])


def test_outputs_are_taken_in_parts():
    sizes = []

    class Spy(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return x

    x = torch.arange(1200.0)[:, None]
    assert np.array_equal(outputs_of(Spy(), x), x.numpy()) and max(sizes) == 512


class Breaks(nn.Module):
    """Its loss is no number after 15 steps, or its outputs in evaluation mode after 15 steps."""

    def __init__(self, *, outputs_alone=False):
        super().__init__()
        self.out, self.outputs_alone = nn.Linear(64, 10), outputs_alone
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.steps += 1
        breaks = self.steps > 15 and self.training is not self.outputs_alone
        return self.out(x.flatten(1)) * (torch.nan if breaks else 1.0)


@pytest.mark.parametrize("outputs_alone", [False, True])
def test_what_was_reached_before_a_training_diverged_counts(outputs_alone):
    arrays, facts = trained(digits_plan(), model=Breaks(outputs_alone=outputs_alone))
    assert arrays["outputs/val"].shape[0] == 1 and np.isfinite(arrays["outputs/val"]).all()
    assert facts["diverged"] == 1 and facts["steps"] == 20


def test_a_training_that_diverged_does_not_go_on_at_the_next_rung():
    plan = digits_plan(rungs=STEPS)
    first, facts = trained(plan, model=Breaks(), rung=1)
    assert facts["diverged"] == 1
    second, facts = trained(plan, model=Breaks(), rung=2, checkpoint=checkpoint_of(first))
    assert facts["diverged"] == 1 and np.array_equal(first["outputs/val"], second["outputs/val"])


def test_a_training_that_diverges_before_the_first_point_is_an_error():
    model = Breaks()
    model.steps += 100
    with pytest.raises(ValueError, match="not finite within the first 10 steps"):
        trained(digits_plan(), model=model)
