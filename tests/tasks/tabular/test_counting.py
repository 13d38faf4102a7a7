from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pytest

from nasmith.tasks.tabular import counting
from nasmith.tasks.tabular.networks import channel_mobilenet, channel_resnet, macro, nasbench201

NETWORKS = {"macro": (macro, 8, 3), "channel_resnet": (channel_resnet, 7, 4), "channel_mobilenet": (channel_mobilenet, 7, 4)}


@pytest.mark.parametrize(
    ("name", "file", "first_digit", "entries"),
    [
        ("macro", "nas-bench-macro_cifar10.json", 0, 3**8),
        ("channel_resnet", "Results_ResNet.json", 1, 4**7),
        ("channel_mobilenet", "Results_MobileNet.json", 1, 4**7),
    ],
)
def test_every_entry_of_a_published_table_is_met_exactly(table, name, file, first_digit, entries):
    published = table(file)
    designs = np.array([[int(digit) - first_digit for digit in key] for key in published])

    params, flops, _ = getattr(counting, name)(designs)

    assert len(published) == entries
    assert params.dtype == flops.dtype == np.int64
    assert np.array_equal(params, [entry["params"] for entry in published.values()])
    assert np.array_equal(flops, [entry["flops"] for entry in published.values()])


@pytest.mark.parametrize("classes", [10, 7])
@pytest.mark.parametrize("size", [32, 24])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_network_has_what_is_counted(measured, drawn, name, size, classes):
    module, positions, choices = NETWORKS[name]
    designs = drawn(12, positions, choices)

    counts = np.stack(getattr(counting, name)(designs, classes, size), axis=1)

    assert counts.tolist() == [list(measured(partial(module.Network, tuple(row), classes), size)) for row in designs.tolist()]


@pytest.mark.parametrize(
    "options", [{}, {"classes": 120, "size": 16}, {"classes": 3, "size": 8, "channels": 4, "cells": 1}, {"cells": 2}]
)
def test_a_network_of_cells_has_what_is_counted(measured, drawn, options):
    designs = drawn(12, 6, 5)
    size = options.get("size", 32)
    rest = {name: value for name, value in options.items() if name != "size"}

    counts = np.stack(counting.nasbench201(designs, **options), axis=1)

    builds = [partial(nasbench201.Network, tuple(row), **rest) for row in designs.tolist()]
    assert counts.tolist() == [list(measured(build, size)) for build in builds]


@pytest.mark.parametrize(
    ("classes", "size", "params", "flops"),  # in millions, the smallest and the largest that NAS-Bench-201 publishes
    [
        (10, 32, (0.073306, 1.531546), (7.78305, 220.11969)),
        (100, 32, (0.079156, 1.537396), (7.7889, 220.12554)),
        (120, 16, (0.080456, 1.538696), (1.9534, 55.03756)),
    ],
)
def test_cells_have_the_published_sizes_but_for_the_biases(classes, size, params, flops):
    designs = np.array(list(product(range(5), repeat=6)))

    counted = counting.nasbench201(designs, classes, size)

    assert [counted[0].min() / 1e6, counted[0].max() / 1e6] == list(params)
    assert [(counted[1].min() + classes) / 1e6, (counted[1].max() + classes) / 1e6] == list(flops)


@pytest.mark.parametrize("name", ["macro", "channel_resnet", "channel_mobilenet", "nasbench201"])
def test_no_designs_have_no_counts(name):
    positions = {"macro": 8, "nasbench201": 6}.get(name, 7)

    params, flops, activations = getattr(counting, name)(np.zeros((0, positions), dtype=int))

    assert params.shape == flops.shape == activations.shape == (0,)


@pytest.mark.parametrize(
    ("designs", "message"),
    [
        (np.zeros((2, 7), dtype=int), r"shape \(n, 6\), not int64 of shape \(2, 7\)"),
        (np.zeros(6, dtype=int), "shape"),
        (np.zeros((2, 6)), "not float64"),
        (np.full((2, 6), 5), "from 0 to 4, not from 5 to 5"),
        (np.full((2, 6), -1), "from 0 to 4, not from -1"),
    ],
)
def test_what_is_no_design_is_refused(designs, message):
    with pytest.raises(ValueError, match=message):
        counting.nasbench201(designs)


def test_a_size_that_cannot_be_halved_twice_is_refused():
    with pytest.raises(ValueError, match="multiple of 4, not 30"):
        counting.nasbench201(np.zeros((1, 6), dtype=int), size=30)
