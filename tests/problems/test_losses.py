from __future__ import annotations

import torch

from nasmith.problems.losses import constant


def test_a_constant_is_made_once_for_each_device():
    first, again = (constant((1.0, 2.0), torch.device("cpu")) for _ in range(2))
    assert first is again and first.tolist() == [1.0, 2.0]
    assert constant((1.0, 3.0), torch.device("cpu")) is not first
