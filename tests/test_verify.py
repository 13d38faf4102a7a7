import pytest

from nasmith.errors import ConfigError
from nasmith.testing import ToyTask
from nasmith.types import Candidate, Evaluation, Status
from nasmith.verify import Verification, winners


def evaluation(number, params, error, **options):
    return Evaluation(number, Status.OK, {"params": params, "val_error": error, "fitness": -params * error}, **options)


CANDIDATES = [Candidate(1, "", label="seed"), *(Candidate(n, "", step=0) for n in range(2, 8))]
EVALUATIONS = [
    evaluation(1, 50, 0.5),
    evaluation(2, 10, 0.4),
    evaluation(3, 20, 0.3),
    evaluation(4, 30, 0.3),
    evaluation(5, 400, 0.1),
    Evaluation(6, Status.FAILED),
    evaluation(7, 20, 0.35),
]


def test_winners_are_the_seeds_the_fittest_children_and_the_front():
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=1)) == [1, 2, 3, 5]
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=3, baselines=False)) == [2, 3, 7, 5]


def test_a_long_front_is_thinned_out_evenly():
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=1, front=2, baselines=False)) == [2, 5]
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=1, front=0, baselines=False)) == [2]


def test_verification_can_be_off():
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=0)) == []


@pytest.mark.parametrize("options", [{"best": -1}, {"seeds": 0}, {"front": -1}])
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match="verify"):
        Verification(**options)
