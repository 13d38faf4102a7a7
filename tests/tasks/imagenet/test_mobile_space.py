from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest
import torch

from nasmith.tasks.imagenet.mobile_network import Network
from nasmith.tasks.imagenet.mobile_space import canonical, count_by_building, count_by_layers, counted_flops, mobile, table

GENIUS_329 = (1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 4, 0, 4, 3, 0, 0, 4, 3, 0, 4, 4, 0, 5, 0, 5, 5, 5, 0)


def drawn(seed: int) -> tuple[int, ...]:
    return mobile().sample(Random(seed))


def test_the_published_network_has_the_published_sizes():
    params, flops, _ = table().measure(np.array([GENIUS_329]))[0]
    assert (round(params / 1e6, 1), round(flops / 1e6)) == (7.0, 329)


def test_every_number_of_the_published_table_to_the_digits_printed(record):
    text = record[1]["content"]
    sizes = table()
    seen = 0
    for stage in range(5):
        for row, name in ((6 * stage, "first"), (6 * stage + 3, "rest")):
            printed = re.search(rf"flops_stage{stage + 1}_{name}\s*= \[(.*?)\]", text)[1].split(",")
            for choice, number in enumerate(printed):
                decimals = len(number.strip().partition(".")[2])
                assert f"{sizes.flops[row, choice] / 1e6:.{decimals}f}" == number.strip()
                seen += 1
    assert seen == 70


def test_the_fixed_layers_are_those_of_the_table_and_the_norms_that_it_leaves_out(record):
    printed = sum(map(float, re.findall(r"defined: True.*?FLOPS: ([\d.]+)", record[1]["content"])))
    norms = 2 * 16 * 4 * 112 * 112 / 1e6  # of the stem, and one of the layer behind it
    assert printed == pytest.approx(16.0037)
    assert table().fixed[1] / 1e6 - printed == pytest.approx(1.62, abs=0.005)
    assert norms == pytest.approx(1.6056, abs=0.0001)


@pytest.mark.parametrize(("seed", "resolution", "classes"), [(0, 224, 1000), (1, 196, 10), (2, 64, 3), (3, 37, 1000)])
def test_counting_a_built_network_gives_the_table_at_any_resolution(seed, resolution, classes):
    design = drawn(seed)
    expected = table(resolution, classes).measure(np.array([design]))[0]
    assert count_by_building(design, resolution, classes) == tuple(expected[:2])
    assert count_by_layers(design, resolution, classes) == tuple(expected[:2])


def test_activations_are_what_hard_swish_puts_out():
    network, seen = Network(GENIUS_329, 10), []
    for module in network.modules():
        if isinstance(module, torch.nn.Hardswish):
            module.register_forward_hook(lambda _, __, output: seen.append(output.numel()))
    network.eval()(torch.zeros(1, 3, 64, 64))
    assert table(64, 10).measure(np.array([GENIUS_329]))[0, 2] == sum(seen)


def test_counting_leaves_no_hook_behind():
    network = Network(GENIUS_329, 10)
    counted_flops(network, 64)
    assert not any(module._forward_hooks for module in network.modules())


def test_where_no_layer_stands_within_a_stage_does_not_matter():
    spread = (1, 0, 2, 0, 3, 0, *(0,) * 24)
    moved = (1, 2, 3, 0, 0, 0, *(0,) * 24)
    assert mobile().canonical(spread) == mobile().canonical(moved) == moved
    names = lambda design: [tuple(p.shape) for p in Network(design, 10).parameters()]  # noqa: E731
    assert names(spread) == names(moved)


def test_the_first_place_of_a_stage_is_not_moved():
    design = (0, 2, 0, 0, 0, 0, *(0,) * 24)
    assert mobile().canonical(design) == design
    both = np.array([design, (0, 0, 2, *(0,) * 27)])
    assert (canonical(both) == np.array([design, design])).all()


def test_a_design_is_written_as_a_list_and_read_again():
    space = mobile()
    text = space.write(GENIUS_329)
    assert text.startswith("[1, 0, 0, 0, 1, 0, 1,") and space.read(text) == GENIUS_329
    assert space.positions[18].name == "stage 4, layer 1: 80 to 96 channels, stride 1"
    assert space.positions[1].choices[0].meaning == "no layer"
    assert space.positions[0].choices[6].meaning == "inverted residual block, kernel size 7, expansion 6"
    assert space.conversation == "restarted"
