from __future__ import annotations

import numpy as np
import pytest
import torch

from nasmith.problems import DataError, Sequence, Splits


def part(y):
    return np.zeros((len(y), 3)), np.array(y)


def test_positions_to_ignore_count_neither_for_classes_nor_for_scores():
    y = [[0, 1, -100], [2, -100, -100]]
    splits = Splits(part(y), part(y), part(y))
    splits.check(Sequence())
    problem = Sequence().fitted(splits)
    assert problem.output_shape(splits) == (3, 3)
    outputs = np.zeros((2, 3, 3), np.float32)
    outputs[0, 0, 0] = outputs[0, 1, 2] = outputs[1, 0, 2] = 1.0  # right, wrong, right
    assert problem.score(outputs, splits.val[1])["error"] == pytest.approx(1 / 3)


def test_the_loss_is_the_mean_over_positions_that_count():
    logits, y = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([[0, 1, -1], [3, -1, -1]])
    wanted = -torch.stack([logits[0, 0].log_softmax(0)[0], logits[0, 1].log_softmax(0)[1], logits[1, 0].log_softmax(0)[3]])
    torch.testing.assert_close(Sequence(ignore=-1).loss(logits, y), wanted.mean())


def test_a_batch_without_any_label_has_the_loss_0():
    assert float(Sequence().loss(torch.randn(2, 3, 4), torch.full((2, 3), -100))) == 0.0


def test_a_split_without_any_label_is_refused():
    with pytest.raises(DataError, match="val: all labels are -100"):
        Splits(part([[0, 1, 1]]), part([[-100] * 3]), part([[0, 1, 1]])).check(Sequence())
