from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.process_group import Process, Termination, precision_of
from nasmith.tasks.imagenet.recipes import recipe


def test_alone_it_is_the_whole_world():
    process = Process("cpu")
    with process.joined():
        assert (process.rank, process.world, process.device.type) == (0, 1, "cpu")
        assert [part.tolist() for part in process.gathered(np.arange(3))] == [[0, 1, 2]]


def test_below_torchrun_the_environment_says_which_part_it_has(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    process = Process("cpu")
    assert (process.rank, process.world) == (1, 4)


@pytest.mark.parametrize("device", ["cuda:77", "abacus"])
def test_a_device_that_is_not_there_is_told(device):
    with pytest.raises(UsageError, match=f"device '{device}' cannot be used"):
        Process(device)


@pytest.mark.parametrize(("precision", "kind"), [("bf16", torch.bfloat16), ("fp32", torch.float32), ("auto", torch.float32)])
def test_precision_is_as_the_recipe_says(precision, kind):
    context = precision_of(recipe("tiny", {"precision": precision}), torch.device("cpu"))
    with context():
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype is kind


def test_a_request_to_end_is_noticed_within_the_block_alone():
    former = signal.getsignal(signal.SIGTERM)
    with Termination() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) is former
