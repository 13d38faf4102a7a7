"""Small task folders for tests, written where a test says: a table of three classes that a line of code learns."""

from pathlib import Path

YAML = """\
title: Three heaps
objectives:
  - error: minimize
  - params: minimize
training: {steps: 40, batch_size: 32, learning_rate: 0.01, evaluations: 4}
limits: {timeout_seconds: 60, workers: 1}
"""
TASK = """\
import numpy as np

from nasmith.problems import Classification, Splits

problem = Classification()


def data() -> Splits:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 300)
    x = random.normal(size=(300, 4)) + np.eye(3, 4)[y] * 2
    return Splits.random(x, y, val=0.2, test=0.2)
"""
SMALL = """\
def Model():
    return nn.Sequential(
        nn.LazyLinear(8),
        nn.ReLU(),
        nn.LazyLinear(3),
    )
"""
LARGE = SMALL.replace("8", "64")


def write_folder(folder: Path, *, yaml: str = YAML, task: str = TASK, **seeds: str) -> Path:
    """Write a task folder; `seeds` are programs by name, two by default."""
    (folder / "seeds").mkdir(parents=True)
    (folder / "task.yaml").write_text(yaml)
    (folder / "task.py").write_text(task)
    for name, text in (seeds or {"small": SMALL, "large": LARGE}).items():
        (folder / "seeds" / f"{name}.py").write_text(text)
    return folder
