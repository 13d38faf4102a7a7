import subprocess
import sys

import pytest

from nasmith.errors import ConfigError, UsageError
from nasmith.strategies.tpe import TPE
from nasmith.testing import TOY_SPACE, StrategyContract
from space_play import check_whole_search, designs, play


class TestContract(StrategyContract):
    space = TOY_SPACE

    def make(self):
        return TPE(evaluations=24, batch=3, startup=6)


def fitness(design):
    return float(sum(design))


def test_no_design_comes_twice_and_a_space_that_is_used_up_ends_the_search():
    made = play(TPE(evaluations=200, batch=9), fitness)
    assert sorted(designs(made)) == list(TOY_SPACE.designs())


def test_it_goes_where_the_fitness_is_high_and_away_from_what_failed():
    later = [design for seed in range(4) for design in designs(play(TPE(30), fitness, seed))[15:]]
    assert sum(map(fitness, later)) / len(later) > 4.8  # of all designs: 4
    later = [d for seed in range(4) for d in designs(play(TPE(30), lambda d: None if d[0] == 0 else 1.0, seed))[15:]]
    assert sum(design[0] == 0 for design in later) / len(later) < 0.25  # of all designs: a third


def test_startup_is_how_many_are_drawn_at_random():
    short, long = (designs(play(TPE(30, startup=startup), fitness, seed=1)) for startup in (5, 15))
    assert short[:5] == long[:5] and short != long


def test_it_lives_without_any_design_that_has_a_fitness():
    assert len(play(TPE(evaluations=25), lambda design: None)) == 25


def test_a_seed_is_known_to_it():
    made = play(TPE(evaluations=81), fitness, seeds=[((0, 0, 0, 0), 1.0), ((2, 2, 2, 2), None)])
    assert len(made) == 79


def test_a_whole_search_and_one_that_was_broken_off_are_the_same(tmp_path):
    check_whole_search(lambda: TPE(evaluations=24, batch=2), tmp_path, 24)


def test_optuna_is_imported_when_a_search_begins():
    code = "from nasmith.strategies.tpe import TPE; from nasmith.strategies.nsga2 import NSGA2; TPE(), NSGA2(); import sys"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'optuna' not in sys.modules"], check=True)


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"batch": 0}, {"startup": 0}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        TPE(**options)


def test_it_needs_a_space():
    with pytest.raises(UsageError, match="tpe proposes designs of a fixed space"):
        TPE().enter(None, ())
