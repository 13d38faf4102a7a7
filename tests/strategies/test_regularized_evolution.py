import pytest

import nasmith
from nasmith.errors import ConfigError
from nasmith.executors.inline import Inline
from nasmith.space import Choice, Position, Space
from nasmith.strategies.random_search import RandomSearch
from nasmith.strategies.regularized_evolution import RegularizedEvolution
from nasmith.testing import TOY_SPACE, StrategyContract, ToyLM, ToyTask
from nasmith.types import Candidate, Evaluation, Status
from space_play import check_whole_search, designs, play

CHOICES = tuple(Choice(str(index), f"c{index}") for index in range(5))
LARGE = Space("15,625 designs", tuple(Position(f"p{i}", CHOICES) for i in range(6)))


class TestOnSpaces(StrategyContract):
    space = TOY_SPACE

    def make(self):
        return RegularizedEvolution(evaluations=40, batch=3, population=8)


class TestOnPrograms(StrategyContract):
    def make(self):
        return RegularizedEvolution(evaluations=40, batch=3, population=8)


def fitness(design):
    return float(sum(design))


def differences(one, other):
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_the_population_is_a_fifth_of_the_evaluations_within_the_papers():
    sizes = {number: RegularizedEvolution(number) for number in (10, 100, 300, 20_000)}
    assert {number: (each._most, each._rivals) for number, each in sizes.items()} == {
        10: (10, 2), 100: (20, 5), 300: (60, 15), 20_000: (100, 25),
    }  # fmt: skip
    assert (RegularizedEvolution(population=8, sample=3)._most, RegularizedEvolution(population=8, sample=3)._rivals) == (8, 3)


def test_first_a_population_is_drawn_and_then_each_child_differs_from_its_parent_at_one_position():
    made = play(RegularizedEvolution(evaluations=30, population=10, sample=3), fitness)
    assert [candidate.operator for candidate, _ in made[:10]] == ["random"] * 10
    by_id = {candidate.id: design for candidate, design in made}
    for candidate, design in made[10:]:
        assert candidate.operator == "mutation"
        assert differences(design, by_id[candidate.parents[0]]) == 1


def test_the_oldest_dies():
    made = play(RegularizedEvolution(evaluations=30, population=6, sample=6), lambda design: -float(sum(design)), seed=1)
    for candidate, _ in made[6:]:
        assert candidate.parents[0] >= candidate.id - 6


def test_a_tournament_among_all_is_won_by_the_fittest_alive():
    # With a sample far larger than the population each member is drawn, nearly certainly.
    made = play(RegularizedEvolution(evaluations=30, population=6, sample=200), fitness, seed=2)
    scores = {candidate.id: fitness(design) for candidate, design in made}
    for candidate, _ in made[6:]:
        alive = range(candidate.id - 6, candidate.id)
        assert candidate.parents[0] == max(alive, key=lambda number: (scores[number], -number))


def test_a_tournament_of_one_is_no_selection():
    parents = set()
    for seed in range(30):
        made = play(RegularizedEvolution(evaluations=11, population=10, sample=1), fitness, seed)
        parents.add(made[-1][0].parents[0])
    assert len(parents) > 5


def test_what_failed_is_never_a_parent_but_counts_among_the_first():
    made = play(RegularizedEvolution(evaluations=40, population=10), lambda d: None if d[0] == 0 else fitness(d))
    failed = {candidate.id for candidate, design in made if design[0] == 0}
    assert failed and not failed & {parent for candidate, _ in made for parent in candidate.parents}
    assert [candidate.operator for candidate, _ in made].index("mutation") == 10


def test_while_nothing_has_a_fitness_designs_are_drawn_at_random():
    made = play(RegularizedEvolution(evaluations=20, population=3), lambda design: None)
    assert {candidate.operator for candidate, _ in made} == {"random"} and len(made) == 20


def test_no_design_comes_twice_and_a_space_that_is_used_up_ends_the_search():
    made = play(RegularizedEvolution(evaluations=200, population=10), fitness)
    assert sorted(designs(made)) == list(TOY_SPACE.designs())


def test_seeds_are_members():
    made = play(RegularizedEvolution(evaluations=4, population=2, sample=50), lambda d: 0.0, seeds=[((1, 1, 1, 1), 9.0)])
    assert [candidate.operator for candidate, _ in made[:2]] == ["random", "mutation"]
    assert made[1][0].parents == (1,) and differences(made[1][1], (1, 1, 1, 1)) == 1


def test_it_finds_more_than_chance():
    def best(strategy, seed):
        return max(fitness(design) for design in designs(play(strategy, fitness, seed, LARGE)))

    seeds = range(8)
    evolved = sum(best(RegularizedEvolution(100), seed) for seed in seeds) / len(seeds)
    assert evolved > sum(best(RandomSearch(100), seed) for seed in seeds) / len(seeds) + 1


def test_on_programs_the_fittest_of_the_youngest_is_shown_alone():
    strategy = RegularizedEvolution(evaluations=30, population=4, sample=100)
    strategy.begin(0, (0.5,), {"crossover": 1.0})
    scores = {}
    for number in range(1, 33):
        step = number - 3
        if step >= 0:
            (parent,) = strategy.ask().parents
            alive = sorted(scores)[-4:]
            assert parent == max(alive, key=lambda each: (scores[each], -each))
        if number % 5:
            scores[number] = float(number * 7 % 11)
            metrics = {"params": 10.0, "val_error": 0.2, "fitness": scores[number]}
            strategy.tell(Candidate(number, "x", step=max(step, -1)), Evaluation(number, Status.OK, metrics))
        else:
            strategy.tell(Candidate(number, "x", step=max(step, -1)), Evaluation(number, Status.FAILED))
    assert strategy.ask() is None


def test_a_whole_search_and_one_that_was_broken_off_are_the_same(tmp_path):
    check_whole_search(lambda: RegularizedEvolution(evaluations=20, batch=2, population=5), tmp_path, 20)


def test_a_whole_search_of_programs(tmp_path):
    strategy = RegularizedEvolution(evaluations=12, population=4)
    result = nasmith.search(ToyTask(), ToyLM(), strategy, Inline(), tmp_path / "x.sqlite3", name="run")
    children = [candidate for candidate in result.candidates.values() if candidate.step >= 0]
    assert len(children) == 12 and all(len(child.parents) == 1 for child in children)


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"batch": 0}, {"population": 0}, {"sample": 0}, {"operators": {}}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        RegularizedEvolution(**options)
