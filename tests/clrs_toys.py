"""What the tests of CLRS share: a task that trains in seconds, and its parts."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import pytest

from nasmith.tasks.clrs import Clrs
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES

needs_clrs = pytest.mark.skipif(find_spec("clrs") is None, reason='the extra is not installed: pip install "nasmith[clrs]"')

V1 = TRIPLET_MESSAGES.seeds["v1"]
TINY = {"preset": "small", "hidden": 8, "steps": 6, "batch_size": 4, "lengths": [4, 5], "evaluations": 2, "val_samples": 16}


def tiny(algorithm: str = "bfs", **options: object) -> Clrs:
    """Return a task whose trainings take seconds."""
    return Clrs(algorithm, **{**TINY, **options})  # type: ignore[arg-type]


@cache
def trained():
    """Return a tiny task, its data, and what one training of the standard function returned."""
    task = tiny()
    data = task.data()
    arrays, facts = task.workload().fit(V1, 3, {split: data[split] for split in ("train", "val")})
    return task, data, dict(arrays), dict(facts)
