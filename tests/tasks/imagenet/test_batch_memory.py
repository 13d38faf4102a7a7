from __future__ import annotations

import contextlib

import pytest
import torch

from nasmith.tasks.imagenet.batch_memory import BatchTooLargeError, available, check_batch, needed
from nasmith.tasks.imagenet.mobile_network import Network

CPU = torch.device("cpu")


def network() -> Network:
    return Network((1, 0, 0, 0, 0, 0, *(0,) * 24), 4)


def test_an_image_of_twice_the_side_needs_four_times_as_much():
    net = network().train()
    fixed, small = needed(net, 32, CPU, contextlib.nullcontext)
    _, large = needed(net, 64, CPU, contextlib.nullcontext)
    assert fixed == 4 * 4 * sum(p.numel() for p in net.parameters())
    assert 3.5 < large / small < 4.1


def test_it_is_near_what_autograd_keeps():
    net = network().train()
    _, each = needed(net, 64, CPU, contextlib.nullcontext)
    kept: set[tuple[int, int]] = set()
    own = {t.data_ptr() for t in (*net.parameters(), *net.buffers())}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept.add((tensor.data_ptr(), tensor.numel() * tensor.element_size()))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        output = net(torch.zeros(8, 3, 64, 64))
    assert output.requires_grad
    assert 1.0 < 8 * each / sum(size for _, size in kept) < 1.7


def test_measuring_changes_nothing():
    net = network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(1)
    needed(net, 32, CPU, contextlib.nullcontext)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_there_is_memory_here():
    assert available(CPU) > 1e8


def test_a_batch_that_fits_passes():
    check_batch(64, 1_000, 10, 1_640, "cpu", 64)


@pytest.mark.parametrize(
    ("batch", "total", "room", "said"),
    [
        (1024, 1024, 5_000_000_000, "1024 images at a time need about 10.2 GB on cuda:0, where 5.0 GB are free. 256 fit: "
         "give --set accumulate=4 to take the 1024 of a step in parts, or --set batch_size=256."),
        (96, 96, 500_000_000, "32 fit: give --set accumulate=3"),
        (96, 96, 15_000_000, "Not even 2 images fit: take a lower resolution, or another device."),
    ],
)  # fmt: skip
def test_a_batch_that_does_not_fit_is_told_which_does(batch, total, room, said):
    with pytest.raises(BatchTooLargeError) as caught:
        check_batch(batch, 0, 10_000_000, room, "cuda:0", total)
    assert said in str(caught.value)
