from __future__ import annotations

import pytest
import torch
from torch import nn

from nasmith.tasks.folder.timing import latency


class Clock:
    """Seconds pass in forward passes alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Takes(nn.Module):
    """A pass takes the next of some times, over and over."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        super().__init__()
        self.clock, self.seconds, self.passes = clock, seconds, 0

    def forward(self, x):
        self.clock.now += self.seconds[self.passes % len(self.seconds)]
        self.passes += 1
        return x


def measured(seconds):
    clock = Clock()
    model = Takes(clock, seconds)
    return latency(model, torch.zeros(1), clock=clock), model.passes


def test_it_is_the_median_in_milliseconds_and_half_the_distance_between_the_quartiles():
    found, _ = measured([0.001, 0.002, 0.003, 0.004, 0.005])
    assert found["latency_ms"] == pytest.approx(3.0) and found["latency_noise_ms"] == pytest.approx(1.0)


def test_a_single_slow_pass_does_not_count():
    found, _ = measured([0.002] * 29 + [5.0])
    assert found["latency_ms"] == pytest.approx(2.0) and found["latency_noise_ms"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("seconds", "passes"), [(0.1, 31), (4.0, 6), (1.0, 11), (1e-6, 52_000)])
def test_passes_are_repeated_until_there_are_enough_and_no_longer(seconds, passes):
    _, done = measured([seconds])
    assert done == pytest.approx(passes, rel=0.01, abs=1)


def test_gradients_are_not_kept():
    class Sees(nn.Module):
        enabled = False

        def forward(self, x):
            self.enabled |= torch.is_grad_enabled()
            return x

    model = Sees()
    latency(model, torch.zeros(1), seconds=0.001)
    assert not model.enabled
