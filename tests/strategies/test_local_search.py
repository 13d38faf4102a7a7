import numpy as np
import pytest

import nasmith
from nasmith.errors import ConfigError
from nasmith.executors.inline import Inline
from nasmith.space import Choice, Position, Space
from nasmith.strategies.local_search import LocalSearch
from nasmith.testing import TOY_SPACE, StrategyContract, ToyLM, ToyTask
from nasmith.types import Candidate, Evaluation, Status
from space_play import check_whole_search, designs, play

CHOICES = tuple(Choice(str(index), f"c{index}") for index in range(3))


class TestOnSpaces(StrategyContract):
    space = TOY_SPACE

    def make(self):
        return LocalSearch(evaluations=40, batch=3)


class TestFirstImprovement(TestOnSpaces):
    def make(self):
        return LocalSearch(evaluations=40, batch=3, initial=4, first_improvement=True)


class TestOnPrograms(StrategyContract):
    def make(self):
        return LocalSearch(evaluations=30, batch=3)


def fitness(design):
    return float(sum(design))


def deceptive(design):
    """One way up leads to (2, 2, 2, 2), the other to (0, 0, 0, 0)."""
    return abs(sum(design) - 3.5)


def climbs(made):
    """Split by the first designs of climbs."""
    found = []
    for candidate, design in made:
        if candidate.operator == "random" and (not found or found[-1][-1][0].operator != "random"):
            found.append([])
        found[-1].append((candidate, design))
    return found


def test_the_whole_neighbourhood_is_evaluated_and_the_best_of_it_is_next():
    made = play(LocalSearch(evaluations=60), fitness, seed=4)
    by_id = {candidate.id: design for candidate, design in made}
    known = {}
    former = None
    for candidate, design in made:
        if candidate.parents:
            (parent,) = candidate.parents
            assert design in TOY_SPACE.neighbours(by_id[parent])
            if former not in (None, parent) and by_id[parent] in TOY_SPACE.neighbours(by_id[former]):
                around = TOY_SPACE.neighbours(by_id[former])
                assert set(around) <= set(known), "it moved before all neighbours were known"
                assert fitness(by_id[parent]) == max(map(fitness, around)) > fitness(by_id[former])
            former = parent
        else:
            former = None
        known[design] = candidate.id


def test_a_climb_ends_at_a_local_optimum_and_another_begins():
    first, second = climbs(play(LocalSearch(evaluations=75), deceptive, seed=1))[:2]
    seen = set(designs(first))
    top = max(designs(first), key=deceptive)
    assert set(TOY_SPACE.neighbours(top)) <= seen and deceptive(top) in (3.5, 4.5)
    assert second[0][0].operator == "random" and second[0][1] not in seen


def test_first_improvement_moves_at_once():
    made = play(LocalSearch(evaluations=60, first_improvement=True), fitness, seed=4)
    scores = {candidate.id: fitness(design) for candidate, design in made}
    (climb, *_) = climbs(made)
    best = climb[0][0].id
    for candidate, _ in climb[1:]:
        assert candidate.parents == (best,)
        best = max(best, candidate.id, key=lambda number: (scores[number], -number))
    assert scores[best] == 8.0


def test_neighbours_come_in_random_order():
    orders = {tuple(designs(play(LocalSearch(3), lambda d: 0.0, seed, seeds=()))[1:]) for seed in range(8)}
    assert len(orders) == 8
    starts = {}
    for seed in range(200):
        start, *rest = designs(play(LocalSearch(3), lambda d: 0.0, seed))
        starts.setdefault(start, set()).add(tuple(rest))
    assert any(len(each) > 1 for each in starts.values())


def test_a_climb_starts_from_the_best_of_the_first_designs():
    made = play(LocalSearch(evaluations=20, initial=8, batch=3), fitness, seed=2)
    assert [candidate.operator for candidate, _ in made[:9]] == ["random"] * 8 + ["neighbour"]
    best = max(made[:8], key=lambda entry: (fitness(entry[1]), -entry[0].id))[0]
    assert made[8][0].parents == (best.id,)


def test_where_all_first_designs_fail_more_are_drawn():
    made = play(LocalSearch(evaluations=81, initial=2), lambda d: None if sum(d) < 6 else fitness(d), seed=0)
    operators = [candidate.operator for candidate, _ in made]
    begun = operators.index("neighbour")
    assert begun > 2 and all(sum(design) < 6 for _, design in made[: begun - 1]) and sum(made[begun - 1][1]) >= 6


def test_what_failed_is_never_a_parent():
    made = play(LocalSearch(evaluations=81), lambda d: None if d[0] == 0 else fitness(d))
    failed = {candidate.id for candidate, design in made if design[0] == 0}
    assert failed and not failed & {parent for candidate, _ in made for parent in candidate.parents}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("batch", [1, 5])
def test_no_design_comes_twice_and_a_space_that_is_used_up_ends_the_search(first, batch):
    made = play(LocalSearch(evaluations=200, batch=batch, first_improvement=first), deceptive)
    assert sorted(designs(made)) == list(TOY_SPACE.designs())


def test_equal_neighbours_are_evaluated_once():
    ordered = Space("in any order", tuple(Position(f"p{i}", CHOICES) for i in range(4)), form=lambda d: np.sort(d, axis=1))
    made = play(LocalSearch(evaluations=81), fitness, space=ordered)
    forms = [tuple(sorted(design)) for design in designs(made)]
    assert len(forms) == len(set(forms)) == 15


def test_what_is_known_of_a_neighbour_counts():
    # The seed (2, 2, 2, 1) is a neighbour of the optimum and is known to be better than all but that.
    made = play(LocalSearch(evaluations=40), fitness, seeds=[((2, 2, 2, 1), 7.0)])
    assert (2, 2, 2, 1) not in designs(made)
    assert made[1][0].parents == (1,)  # the best that is known when the first climb starts


def test_on_programs_the_best_so_far_is_shown_until_it_is_beaten():
    strategy = LocalSearch(evaluations=30)
    strategy.begin(0, (0.5,), {"crossover": 1.0})
    scores = {}
    for number in range(1, 33):
        step = number - 3
        if step >= 0:
            assert strategy.ask().parents == (max(scores, key=lambda each: (scores[each], -each)),)
        ok = number % 4 != 0
        metrics = {"params": 10.0, "val_error": 0.2, "fitness": float(number * 7 % 11 // 2 + number // 9)}
        if ok:
            scores[number] = metrics["fitness"]
        evaluation = Evaluation(number, Status.OK if ok else Status.FAILED, metrics if ok else {})
        strategy.tell(Candidate(number, "x", step=max(step, -1)), evaluation)
    assert strategy.ask() is None


def test_a_whole_search_finds_the_optimum_and_goes_on_where_it_was_broken_off(tmp_path):
    result = check_whole_search(lambda: LocalSearch(evaluations=60, batch=2), tmp_path, 60)
    assert result.best().text == "2222"


def test_a_whole_search_of_programs(tmp_path):
    result = nasmith.search(ToyTask(), ToyLM(), LocalSearch(evaluations=8), Inline(), tmp_path / "x.sqlite3", name="run")
    assert len(result.candidates) == 8 + len(ToyTask().seeds())


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"batch": 0}, {"initial": 0}, {"temperatures": [-1]}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        LocalSearch(**options)
