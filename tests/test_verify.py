import pytest

from nasmith.errors import ConfigError
from nasmith.testing import ToyTask
from nasmith.types import Candidate, Evaluation, Status
from nasmith.verify import Verification, contenders, winners


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


def test_of_a_long_front_those_that_beat_a_seed_come_first():
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=1, front=2, baselines=False)) == [2, 3]


def test_a_long_front_is_thinned_out_evenly():
    unbeaten = [evaluation(1, 1, 0.05), *EVALUATIONS[1:]]
    wide = [*unbeaten[:5], evaluation(6, 0.5, 0.9), evaluation(7, 0.2, 0.95)]
    assert winners(ToyTask(), CANDIDATES, wide, Verification(best=1, front=2, baselines=False))[-2:] == [7, 6]
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=1, front=0, baselines=False)) == [2]


def test_verification_can_be_off():
    assert winners(ToyTask(), CANDIDATES, EVALUATIONS, Verification(best=0)) == []


@pytest.mark.parametrize("options", [{"best": -1}, {"seeds": 0}, {"front": -1}])
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match="verify"):
        Verification(**options)


def trainings(number, *errors):
    return [evaluation(number, 100, error, purpose="verify") for error in errors]


def test_leaders_whose_intervals_overlap_are_trained_on_and_others_are_not():
    clear = [*trainings(1, 0.10, 0.11, 0.10), *trainings(2, 0.30, 0.31, 0.30)]
    assert contenders(clear, ToyTask()) == []
    close = [*clear, *trainings(3, 0.09, 0.14, 0.11)]
    assert contenders(close, ToyTask()) == [1, 3]


def test_one_training_gives_no_interval_and_failures_do_not_count():
    failed = Evaluation(2, Status.FAILED, purpose="verify")
    assert contenders([*trainings(1, 0.1), *trainings(2, 0.1, 0.1), failed], ToyTask()) == []
    assert contenders([], ToyTask()) == []


def test_a_search_gives_close_leaders_more_seeds_and_resumes_in_the_middle(tmp_path):
    from toy_runs import toy_search

    def seeds_of(result):
        found = {}
        for each in result.evaluations:
            if each.purpose == "verify":
                found.setdefault(each.candidate, []).append(each.seed)
        return found

    few = seeds_of(toy_search(tmp_path / "few.sqlite3", verify=Verification(best=4, front=0, seeds=2)))
    many = seeds_of(toy_search(tmp_path / "many.sqlite3", verify=Verification(best=4, front=0, seeds=2, most_seeds=5)))
    assert all(len(seeds) == 2 for seeds in few.values())
    assert few.keys() == many.keys() and all(many[number][:2] == few[number] for number in few)
    assert max(map(len, many.values())) > 2 and min(map(len, many.values())) == 2


@pytest.mark.parametrize("options", [{"most_seeds": -1}, {"seeds": 1, "most_seeds": 4}])
def test_more_seeds_need_two_to_begin_with(options):
    with pytest.raises(ConfigError, match="a confidence interval takes 2 seeds"):
        Verification(**options)
