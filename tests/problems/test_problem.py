"""What holds for every kind of problem."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from nasmith.problems import Classification, Problem, Regression, Segmentation, Sequence, Splits

ROWS = 40


def targets(problem, generator):
    return {
        Classification: lambda: generator.integers(0, 3, ROWS),
        Regression: lambda: generator.normal(5.0, 3.0, (ROWS, 2)),
        Segmentation: lambda: generator.integers(0, 3, (ROWS, 4, 5)),
        Sequence: lambda: np.where(generator.random((ROWS, 6)) < 0.2, -100, generator.integers(0, 3, (ROWS, 6))),
    }[type(problem)]()


@pytest.fixture(params=[Classification(), Regression(), Segmentation(), Sequence()], ids=lambda p: type(p).__name__)
def case(request):
    """A fitted problem, its splits, and outputs for the validation inputs."""
    generator = np.random.default_rng(3)
    inputs = generator.normal(size=(ROWS, 2, 4, 5))
    splits = Splits.ordered(inputs, targets(request.param, generator), val=0.4, test=0.2)
    splits.check(request.param)
    problem = request.param.fitted(splits)
    outputs = generator.normal(size=(16, *problem.output_shape(splits))).astype(np.float32)
    return problem, splits, outputs


def test_each_kind_is_a_problem_and_travels(case):
    problem = case[0]
    assert isinstance(problem, Problem)
    assert pickle.loads(pickle.dumps(problem)) == problem


def test_the_exported_source_gives_the_same_scores_to_the_last_digit(case):
    problem, splits, outputs = case
    namespace: dict = {}
    exec(problem.source(), namespace)
    assert namespace["score"](outputs, splits.val[1]) == problem.score(outputs, splits.val[1])


def test_the_exported_source_needs_numpy_alone(case):
    imports = [line for line in case[0].source().splitlines() if line.startswith(("import", "from"))]
    assert imports == ["import numpy as np"]


def test_metrics_are_those_that_are_scored(case):
    problem, splits, outputs = case
    scores = problem.score(outputs, splits.val[1])
    assert scores.keys() == problem.metrics.keys() and problem.primary in scores
    assert all(type(value) is float for value in scores.values())


def test_the_loss_is_a_scalar_that_can_be_trained_by(case):
    problem, splits, outputs = case
    outputs = torch.tensor(outputs, requires_grad=True)
    loss = problem.loss(outputs, torch.from_numpy(splits.val[1]))
    loss.backward()
    assert loss.shape == () and float(outputs.grad.abs().sum()) > 0


def test_the_trusted_process_needs_no_pytorch():
    code = "import sys, nasmith.problems; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
