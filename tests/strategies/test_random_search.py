from collections import Counter

import pytest

import nasmith
from nasmith.errors import ConfigError
from nasmith.executors.inline import Inline
from nasmith.strategies.random_search import RandomSearch
from nasmith.testing import TOY_SPACE, StrategyContract, ToyLM, ToyTask
from nasmith.types import Brief, Candidate, Evaluation, Status
from space_play import begun, check_whole_search, designs, play


class TestOnSpaces(StrategyContract):
    space = TOY_SPACE

    def make(self):
        return RandomSearch(evaluations=30, batch=4)


class TestOnPrograms(StrategyContract):
    def make(self):
        return RandomSearch(evaluations=30, batch=4)


def test_no_design_comes_twice_and_a_space_that_is_used_up_ends_the_search():
    made = play(RandomSearch(evaluations=200, batch=7), lambda design: 1.0)
    assert sorted(designs(made)) == list(TOY_SPACE.designs())


def test_designs_are_uniform_whatever_was_told():
    counts = Counter()
    for seed in range(300):
        counts.update(designs(play(RandomSearch(evaluations=5), lambda design: float(sum(design)), seed)))
    assert len(counts) == 81 and max(counts.values()) < 45


def test_a_seed_is_not_suggested_again():
    made = play(RandomSearch(evaluations=81), lambda design: None, seeds=[((0, 0, 0, 0), 1.0), ((2, 2, 2, 2), None)])
    assert len(made) == 79 and not {(0, 0, 0, 0), (2, 2, 2, 2)} & set(designs(made))


def test_it_plans_no_more_than_there_is():
    assert RandomSearch().planned == 100
    assert begun(RandomSearch()).planned == 81


def test_parents_are_drawn_from_all_programs_that_have_a_fitness():
    strategy, shown = RandomSearch(evaluations=300), Counter()
    strategy.begin(0, (0.5,), {"crossover": 1.0})
    metrics = {"params": 10.0, "val_error": 0.2, "fitness": -2.0}
    strategy.tell(Candidate(1, "a"), Evaluation(1, Status.OK, metrics))
    for step in range(300):
        brief = strategy.ask()
        assert isinstance(brief, Brief) and len(brief.parents) == 2
        if step >= 100:
            shown.update(brief.parents)
        child = Candidate(step + 2, "x", step=step)
        good = step < 100 and step % 2 == 0
        strategy.tell(child, Evaluation(child.id, Status.OK if good else Status.FAILED, metrics if good else {}))
    assert set(shown) <= {1, *range(2, 102, 2)} and len(shown) == 51


def test_without_any_program_to_show_it_ends():
    strategy = RandomSearch()
    strategy.begin(0, (0.5,), {"crossover": 1.0})
    strategy.tell(Candidate(1, "a"), Evaluation(1, Status.FAILED))
    assert strategy.ask() is None


def test_a_whole_search_and_one_that_was_broken_off_are_the_same(tmp_path):
    check_whole_search(lambda: RandomSearch(evaluations=12, batch=3), tmp_path, 12)


def test_a_whole_search_of_programs(tmp_path):
    result = nasmith.search(ToyTask(), ToyLM(), RandomSearch(evaluations=8), Inline(), tmp_path / "x.sqlite3", name="run")
    assert len(result.candidates) == 8 + len(ToyTask().seeds())


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"batch": 0}, {"parents": 0}, {"temperatures": []}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        RandomSearch(**options)
