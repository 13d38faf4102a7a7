import pytest

from nasmith.errors import ConfigError, UsageError
from nasmith.strategies.nsga2 import NSGA2
from nasmith.testing import TOY_SPACE, StrategyContract
from space_play import begun, check_whole_search, designs, play


class TestContract(StrategyContract):
    space = TOY_SPACE

    def make(self):
        return NSGA2(evaluations=30, batch=3, population=6)


def fitness(design):
    """High where the first two layers are wide; `params` counts all four."""
    return float(10 * (design[0] + design[1]))


def test_the_population_is_a_fifth_of_the_evaluations_and_at_most_optunas():
    assert [NSGA2(evaluations)._members for evaluations in (10, 100, 1000)] == [10, 20, 50]
    assert begun(NSGA2(population=7))._search._study._study.sampler.population_size == 7


def test_it_goes_towards_all_objectives():
    later = [d for seed in range(6) for d in designs(play(NSGA2(40, population=8), fitness, seed))[24:]]
    assert sum(d[0] + d[1] for d in later) / len(later) > 1.8
    assert sum(d[2] + d[3] for d in later) / len(later) < 1.5  # of all designs: 2


def test_the_tasks_directions_are_the_studys():
    strategy = begun(NSGA2())
    assert [direction.name for direction in strategy._search._study._study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_no_design_comes_twice_and_a_space_that_is_used_up_ends_the_search():
    made = play(NSGA2(evaluations=200, batch=9), fitness)
    assert sorted(designs(made)) == list(TOY_SPACE.designs())


def test_what_failed_joins_no_population():
    strategy = NSGA2(evaluations=40, population=6)
    play(strategy, lambda d: None if d[0] == 0 else fitness(d))
    study = strategy._search._study._study
    population = study.sampler.get_parent_population(study, 2)
    assert population and all(trial.params["0"] != 0 for trial in population)
    assert len(play(NSGA2(evaluations=25, population=5), lambda design: None)) == 25


def test_a_whole_search_and_one_that_was_broken_off_are_the_same(tmp_path):
    check_whole_search(lambda: NSGA2(evaluations=24, batch=2, population=6), tmp_path, 24)


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"batch": 0}, {"population": 1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        NSGA2(**options)


def test_it_needs_a_space():
    with pytest.raises(UsageError, match="nsga2 proposes designs of a fixed space"):
        NSGA2().enter(None, ())
