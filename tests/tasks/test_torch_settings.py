from __future__ import annotations

import subprocess
import sys

import pytest

from nasmith.tasks.torch_settings import Recipe


@pytest.mark.parametrize(
    ("steps", "evaluations", "points"), [(60, 4, [15, 30, 45, 60]), (3, 3, [1, 2, 3]), (2, 5, [1, 2]), (10, 1, [10])]
)
def test_evaluation_points_are_even_and_end_with_the_last_step(steps, evaluations, points):
    assert Recipe(steps=steps, evaluations=evaluations).points() == points


def test_the_settings_need_no_pytorch():
    script = "import sys, nasmith.tasks.torch_settings; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
