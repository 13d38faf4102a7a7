from nasmith.strategies.few_shot import FewShot
from nasmith.types import Brief, Candidate, Evaluation, Status


def test_it_makes_as_many_children_as_evoprompting_and_shows_the_seeds_alone():
    strategy = FewShot()
    assert strategy.planned == 1600
    strategy = FewShot(prompts=3, samples=4)
    strategy.begin(0, (0.5,), {"crossover": 1.0})
    metrics = {"params": 10, "val_error": 0.2, "fitness": -2.0}
    for number in (1, 2):
        strategy.tell(Candidate(number, ""), Evaluation(number, Status.OK, metrics))
    briefs = [strategy.ask() for _ in range(3)]
    assert all(isinstance(brief, Brief) and set(brief.parents) <= {1, 2} for brief in briefs)
    assert strategy.ask() is None
    for number in range(3, 15):
        strategy.tell(Candidate(number, "", step=0), Evaluation(number, Status.OK, metrics))
    assert strategy.ask() is None
