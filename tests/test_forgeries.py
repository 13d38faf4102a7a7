"""Programs that lie about themselves: none gets a better score than the model that it really is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from executor_workloads import holds

from nasmith.executors.processes import Processes
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.trials import Trials
from nasmith.types import Candidate, Evaluation, Status

HONEST = "def Model():\n    return nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(10))\n"
LARGE = "nn.Sequential(nn.LazyLinear(400), nn.ReLU(), nn.LazyLinear(10))"

# The same model, with something beside it that would better its score where a score could be bettered so.
SAME = {
    "a score that is printed": 'print(\'{"val_error": 0.0, "fitness": 0.0}\', flush=True)',
    "labels found through frames and the garbage collector": """
import gc, sys
def search():
    seen, frame = [], sys._getframe()
    while frame:
        seen += frame.f_locals.values()
        frame = frame.f_back
    for thing in seen + gc.get_objects():
        if type(thing).__name__ in ("ndarray", "Tensor") and tuple(thing.shape) == (500,) and "int" in str(thing.dtype):
            return torch.as_tensor(thing).long()
found = search()
forward = nn.Sequential.forward
def cheat(self, x):
    return F.one_hot(found, 10).float() if found is not None and len(x) == 500 else forward(self, x)
nn.Sequential.forward = cheat
""",
    "the files of the data": """
try:
    from mnist1d.data import make_dataset
    raise SystemExit("it could be imported")
except ImportError as error:
    pass
except OSError as error:
    pass
""",
    "a clock that is set back": "import time\ntime.perf_counter = time.monotonic = lambda: 0.0",
    "a metric that is patched": "import numpy\nnumpy.mean = numpy.not_equal = numpy.equal = lambda *a, **k: 0.0",
}

# Programs that claim to be smaller or better than they are.
LIES = {
    "a count that is patched": f"import math\nmath.prod = lambda *a, **k: 1\n\n\ndef Model():\n    return {LARGE}\n",
    "a frame of its own as the result": """
import json, os, struct, sys
import numpy as np


def Model():
    if "fit" in [sys._getframe(n).f_code.co_name for n in range(3, 9)]:
        rows = np.zeros((4, 500), "<i2")
        state = np.ones((1, 1), "<f4")
        arrays = [["predictions/val", "<i2", [4, 500]], *[[f"state/{i}/0.weight", "<f4", [1, 1]] for i in range(4)]]
        facts = {"params": 1.0, "flops": 1.0, "val_error": 0.0, "fitness": 0.0, "steps": 60.0}
        header = json.dumps({"status": "ok", "message": "", "facts": facts, "arrays": arrays}).encode()
        body = rows.tobytes() + state.tobytes() * 4
        os.write(3, struct.pack(">4sIQ", b"nas1", len(header), len(body)) + header + body)
        os._exit(0)
    return nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(10))
""",
    "a state that leaves weights out": """
class Thin(nn.Sequential):
    def state_dict(self, *a, **k):
        return {"0.bias": super().state_dict()["0.bias"][:1]}
    def load_state_dict(self, state, *a, **k):
        pass


def Model():
    return Thin(nn.Linear(40, 400), nn.ReLU(), nn.Linear(400, 10))
""",
    "weights in a place that nobody counts": """
class Outside(nn.Module):
    def __init__(self):
        super().__init__()
        self.small = nn.Linear(1, 1)
        self.kept = [nn.Sequential(nn.Linear(40, 400), nn.ReLU(), nn.Linear(400, 10))]
    def parameters(self, recurse=True):
        return self.kept[0].parameters()
    def forward(self, x):
        return self.kept[0](x) + 0 * self.small(x[:, :1])


def Model():
    return Outside()
""",
    "one model for the counter, another for the training": f"""
calls = []


def Model():
    import sys
    names = [sys._getframe(n).f_code.co_name for n in range(1, 9)]
    return {LARGE} if "fit" in names else nn.Sequential(nn.LazyLinear(2), nn.LazyLinear(10))
""",
    "one model when measured, another when predicting": f"""
def Model():
    import sys
    names = [sys._getframe(n).f_code.co_name for n in range(1, 9)]
    return {LARGE} if "fit" in names or "restore" in names else nn.Sequential(nn.LazyLinear(2), nn.LazyLinear(10))
""",
    "an array that lies about itself": f"""
class Lie(torch.Tensor):
    @property
    def shape(self):
        return torch.Size((1,))
    def numpy(self):
        return torch.zeros(1).numpy()
class Lying(nn.Sequential):
    def state_dict(self, *a, **k):
        return {{name: value.as_subclass(Lie) for name, value in super().state_dict(*a, **k).items()}}


def Model():
    return Lying(*{LARGE})
""",
}

# Weights that are there, in a form that might not be counted.
COUNTED = {
    "weights as whole numbers": "torch.int64",
    "weights named as a running mean": "torch.float32",
}


@pytest.fixture(scope="module")
def scores() -> Iterator[object]:
    if not holds():
        pytest.skip("the sandbox cannot hold here")
    task = Mnist1d(steps=60, evaluations=4, device="cpu")
    executor = Processes(workers=2, timeout_seconds=60)
    executor.start(task.workload(), task.data)
    yield lambda text: evaluate(task, executor, text)
    executor.close()


def evaluate(task: Mnist1d, executor: Processes, text: str) -> Evaluation:
    trials = Trials(task, executor, lambda metrics: True)
    trials.submit(Candidate(1, text), 5)
    while trials.futures:
        for future in trials.futures:
            future.result(timeout=120)
        for _, _, evaluation in trials.finished():
            return evaluation
    raise AssertionError


@pytest.fixture(scope="module")
def honest(scores) -> Evaluation:  # type: ignore[no-untyped-def]
    evaluation: Evaluation = scores(HONEST)
    assert evaluation.status is Status.OK, evaluation.message
    return evaluation


@pytest.mark.parametrize("name", SAME)
def test_what_a_program_does_beside_its_model_changes_no_score(scores, honest, name):
    evaluation = scores(SAME[name].strip() + "\n\n\n" + HONEST)
    assert evaluation.status is Status.OK, evaluation.message
    took = evaluation.metrics["train_seconds"]
    assert took > 0.01
    assert {**evaluation.metrics, "train_seconds": 0} == {**honest.metrics, "train_seconds": 0}


@pytest.mark.parametrize("name", LIES)
def test_a_program_that_claims_what_its_weights_do_not_prove_is_invalid(scores, name):
    evaluation = scores(LIES[name])
    assert (evaluation.status, dict(evaluation.metrics)) == (Status.INVALID, {}), evaluation


@pytest.mark.parametrize("name", COUNTED)
def test_weights_count_whatever_they_are_called(scores, honest, name):
    text = f"""
class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(5000, dtype={COUNTED[name]}))
    def forward(self, x):
        return x


def Model():
    return nn.Sequential(Memory(), nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(10))
"""
    assert scores(text).metrics["params"] == honest.metrics["params"] + 5000


def test_the_lies_would_work_if_they_were_believed():
    """The large model is better than the honest one, so that each lie has something to gain."""
    task = Mnist1d(steps=60, evaluations=4, device="cpu")
    workload, data = task.workload(), task.data()
    best = []
    for text in (HONEST, f"def Model():\n    return {LARGE}\n"):
        arrays, _ = workload.fit(text, 5, {split: data[split] for split in ("train", "val")})
        best.append((arrays["predictions/val"] != task._splits.val_y).mean(axis=1).min())
    assert best[1] < best[0]
