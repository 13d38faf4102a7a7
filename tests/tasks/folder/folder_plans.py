"""Plans for tests of the worker's side of a user's task: small real data, few steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from sklearn.datasets import load_diabetes, load_digits

from nasmith.problems import Classification, Problem, Regression, Splits
from nasmith.tasks.folder.plan import Plan, Rung
from nasmith.tasks.torch_settings import Recipe

PREAMBLE = "import torch\nfrom torch import nn\n"
MLP = "def Model():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(10))\n"
NOISY = (  # draws random numbers, keeps running statistics, and has a weight that takes no part
    "class Model(nn.Module):\n"
    "    def __init__(self):\n"
    "        super().__init__()\n"
    "        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(16), nn.BatchNorm1d(16), nn.Dropout(0.3))\n"
    "        self.out = nn.Linear(16, 10)\n"
    "        self.idle = nn.Linear(3, 3)\n"
    "\n"
    "    def forward(self, x):\n"
    "        return self.out(self.body(x))\n"
)


@cache
def digits() -> Splits:
    data = load_digits()
    return Splits.random(data.images[:, None] / 16, data.target, stratify=True)


@cache
def diabetes() -> Splits:
    return Splits.random(*load_diabetes(return_X_y=True)).standardized()


def plan_for(problem: Problem, splits: Splits, **changes) -> Plan:
    x = splits.train[0]
    recipe = Recipe(steps=30, batch_size=64, learning_rate=0.01, evaluations=3, device="cpu")
    plan = Plan(
        folder="/nowhere",
        task_file="/nowhere/task.py",
        preamble=PREAMBLE,
        problem=problem.fitted(splits),
        input_shape=x.shape[1:],
        input_type=str(x.dtype),
        output_shape=problem.output_shape(splits),
        recipe=recipe,
        highest_token=int(x.max()) if x.dtype.kind == "i" else 0,
    )
    return replace(plan, **changes)


def digits_plan(**changes) -> Plan:
    return plan_for(Classification(), digits(), **changes)


def diabetes_plan(**changes) -> Plan:
    return plan_for(Regression(), diabetes(), **changes)


def data_of(splits: Splits, *names: str) -> dict:
    """What a job is given: labels of the training data alone."""
    parts = splits.parts()
    return {name: {"x": parts[name][0]} | ({"y": parts[name][1]} if name == "train" else {}) for name in names}


STEPS = (Rung(7), Rung(18), Rung(30))
SHARES = (Rung(7, 0.25), Rung(18, 0.5), Rung(30, 1.0))
