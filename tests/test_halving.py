import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.halving import Ladder
from nasmith.types import Evaluation, Status

RUNGS = (10, 30, 90)


def ladder(tmp_path, known=(), seeds=2):
    return Ladder(RUNGS, seeds, lambda: tmp_path, known)


def at_rung(candidate, steps, fitness):
    return Evaluation(candidate, Status.OK, {"fitness": fitness}, fidelity=steps, purpose="rung")


def reach(halving, candidate, fitness, rung=0):
    halving.begin(candidate)
    halving.reached(candidate, rung, fitness, {})
    return halving.goes_on(candidate, rung)


def test_the_best_third_of_a_rung_goes_on(tmp_path):
    halving = ladder(tmp_path)
    decided = [reach(halving, 3 + place, fitness) for place, fitness in enumerate([0.5, 0.4, 0.6, 0.3, 0.55, 0.1])]
    # 1 of 1; 1 of 2; 1 of 3 (it is the best); 2 of 4 (it is the last); 2 of 5 (second); 2 of 6 (last)
    assert decided == [True, False, True, False, True, False]


def test_a_decision_waits_for_earlier_candidates_that_are_on_their_way(tmp_path):
    halving = ladder(tmp_path)
    halving.begin(3)
    assert reach(halving, 4, 0.5) is None
    halving.reached(3, 0, 0.6, {})
    assert halving.goes_on(3, 0) is True and halving.goes_on(4, 0) is False


def test_it_does_not_wait_for_one_that_ended_before_the_rung(tmp_path):
    halving = ladder(tmp_path)
    halving.begin(3)
    assert reach(halving, 4, 0.5) is None
    halving.over(3)
    assert halving.goes_on(4, 0) is True


def test_seeds_go_on_and_children_are_measured_by_them(tmp_path):
    halving = ladder(tmp_path)
    assert reach(halving, 1, 0.1) and reach(halving, 2, 0.9)
    assert not reach(halving, 3, 0.5)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.randoms())
def test_the_order_in_which_candidates_arrive_does_not_matter(values, random):
    known = [at_rung(number, 10, value) for number, value in enumerate(values, start=1)]
    decided = []
    for _ in range(2):
        halving = Ladder(RUNGS, 0, lambda: pytest.fail("no file is needed"), known)
        decided.append([halving.goes_on(number, 0) for number in range(1, len(values) + 1)])
        random.shuffle(known)
    assert decided[0] == decided[1]
    assert any(decided[0])


def test_a_training_goes_on_from_its_checkpoint_after_a_restart(tmp_path):
    first = ladder(tmp_path)
    assert first.begin(3) == (0, {})
    kept = first.reached(3, 0, 1.0, {"checkpoint/w": np.arange(3.0), "outputs/val": np.ones(2)})
    assert list(kept) == ["w"]
    rung, checkpoint = ladder(tmp_path, [at_rung(3, 10, 1.0)]).begin(3)
    assert rung == 1 and list(checkpoint) == ["w"] and (checkpoint["w"] == np.arange(3.0)).all()


def test_without_its_checkpoint_a_training_begins_again_towards_the_same_rung(tmp_path):
    assert ladder(tmp_path, [at_rung(3, 10, 1.0)]).begin(3) == (1, {})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "3-0.npz").write_bytes(b"cut")
    assert ladder(tmp_path, [at_rung(3, 10, 1.0)]).begin(3) == (1, {})


def test_one_that_was_given_up_but_not_examined_is_trained_to_its_rung_again(tmp_path):
    known = [at_rung(3, 10, 1.0), at_rung(4, 10, 0.0)]
    assert ladder(tmp_path, known).begin(4) == (0, {})


def test_checkpoints_of_what_is_over_are_deleted(tmp_path):
    halving = ladder(tmp_path)
    halving.begin(3)
    for rung in (0, 1):
        halving.reached(3, rung, 1.0, {"checkpoint/w": np.ones(2)})
    halving.over(3)
    assert list((tmp_path / "checkpoints").iterdir()) == []
    halving.over(4)  # was never at a rung
