"""What an export of a user's task holds beside the model: the test data, and a script that reproduces the score on it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nasmith.problems import Problem

__all__ = ["LARGEST", "companions"]

LARGEST = 200_000_000
"""Bytes of the largest test data that goes into an export."""

_SCRIPT = '''\
"""Loads the model and its weights, scores them on the test data, and compares that with what the search measured.

Needs PyTorch, NumPy, safetensors, and what model.py imports. Ends with 1 where the score is another.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from model import Model  # noqa: E402


{score}

def main():
    if not (HERE / "test.safetensors").is_file():
        print("test.safetensors is missing: save the test data there, inputs as x and targets as y, with safetensors.numpy")
        return 1
    data = load_arrays(HERE / "test.safetensors")
    x, targets = torch.from_numpy(data["x"]), data["y"]
    model = Model().eval()
    with torch.no_grad():
        model(x[:2])  # gives lazy layers their shapes
        model.load_state_dict(load_file(HERE / "weights.safetensors"))
        outputs = np.concatenate([model(part).float().numpy() for part in x.split(512)])
    metrics = score(outputs, targets)
    stored = json.loads((HERE / "scores.json").read_text())
    same = any("test_" + name in stored for name in metrics)
    for name, value in metrics.items():
        known = stored.get("test_" + name)
        near = known is None or abs(value - known) <= max(2 / len(targets), 0.001 * abs(known))
        same = same and near
        print(f"test {{name}}: {{value:.6g}}" + ("" if known is None else f", {{known:.6g}} in the search"))
    print("reproduced" if same else "NOT reproduced")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
'''


def companions(problem: Problem, x: np.ndarray, y: np.ndarray, score_source: str = "") -> Mapping[str, bytes]:
    """Return the files by name: `verify.py` and `test.safetensors`; the latter only up to `LARGEST` bytes of data.

    `verify.py` compares what it measures with `scores.json`, which the export writes, and ends with 1 where they differ by more
    than two inputs' worth or 0.1%.

    Args:
        problem: Says how outputs are scored.
        x: Test inputs, (n, …).
        y: Test targets, (n, …).
        score_source: Source of a function `score(outputs, targets)` that stands in for the problem's, with what it imports.
    """
    from safetensors.numpy import save

    script = _SCRIPT.format(score=(score_source or problem.source()).strip() + "\n")
    if x.nbytes + y.nbytes > LARGEST:
        return {"verify.py": script.encode()}
    data = {"x": np.ascontiguousarray(x), "y": np.ascontiguousarray(y)}
    return {"verify.py": script.encode(), "test.safetensors": save(data)}
