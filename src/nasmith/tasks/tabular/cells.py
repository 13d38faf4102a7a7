"""Which designs are the same network, and what paths lead through one: NAS-Bench-201's cells, NAS-Bench-Macro's layers.

Designs are integers, the index of the choice at each position, as `networks/nasbench201.py` and `networks/macro.py` document
them.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np

__all__ = ["canonical", "macro_canonical", "macro_paths", "paths"]

_NONE, _SKIP, _CONV_1X1, _CONV_3X3, _POOL = range(5)
_PLACES = 5 ** np.arange(5, -1, -1)  # of a cell's six positions: cells in lexicographic order are numbers in base 5

_MACRO_STRIDED = (0, 2, 5)  # positions at which the shape changes
_MACRO_PAIRS = ((3, 4), (6, 7))  # neighbours that keep the shape

_Words = np.ndarray
"""64-bit words that stand for tensors."""


def canonical(designs: np.ndarray) -> np.ndarray:
    """The cell that stands for all cells of NAS-Bench-201 that compute the same, (..., 6) to (..., 6) int64.

    Two cells are the same if the convolutions of one can be matched with those of the other, so that both compute the same
    function whatever the weights are. So:

    - an edge with `none`, and all that leads nowhere or comes from a node without inputs, is not there;
    - `skip` passes its node on;
    - the order of summands does not matter, but their number does: two skips from the same node make twice its value;
    - pooling is linear: pooling a sum is summing what is pooled;
    - a convolution whose result goes two ways is not two convolutions with weights of their own.

    There are 5,044 classes; the first in lexicographic order stands for each. Cells of a class have the same convolutions on
    their paths, but differ in parameters where there are convolutions that lead nowhere. What the batch normalisation adds
    after a convolution of zeros, a constant, is taken for nothing; taken for something, there would be 5,267.

    NAS-Bench-201 (Dong and Yang 2020) counts 6,466 by the cell written as text: a skip stands for the text of its node, a node
    is the texts of its edges, sorted and joined by "+", and "#" stands for `none` and for any operation on a node whose text is
    "#". So zeros stay among the summands, "#+#" is not zero, and a sum that a skip passes on is sorted as one: equal cells
    count twice, how often depends on the characters. By expressions without these flaws there are 4,930: too few, because an
    expression does not say whether a convolution that occurs twice is one or two.
    """
    designs = _checked(designs, 6, 5)
    numbers: np.ndarray = _representatives()[designs @ _PLACES]
    return numbers[..., None] // _PLACES % 5


def paths(designs: np.ndarray) -> dict[str, np.ndarray]:
    """What paths lead from a cell's input to its output in NAS-Bench-201, arrays of shape (n,) for designs (n, 6).

    Returns:
        paths: Their number, 0 to 4, int64; a path has no edge with `none`.
        longest: Most convolutions on a path, 0 to 3, int64; -1 without a path.
        shortest: Fewest convolutions on a path, 0 to 3, int64; -1 without a path.
        shortcut: Whether a path has skips alone, bool.
        dead: Whether there is no path, bool: the cell returns zeros, or a constant.
    """
    designs = _checked(designs, 6, 5)
    routes = ((3,), (0, 4), (1, 5), (0, 2, 5))  # the edges of each way from node 0 to node 3
    is_open = np.stack([(designs[:, route] != _NONE).all(axis=1) for route in routes])
    weighted = (designs == _CONV_1X1) | (designs == _CONV_3X3)
    lengths = np.stack([weighted[:, route].sum(axis=1) for route in routes])
    dead = ~is_open.any(axis=0)
    return {
        "paths": is_open.sum(axis=0),
        "longest": np.where(is_open, lengths, -1).max(axis=0),
        "shortest": np.where(dead, -1, np.where(is_open, lengths, len(routes)).min(axis=0)),
        "shortcut": np.stack([(designs[:, route] == _SKIP).all(axis=1) for route in routes]).any(axis=0),
        "dead": dead,
    }


def macro_canonical(designs: np.ndarray) -> np.ndarray:
    """The design that stands for all designs of NAS-Bench-Macro that are the same network, (..., 8) to (..., 8) int64.

    An identity does nothing where the shape stays. Layers 4 and 5 have the same shapes, and so have 7 and 8: a block may stand
    in either of the two if the other is an identity. Of such designs the one with the identity first stands for both; there
    are 3,969 classes. Layer 2 is the only one of its stage that keeps the shape, and where the shape changes identity is a
    convolution.
    """
    designs = _checked(designs, 8, 3)
    for first, second in _MACRO_PAIRS:
        idle = designs[..., second] == 0
        designs[..., second] = np.where(idle, designs[..., first], designs[..., second])
        designs[..., first] = np.where(idle, 0, designs[..., first])
    return designs


def macro_paths(designs: np.ndarray) -> dict[str, np.ndarray]:
    """What paths lead through the eight layers in NAS-Bench-Macro, arrays of shape (n,) for designs (n, 8).

    An inverted residual has three convolutions, and a way around them where the shape stays; identity has one convolution
    where the shape changes.

    Returns:
        paths: Their number, a power of two from 1 to 32, int64.
        longest: Most convolutions on a path, 3 to 24, int64.
        shortest: Fewest convolutions on a path, 3 to 9, int64.
        shortcut: Whether a path has no convolution, bool: never, because the shape changes.
        dead: Whether there is no path, bool: never.
    """
    designs = _checked(designs, 8, 3)
    strided = np.isin(np.arange(8), _MACRO_STRIDED)
    blocks = designs != 0
    longest = np.where(blocks, 3, strided)
    never = np.zeros(len(designs), dtype=bool)
    return {
        "paths": 2 ** (blocks & ~strided).sum(axis=1),
        "longest": longest.sum(axis=1),
        "shortest": (longest * strided).sum(axis=1),
        "shortcut": never,
        "dead": never.copy(),
    }


@cache
def _representatives() -> np.ndarray:
    """For each cell, by its number, the number of the first cell that is the same."""
    _, first, classes = np.unique(_signatures(), return_index=True, return_inverse=True)
    numbers: np.ndarray = first[classes]
    numbers.flags.writeable = False
    return numbers


def _signatures() -> _Words:
    """A word for each cell, by its number, that is the same for two cells if and only if the cells are the same.

    Computes all cells with random 64-bit words for tensors: sums are sums, pooling is a product with a fixed odd word, a
    convolution is a hash of its input and its weights. Summed over all orders in which six weights can lie on six edges, so
    that it does not matter which edge has which. Two that differ get the same word with a probability around 2**-64.
    """
    words = np.random.default_rng(0).integers(2**62, 2**63, size=10).astype(np.uint64) * 2 + 1
    image, constants, weights = words[:1], words[1:4], words[4:]
    signatures = np.zeros((5,) * 6, dtype=np.uint64)
    for order in permutations(weights):
        to1, to2, from1to2, to3, from1to3, from2to3 = order
        node1 = _edges(image, constants, to1)[:, 0]  # by the operation on edge 0
        node2 = _edges(image, constants, to2).reshape(1, 5, 1) + _edges(node1, constants, from1to2).T[:, None, :]
        direct = _edges(image, constants, to3).reshape(1, 1, 1, 5, 1, 1)
        through1 = _edges(node1, constants, from1to3).T.reshape(5, 1, 1, 1, 5, 1)
        through2 = _edges(node2.reshape(-1), constants, from2to3).T.reshape(5, 5, 5, 1, 1, 5)
        signatures += _hashed(direct + through1 + through2)
    return signatures.reshape(-1)


def _edges(values: _Words, constants: _Words, weight: np.uint64) -> _Words:
    """What each of the five operations makes of values (n,), (5, n)."""
    pool, *kernels = constants
    convolved = [np.where(values == 0, np.uint64(0), _hashed((values + kernel) ^ weight)) for kernel in kernels]
    return np.stack([np.zeros_like(values), values, *convolved, values * pool])


def _hashed(values: _Words) -> _Words:
    """Words without any trace of the order or the sums of those they come from (the finisher of SplitMix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def _checked(designs: np.ndarray, positions: int, choices: int) -> np.ndarray:
    designs = np.asarray(designs)
    if not designs.ndim or designs.shape[-1] != positions or not np.issubdtype(designs.dtype, np.integer):
        raise ValueError(f"designs must be integers of shape (n, {positions}), not {designs.dtype} of shape {designs.shape}")
    if designs.size and not 0 <= designs.min() <= designs.max() < choices:
        raise ValueError(f"designs must be numbers from 0 to {choices - 1}, not from {designs.min()} to {designs.max()}")
    return designs.astype(np.int64)
