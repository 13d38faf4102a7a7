from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from nasmith.registry import create
from nasmith.space import Choice, Disguise, Position, Space
from nasmith.types import Candidate, Evaluation, Objective, Status

COSTS = np.array([[0, *(10 * (1 + place % 5) * (2 + choice) for choice in range(6))] for place in range(30)], dtype=float)
LOW, HIGH = 200.0, 240.0


def sizes_of(designs: np.ndarray) -> np.ndarray:
    """FLOPs of designs with 30 positions of 7 choices; of uniform draws about 3,800."""
    return COSTS[np.arange(30), designs].sum(axis=1)[:, None]


@pytest.fixture(scope="module")
def limited() -> Space:
    choices = tuple(Choice(str(code), str(code)) for code in range(7))
    positions = tuple(Position(f"layer {number}", choices) for number in range(30))
    return Space("limited", positions, measures=("flops",), measure=sizes_of, limits=(("flops", LOW, HIGH),))


def test_limits_say_what_is_admitted(limited):
    free, one = np.zeros((1, 30), dtype=int), np.eye(1, 30, 2, dtype=int) * 5
    assert limited.admits(free).tolist() == [False] and limited.admits(one).tolist() == [sizes_of(one)[0, 0] >= LOW]
    assert limited.admits(one * 0 + (np.arange(30) == 4) * 3).tolist() == [True]


def test_draws_keep_limits_that_hardly_any_design_keeps(limited):
    uniform = np.random.default_rng(0).integers(7, size=(100_000, 30))
    assert not limited.admits(uniform).any()
    draws = [limited.sample(Random(seed)) for seed in range(50)]
    assert limited.admits(np.array(draws)).all() and len(set(draws)) == 50
    assert draws[3] == limited.sample(Random(3))


def test_draws_are_spread_as_the_designs_within_the_limits_are():
    """In a space that can be listed, every design within the limits is about as frequent as any other."""
    choices = tuple(Choice(str(code), str(code)) for code in range(3))
    small = Space("small", tuple(Position(f"p{n}", choices) for n in range(4)), measures=("sum",),
                  measure=lambda designs: designs.sum(axis=1)[:, None].astype(float), limits=(("sum", 0.0, 2.0),))  # fmt: skip
    inside = [design for design in small.designs() if sum(design) <= 2]
    draws = small.limited.drawn(np.random.default_rng(2).integers(3, size=(6000, 4)), np.random.default_rng(1))
    counts = [int((draws == design).all(axis=1).sum()) for design in inside]
    assert len(draws) == 6000 == sum(counts) and len(inside) == 15
    assert min(counts) > 320 and max(counts) < 480  # 400 each


def test_a_design_that_misses_the_limits_is_mended_near_by(limited):
    far, near = (6,) * 30, (0, 0, 0, 0, 3, *(0,) * 25)
    mend = limited.limited.mended
    assert mend(near, np.random.default_rng(0)) == near
    mended = mend(far, np.random.default_rng(0))
    assert mended != far and limited.admits(np.array([mended])).all()
    assert Space("free", limited.positions).limited is None


def test_limits_that_nothing_keeps_leave_a_design_alone(limited):
    impossible = replace(limited, limits=(("flops", 1.0, 5.0),))
    assert impossible.limited.mended((6,) * 30, np.random.default_rng(0)) == (6,) * 30
    assert len(impossible.sample(Random(0))) == 30 and not impossible.admits(np.array([impossible.sample(Random(0))])).any()


def test_a_disguise_keeps_limits_and_what_is_stated(limited):
    space = replace(limited, stated=("flops",))
    hidden = Disguise(space, 3)
    assert hidden.space.limits == space.limits and hidden.space.stated == ("flops",)
    design = hidden.space.sample(Random(1))
    assert space.admits(np.array([hidden.reveal(design)])).all()


@pytest.mark.parametrize("name", ["random", "regularized-evolution", "local-search", "nasmith", "tpe", "nsga2"])
def test_every_strategy_keeps_limits_from_the_first_design_on(limited, name):
    if name in ("tpe", "nsga2"):
        pytest.importorskip("optuna")
    strategy = create("strategies", name, {"evaluations": 50})
    strategy.enter(limited, (Objective("accuracy", "maximize", "%"), Objective("flops", "minimize")))
    strategy.begin(0, (1.0,), {})
    seen: list[tuple[int, ...]] = []
    while (wish := strategy.ask()) is not None:
        for text in wish.texts:
            design = limited.read(text)
            number, flops = len(seen) + 1, float(sizes_of(np.array([design]))[0, 0])
            seen.append(design)
            metrics = {"accuracy": float(design[4]), "flops": flops, "fitness": float(design[4])}
            candidate = Candidate(number, text, canonical=text, step=number - 1, operator=wish.operator)
            strategy.tell(candidate, Evaluation(number, Status.OK, metrics))
    assert len(seen) == len(set(seen)) == 50
    assert limited.admits(np.array(seen)).all()


def test_a_beginning_is_reachable_where_some_end_keeps_the_limits(limited):
    reachable = limited.limited.reachable
    assert reachable(()) and reachable((0,) * 29) and not reachable((6,) * 3) and not reachable((0,) * 30)
    assert reachable((0, 0, 0, 0, 3, *(0,) * 25)) and reachable((0, 0, 0, 0, 3))


def test_what_is_reachable_is_what_can_be_completed():
    choices = tuple(Choice(str(code), str(code)) for code in range(3))
    positions = tuple(Position(f"p{n}", choices) for n in range(4))
    space = Space("small", positions, measures=("sum",), measure=lambda designs: designs.sum(axis=1)[:, None].astype(float),
                  limits=(("sum", 3.0, 4.0),))  # fmt: skip
    inside = [design for design in space.designs() if 3 <= sum(design) <= 4]
    for length in range(5):
        for start in {design[:length] for design in space.designs()}:
            assert space.limited.reachable(start) == any(design[:length] == start for design in inside)


def test_a_measure_that_is_no_sum_forbids_nothing(limited):
    product = replace(limited, measure=lambda designs: (1.0 + designs).prod(axis=1)[:, None], limits=(("flops", 1.0, 2.0),))
    assert product.limited.reachable((6,) * 30) and product.limited.reachable((6,))
