import pytest

from nasmith.errors import ConfigError
from nasmith.strategies.rounds import Rounds, Told, at_least, children_planned
from nasmith.testing import TOY_SPACE
from nasmith.types import Candidate, Evaluation, Status, Suggestion


class Counting:
    """Makes "0", "1", … and notes what it learns; a round has no more than `room`."""

    def __init__(self, rounds, room=100):
        self.rounds, self.room, self.learned, self._made = rounds, room, [], 0

    def ask(self):
        return self.rounds.ask(self._make, self._learn)

    def _make(self):
        if self._made == self.room:
            return None
        self._made += 1
        return Suggestion((str(self.rounds.asked),), "counting", round=self.rounds.number), self.rounds.asked

    def _learn(self, told):
        self._made = 0
        self.learned.append([each.candidate.id if each.kept is None else each.kept for each in told])


def tell(rounds, step):
    rounds.tell(Candidate(10 + step, "x", step=step), Evaluation(10 + step, Status.OK))


def test_a_round_is_out_until_all_are_told_and_is_learned_from_in_the_order_of_asking():
    strategy = Counting(Rounds(evaluations=5, batch=2))
    assert [strategy.ask().texts for _ in range(2)] == [("0",), ("1",)]
    assert strategy.ask() is None
    tell(strategy.rounds, 1)
    assert strategy.ask() is None and strategy.learned == []
    tell(strategy.rounds, 0)
    assert strategy.ask().round == 1
    assert strategy.learned == [[0, 1]]


def test_a_round_is_not_over_while_some_of_it_is_not_asked():
    strategy = Counting(Rounds(evaluations=4, batch=2))
    strategy.ask()
    tell(strategy.rounds, 0)
    assert strategy.ask().round == 0 and strategy.learned == []


def test_it_ends_with_the_evaluations_and_the_last_round_is_learned_from():
    strategy = Counting(Rounds(evaluations=3, batch=2))
    for step in range(3):
        assert strategy.ask() is not None
        if step:
            tell(strategy.rounds, step)
        if step == 1:
            tell(strategy.rounds, 0)
    assert [strategy.ask() for _ in range(3)] == [None] * 3
    assert strategy.learned == [[0, 1], [2]]


def test_a_round_that_can_have_no_more_ends_early_whenever_that_is_found_out():
    for late in (False, True):
        strategy = Counting(Rounds(evaluations=6, batch=4), room=2)
        strategy.ask()
        strategy.ask()
        if not late:
            assert strategy.ask() is None  # found out while they run
        tell(strategy.rounds, 0)
        tell(strategy.rounds, 1)
        assert strategy.ask().round == 1
        assert strategy.learned == [[0, 1]]


def test_nothing_to_make_ends_the_search():
    strategy = Counting(Rounds(evaluations=6, batch=4), room=0)
    assert [strategy.ask() for _ in range(3)] == [None] * 3
    assert strategy.learned == []


def test_seeds_are_learned_from_first_in_the_order_of_their_ids():
    strategy = Counting(Rounds(evaluations=2, batch=1))
    for number in (2, 1, 3):
        strategy.rounds.tell(Candidate(number, "seed"), Evaluation(number, Status.OK))
    strategy.ask()
    assert strategy.learned == [[1, 2, 3]]


def test_only_what_is_ok_has_a_fitness():
    candidate = Candidate(1, "x")
    assert Told(candidate, Evaluation(1, Status.OK, {"fitness": 2.0})).fitness == 2.0
    assert Told(candidate, Evaluation(1, Status.OK, {})).fitness is None
    assert Told(candidate, Evaluation(1, Status.DUPLICATE, {"fitness": 2.0})).fitness is None


def test_a_seed_that_ran_is_something_to_begin_with_though_it_has_no_fitness():
    seed, child = Candidate(1, "x"), Candidate(3, "x", step=0)
    assert Told(seed, Evaluation(1, Status.OK, {"params": 9.0})).is_working_seed
    assert not Told(seed, Evaluation(1, Status.TIMEOUT)).is_working_seed
    assert not Told(child, Evaluation(3, Status.OK, {"params": 9.0})).is_working_seed


def test_no_more_children_are_planned_than_there_are_designs():
    assert [children_planned(100, None), children_planned(100, TOY_SPACE), children_planned(7, TOY_SPACE)] == [100, 81, 7]


def test_options_below_the_least_are_refused_by_name():
    at_least(1, "random", batch=1)
    with pytest.raises(ConfigError, match="random: batch must be at least 1, got 0"):
        at_least(1, "random", evaluations=5, batch=0)
