from dataclasses import replace

import numpy as np

from nasmith.space import Choice, Position, Space
from nasmith.strategies.pool import Pool
from nasmith.testing import TOY_SPACE

FIVE = tuple(Choice(str(index), f"c{index}") for index in range(5))
LARGE = Space(
    "large",
    tuple(Position(f"p{number}", FIVE) for number in range(12)),
    measures=("flops", "shortcut", "dead"),
    measure=lambda designs: np.stack(
        [1.0 + (designs**2).sum(axis=1), designs[:, 0] == 1, (designs == 0).all(axis=1)], axis=1
    ).astype(float),
)


def pool(space, weights=None, seed=0):
    return Pool(space, weights or {"flops": 1.0, "shortcut": 1.0}, np.random.default_rng(seed))


def test_a_small_space_is_listed_with_its_belief():
    designs = pool(TOY_SPACE).designs
    assert len(designs) == 81 and designs.onehot.sum(axis=1).tolist() == [4.0] * 81
    assert designs.choices[designs.belief.argmax()].tolist() == [2, 2, 2, 2]
    assert abs(designs.belief.mean()) < 1e-9 and abs(designs.belief.std() - 1) < 1e-9
    assert (pool(TOY_SPACE, {"params": 2.0}).designs.belief.std() - 2) < 1e-9
    assert not pool(replace(TOY_SPACE, measure=None)).designs.belief.any()


def test_equal_dead_and_forbidden_designs_are_left_out():
    space = replace(
        TOY_SPACE,
        form=lambda designs: np.sort(designs, axis=1),
        measures=("dead",),
        measure=lambda designs: (designs.sum(axis=1, keepdims=True) == 0).astype(float),
        admits=lambda designs: designs.sum(axis=1) < 8,
    )
    assert len(pool(space).designs) == 15 - 2  # of 15 multisets, all zeros and all twos


def test_what_is_near_differs_at_few_positions():
    centre = np.array([[0, 1, 2, 0]])
    for radius, count in ((1, 9), (2, 33)):
        near = pool(TOY_SPACE).near(centre, radius, 0)
        assert len(near) == count and ((near.choices != centre).sum(axis=1) <= radius).all()
    assert len(pool(TOY_SPACE).near(centre, 1, 60)) > 30


def test_a_large_space_is_climbed_and_looked_at_around_the_centres():
    large = pool(LARGE)
    best = large.largest_beliefs()
    assert best.choices[best.belief.argmax()].tolist() in ([4] * 12, [1, *[4] * 11])
    near = large.near(best.choices[:1], 2, 30)
    distance = (near.choices != best.choices[0]).sum(axis=1)
    assert (distance == 1).sum() >= 48 - 1 and (distance == 2).sum() > 20 and (distance > 2).sum() > 20
    assert len(np.unique(near.choices, axis=0)) == len(near)
    assert 0 <= near.choices.min() <= near.choices.max() < 5
