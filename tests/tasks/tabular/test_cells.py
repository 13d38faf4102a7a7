from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from nasmith.tasks.tabular import cells, counting
from nasmith.tasks.tabular.networks import nasbench201

NONE, SKIP, ONE, THREE, POOL = range(5)
CELLS = np.array(list(product(range(5), repeat=6)))
MACROS = np.array(list(product(range(3), repeat=8)))


def _classes(keys) -> list[int]:
    """Numbers of classes, by the order in which they come."""
    numbers: dict = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _expression(design: tuple[int, ...], labels: tuple[int, ...] = (0,) * 6) -> tuple:
    """The output as sorted terms; a term is ("x", pools) or (operation, label, input, pools)."""
    nodes: list[tuple] = [(("x", 0),), (), (), ()]
    for (source, target), operation, label in zip(nasbench201.EDGES, design, labels, strict=True):
        value = nodes[source]
        if operation == NONE or not value:
            continue
        if operation == POOL:
            value = tuple((*term[:-1], term[-1] + 1) for term in value)
        elif operation != SKIP:
            value = ((operation, label, value, 0),)
        nodes[target] = tuple(sorted((*nodes[target], *value), key=repr))
    return nodes[3]


def _slow_form(design: tuple[int, ...]) -> str:
    """The first expression over all ways to name the convolutions that are on a path."""
    found = repr(_expression(design, tuple(range(6))))
    live = [i for i in range(6) if f"({ONE}, {i}, " in found or f"({THREE}, {i}, " in found]
    kinds = [[i for i in live if design[i] == kind] for kind in (ONE, THREE)]
    forms = []
    for ones, threes in product(permutations(kinds[0]), permutations(kinds[1])):
        names = dict(zip(kinds[0] + kinds[1], ones + threes, strict=True))
        order = sorted(names, key=lambda i: (design[i], i))
        labels = {i: order.index(names[i]) for i in names}
        forms.append(repr(_expression(design, tuple(labels.get(i, 9) for i in range(6)))))
    return min(forms)


def _published_text(design: tuple[int, ...]) -> str:
    """A cell as NAS-Bench-201 writes it to tell it from others; another notation gives another count."""
    nodes = ["0", "", "", ""]
    for target in (1, 2, 3):
        texts = []
        for (source, end), operation in zip(nasbench201.EDGES, design, strict=True):
            if end == target:
                node = nodes[source]
                zero = operation == NONE or node == "#"
                texts.append("#" if zero else node if operation == SKIP else f"({node})@{operation}")
        nodes[target] = "+".join(sorted(texts))
    return nodes[3]


def test_cells_are_told_apart_as_by_their_expressions():
    found = cells.canonical(CELLS)

    assert _classes(map(tuple, found.tolist())) == _classes(map(_slow_form, map(tuple, CELLS.tolist())))
    assert len(np.unique(found, axis=0)) == 5044


def test_the_first_cell_of_a_class_stands_for_it():
    found = cells.canonical(CELLS)

    assert found.dtype == np.int64 and found.shape == CELLS.shape
    assert np.array_equal(cells.canonical(found), found)
    assert all(tuple(form) <= tuple(cell) for form, cell in zip(found.tolist(), CELLS.tolist(), strict=True))


def test_the_published_number_of_cells_comes_by_other_rules():
    designs = [tuple(row) for row in CELLS.tolist()]

    assert len({_published_text(design) for design in designs}) == 6466
    without_pools = [design for design in designs if POOL not in design]  # there, pooling a sum is no question
    ours = len(np.unique(cells.canonical(np.array(without_pools)), axis=0))
    assert len({_expression(design) for design in without_pools}) < ours < len(set(map(_published_text, without_pools)))


def test_cells_without_weights_are_the_same_if_they_compute_the_same():
    designs = [design for design in product((NONE, SKIP, POOL), repeat=6)]
    x = torch.randn(1, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    outputs = [nasbench201.Cell(design, 1)(x).numpy().round(9) + 0.0 for design in designs]

    forms = cells.canonical(np.array(designs))

    assert _classes(map(tuple, forms.tolist())) == _classes(output.tobytes() for output in outputs)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((0, 0, 0, 0, 3, 3), (0, 0, 0, 0, 0, 0), True),  # convolutions of zeros lead nowhere
        ((3, 0, 0, 0, 1, 0), (0, 3, 0, 0, 0, 1), True),  # through another node
        ((2, 3, 0, 0, 1, 1), (3, 2, 0, 0, 1, 1), True),  # in another order
        ((1, 0, 0, 1, 1, 0), (0, 0, 0, 1, 0, 0), False),  # twice the input
        ((2, 2, 0, 0, 3, 3), (2, 0, 1, 0, 3, 3), False),  # two convolutions, or one whose result is used twice
        ((1, 1, 1, 0, 0, 4), (1, 0, 0, 4, 4, 0), True),  # pooling a sum
        ((1, 1, 1, 0, 0, 3), (1, 0, 0, 3, 3, 0), False),  # a convolution is not linear
    ],
)
def test_what_is_the_same_cell(one, other, same):
    assert np.array_equal(cells.canonical(np.array(one)), cells.canonical(np.array(other))) == same


def test_paths_through_cells_agree_with_a_search():
    found = cells.paths(CELLS)

    for row, design in enumerate(CELLS.tolist()):
        routes = [[(0, 1.0, 0)], [], [], []]  # of each node: convolutions, and whether all are skips so far
        for (source, target), operation in zip(nasbench201.EDGES, design, strict=True):
            if operation != NONE:
                step = operation in (ONE, THREE)
                routes[target] += [(length + step, skips * (operation == SKIP), 0) for length, skips, _ in routes[source]]
        lengths = [length for length, _, _ in routes[3]] or [-1]
        wanted = (len(routes[3]), max(lengths), min(lengths), any(skips for _, skips, _ in routes[3]), not routes[3])
        assert tuple(found[name][row] for name in ("paths", "longest", "shortest", "shortcut", "dead")) == wanted


def test_cells_of_a_class_have_the_same_convolutions_on_their_longest_path():
    one, other = cells.paths(CELLS), cells.paths(cells.canonical(CELLS))

    for name in ("longest", "shortest", "shortcut", "dead"):
        assert np.array_equal(one[name], other[name])
    assert one["dead"].sum() == 341 and (cells.canonical(CELLS[one["dead"]]) == 0).all()


def test_macro_designs_that_differ_by_the_place_of_an_identity_are_the_same():
    found = cells.macro_canonical(MACROS)

    assert len(np.unique(found, axis=0)) == 3969
    assert np.array_equal(cells.macro_canonical(found), found)
    assert (found <= MACROS)[:, [3, 6]].all()
    assert np.array_equal(counting.macro(found), counting.macro(MACROS))
    assert cells.macro_canonical(np.array([1, 0, 2, 1, 0, 0, 2, 0])).tolist() == [1, 0, 2, 0, 1, 0, 0, 2]
    assert cells.macro_canonical(np.array([1, 0, 2, 1, 2, 0, 2, 1])).tolist() == [1, 0, 2, 1, 2, 0, 2, 1]


def test_canonical_forms_leave_what_they_are_given_alone():
    designs = np.array([[1, 0, 2, 1, 0, 0, 2, 0]])
    cells.macro_canonical(designs)
    assert designs.tolist() == [[1, 0, 2, 1, 0, 0, 2, 0]]


def test_paths_through_macro_designs():
    found = cells.macro_paths(np.array([[0] * 8, [2] * 8, [1, 0, 0, 1, 0, 0, 2, 2]]))

    assert found["paths"].tolist() == [1, 32, 8]
    assert found["longest"].tolist() == [3, 24, 14]
    assert found["shortest"].tolist() == [3, 9, 5]
    assert not found["shortcut"].any() and not found["dead"].any()


@pytest.mark.parametrize("function", [cells.canonical, cells.paths, cells.macro_canonical, cells.macro_paths])
def test_what_is_no_design_is_refused(function):
    with pytest.raises(ValueError, match="shape"):
        function(np.zeros((2, 5), dtype=int))
    with pytest.raises(ValueError, match="from 0 to"):
        function(np.full((2, 6 if function in (cells.canonical, cells.paths) else 8), 7))
