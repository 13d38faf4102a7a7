import numpy as np
import pytest

from nasmith.errors import ConfigError, UsageError
from nasmith.space import Choice, Disguise, Position, Space
from nasmith.strategies.nasmith import Nasmith
from nasmith.testing import TOY_SPACE, StrategyContract
from nasmith.types import Candidate, Evaluation, Status, Suggestion
from space_play import check_whole_search


class TestNasmith(StrategyContract):
    space = TOY_SPACE

    def make(self):
        return Nasmith(evaluations=30, batch=3)


def accuracy(design):
    """The largest design is not the best: the last layer should be narrow."""
    return 60.0 + 4.0 * sum(design[:-1]) - 6.0 * (design[-1] == 2) + 2.0 * (design[-1] == 1) + 0.5 * (design[0] == design[1])


def play(strategy, space=TOY_SPACE, value=accuracy, seed=0):
    strategy.enter(space, ())
    strategy.begin(seed, (1.0,), {"none": 1.0})
    designs = []
    while (wish := strategy.ask()) is not None:
        assert isinstance(wish, Suggestion)
        design = space.read(wish.texts[0])
        designs.append(design)
        candidate = Candidate(len(designs), wish.texts[0], step=len(designs) - 1)
        measured = value(design)
        status = Status.INVALID if measured is None else Status.OK
        strategy.tell(candidate, Evaluation(candidate.id, status, {} if measured is None else {"fitness": measured}))
    return designs


def test_it_begins_with_the_largest_and_learns_where_that_is_wrong():
    designs = play(Nasmith(evaluations=12))
    assert designs[0] == (2, 2, 2, 2) and (2, 2, 2, 1) in designs
    assert len(set(designs)) == 12
    believing = play(Nasmith(evaluations=12, surrogate=False))
    sizes = [sum(design) for design in believing]
    assert sizes == sorted(sizes, reverse=True)


def test_without_a_belief_it_is_a_plain_bayesian_optimisation_that_still_finds_the_best():
    found = [max(map(accuracy, play(Nasmith(evaluations=40, capacity=0, shortcut=0), seed=seed))) for seed in range(5)]
    assert found == [accuracy((2, 2, 2, 1))] * 5


def test_names_and_order_change_nothing():
    disguise = Disguise(TOY_SPACE, 3)
    plain = [max(map(accuracy, play(Nasmith(evaluations=8), seed=seed))) for seed in range(20)]

    def hidden_accuracy(design):
        return accuracy(disguise.reveal(design))

    hidden = [
        max(map(hidden_accuracy, play(Nasmith(evaluations=8), disguise.space, hidden_accuracy, seed))) for seed in range(20)
    ]
    assert abs(np.mean(plain) - np.mean(hidden)) < 0.5


def test_a_small_space_is_searched_to_its_end():
    assert len(set(play(Nasmith(evaluations=500)))) == 81


def test_failed_designs_are_not_proposed_again_and_not_learned_from():
    designs = play(Nasmith(evaluations=60), value=lambda design: None if sum(design) > 5 else accuracy(design))
    allowed = [accuracy(design) for design in TOY_SPACE.designs() if sum(design) <= 5]
    assert len(set(designs)) == 60 and max(accuracy(d) for d in designs if sum(d) <= 5) == max(allowed)


def test_a_bound_of_the_task_is_kept_from_the_start():
    bounded = Space(
        TOY_SPACE.name, TOY_SPACE.positions, TOY_SPACE.template, measures=TOY_SPACE.measures, measure=TOY_SPACE.measure,
        admits=lambda designs: designs.sum(axis=1) <= 4,
    )  # fmt: skip
    assert all(sum(design) <= 4 for design in play(Nasmith(evaluations=20), bounded))


def test_what_counts_as_the_best_can_be_a_prediction():
    lucky = (0, 0, 0, 0)
    strategies = {rule: Nasmith(evaluations=81, recommend=rule) for rule in ("observed", "predicted", "blend")}
    for strategy in strategies.values():
        assert strategy.recommendation is None
        play(strategy, value=lambda design: accuracy(design) + 27.0 * (design == lucky))
    designs = {rule: strategy._designs[strategy._ids.index(strategy.recommendation)] for rule, strategy in strategies.items()}
    assert designs["observed"] == lucky != designs["predicted"]


@pytest.mark.parametrize("rule", ["observed", "predicted", "blend"])
def test_what_was_just_told_counts(rule):
    strategy = Nasmith(evaluations=5, recommend=rule)
    strategy.enter(TOY_SPACE, ())
    strategy.begin(0, (1.0,), {"none": 1.0})
    for number in range(1, 3):
        wish = strategy.ask()
        strategy.tell(
            Candidate(number, wish.texts[0], step=number - 1), Evaluation(number, Status.OK, {"fitness": 10.0 * number})
        )
        assert strategy.recommendation == number


def test_after_many_designs_it_learns_from_the_best_and_the_last():
    four = tuple(Choice(str(index), f"c{index}") for index in range(4))
    space = Space("wide", tuple(Position(f"p{n}", four) for n in range(6)))
    strategy = Nasmith(evaluations=450, batch=450)
    strategy.enter(space, ())
    strategy.begin(0, (1.0,), {"none": 1.0})
    for number in range(450):
        wish = strategy.ask()
        strategy._designs.append(space.read(wish.texts[0]))
        strategy._accuracies.append(float(number % 300))
    _, observed = strategy._remembered(strategy._designs, np.array(strategy._accuracies))
    assert len(observed) == 400 and observed[-200:].tolist() == strategy._accuracies[-200:]
    assert min(observed[:200]) == 50.0


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"noise": 0}, "noise must be above 0"),
        ({"keep": 0}, "keep is a share"),
        ({"recommend": "best"}, "recommend must be"),
        ({"radius": 0}, "radius must be at least 1"),
        ({"explorers": -1}, "explorers must be at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options, reason):
    with pytest.raises(ConfigError, match=reason):
        Nasmith(**options)


def test_it_needs_a_space():
    with pytest.raises(UsageError, match="designs of a fixed space"):
        Nasmith().enter(None, ())


def test_a_whole_search_breaks_off_and_goes_on_as_if_it_had_not(tmp_path):
    result = check_whole_search(lambda: Nasmith(evaluations=20), tmp_path, children=20)
    assert result.best().text == "2222"
