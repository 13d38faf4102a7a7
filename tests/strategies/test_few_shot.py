from nasmith.strategies.few_shot import FewShot
from nasmith.types import Brief, Candidate, Evaluation, Objective, Status


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


def test_prompts_speak_of_the_tasks_objectives_and_a_task_without_an_error_drops_nothing():
    strategy = FewShot(prompts=1, samples=2)
    strategy.enter(None, (Objective("score", "maximize"),))
    strategy.begin(0, (0.5,), {"crossover": 1.0})
    strategy.tell(Candidate(1, ""), Evaluation(1, Status.OK, {"score": 50.0, "fitness": 50.0}))
    brief = strategy.ask()
    assert brief.target == {"score": "51"} and brief.facts == ({"score": "50"},) * 2
    assert strategy.accepts({"score": -1.0})


def test_the_threshold_is_evopromptings_unless_the_user_has_another():
    assert not FewShot().accepts({"val_error": 0.5}) and FewShot().accepts({"val_error": 0.49})
    assert FewShot(error_threshold=1.0).accepts({"val_error": 0.99})
