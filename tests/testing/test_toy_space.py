from nasmith.testing import TOY_SPACE, ToySpaceTask


def test_the_widest_design_is_the_best():
    task = ToySpaceTask()
    scores = {}
    for design in TOY_SPACE.designs():
        arrays, _ = task.workload().fit(TOY_SPACE.write(design), 0, {})
        from nasmith.types import Outcome, Status

        outcome = Outcome(Status.OK, arrays)
        metrics = task.score(outcome, outcome, "search")
        scores[design] = task.fitness(metrics)
        assert "test_accuracy" not in metrics and "test_accuracy" in task.score(outcome, outcome, "verify")
        assert metrics["params"] == TOY_SPACE.measure(outcome.arrays["design"][None])[0, 0]
    assert max(scores, key=scores.get) == (2, 2, 2, 2)
