from __future__ import annotations

import math

import pytest

from nasmith import analysis
from nasmith.population import top
from nasmith.protocols import Storage
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Call, Candidate, Completion, Evaluation, Objective, Run, Status

OBJECTIVES = (Objective("params", "minimize", log=True), Objective("val_error", "minimize"))


def records(candidates: list[Candidate], evaluations: list[Evaluation]) -> analysis.Records:
    run = Run("r", {}, "0", {}, "2026-01-01T00:00:00+00:00")
    return analysis.Records(run, {c.id: c for c in candidates}, tuple(evaluations), {}, (), {})


def child(number: int, parents: tuple[int, ...] = (1,), operator: str = "infill") -> Candidate:
    return Candidate(number, f"text {number}", parents, operator, step=0, index=number)


def ok(number: int, params: float, error: float) -> Evaluation:
    return Evaluation(number, Status.OK, {"params": params, "val_error": error, "fitness": -params * error})


def verification(number: int, seed: int, val: float, test: float) -> Evaluation:
    metrics = {"params": 100.0, "val_error": val, "test_error": test}
    return Evaluation(number, Status.OK, metrics, seed, purpose="verify")


def test_best_is_ordered_by_fitness_and_the_earlier_of_equals_comes_first() -> None:
    found = analysis.scored(records([child(2), child(3), child(4)], [ok(4, 100, 0.1), ok(2, 200, 0.1), ok(3, 100, 0.1)]))
    assert [item.candidate.id for item in top(found, 2)] == [3, 4]


def test_a_failure_has_no_score() -> None:
    found = analysis.scored(records([child(2)], [Evaluation(2, Status.TIMEOUT)]))
    assert found == []


def test_front_keeps_what_nothing_dominates_and_leaves_out_what_is_not_finite() -> None:
    evaluations = [ok(2, 100, 0.3), ok(3, 200, 0.2), ok(4, 200, 0.3), ok(5, 100, 0.3), ok(6, 50, math.nan)]
    found = analysis.scored(records([child(n) for n in range(2, 7)], evaluations))
    assert [item.candidate.id for item in analysis.front(found, OBJECTIVES)] == [2, 3]


def test_hypervolume_counts_logarithms_where_the_objective_says_so() -> None:
    found = analysis.scored(records([child(2)], [ok(2, 100, 0.5)]))
    assert analysis.hypervolume(found, OBJECTIVES, (10_000, 1.0)) == pytest.approx(2 * 0.5)
    assert analysis.hypervolume([], OBJECTIVES, (10_000, 1.0)) == 0


def test_lineage_names_each_ancestor_once_nearest_first() -> None:
    family = {c.id: c for c in (Candidate(1, ""), Candidate(2, ""), child(3, (1, 2)), child(4, (3, 1)))}
    assert [(back, c.id) for back, c in analysis.lineage(family, 4)] == [(0, 4), (1, 1), (1, 3), (2, 2)]


def test_counts_leave_seeds_and_verifications_out() -> None:
    data = records(
        [Candidate(1, "seed"), child(2), child(3, operator="crossover")],
        [ok(1, 1, 0.1), ok(2, 1, 0.1), Evaluation(3, Status.OOM, message="too much memory"), verification(2, 9, 0.1, 0.1)],
    )
    assert analysis.count_by_status(data) == {Status.OK: 1, Status.OOM: 1}
    assert analysis.count_by_operator(data) == {"crossover": {Status.OOM: 1}, "infill": {Status.OK: 1}}
    assert analysis.example_reasons(data) == {Status.OOM: [("too much memory", 1, 3)]}


def test_progress_counts_children_without_a_score() -> None:
    data = records(
        [child(2), child(3), child(4), child(5)],
        [Evaluation(2, Status.INVALID), ok(3, 100, 0.2), ok(4, 100, 0.1), Evaluation(5, Status.FAILED)],
    )
    assert analysis.progress_curve(data, Mnist1d()) == [(2, -20.0), (3, -10.0), (4, -10.0)]


def test_bootstrap_of_equal_children_is_their_fitness_and_is_reproducible() -> None:
    data = records([child(2), child(3)], [ok(2, 100, 0.2), ok(3, 100, 0.1)])
    curve = analysis.bootstrap_curve(data, Mnist1d())
    assert curve[0] == (1, -20.0)
    assert -20 < curve[1][1] <= -10
    assert curve == analysis.bootstrap_curve(data, Mnist1d())


def test_totals_add_up() -> None:
    total = analysis.totals([Completion("p", "t", "m", 10, 5, 0.5, 2.0), Completion("p", "t", "m", 0, 7, 0.25, 2.0)])
    assert total == analysis.Totals(2, 10, 12, 0.75, 4.0)


def test_totals_count_what_was_paid_for_without_a_reply() -> None:
    refused = Call("m", "refused", tokens_in=3, tokens_out=1, cost=0.5, seconds=1.0)
    total = analysis.totals([Completion("p", "t", "m", 10, 5, 0.5, 2.0)], [refused, refused])
    assert total == analysis.Totals(1, 16, 7, 1.5, 4.0, 2)


@pytest.mark.parametrize(
    ("search", "tests", "flagged"),
    [
        (0.10, [0.15, 0.15, 0.15], True),
        (0.10, [0.115, 0.115, 0.115], False),  # above by too little
        (0.10, [0.10, 0.15, 0.20], False),  # above, and within what seeds differ by
        (0.20, [0.10, 0.10, 0.10], False),
        (0.10, [0.90], False),  # nobody knows what seeds differ by
        (0.20, [], False),
    ],
)
def test_a_winner_is_flagged_by_the_stated_rule(search: float, tests: list[float], flagged: bool) -> None:
    assert analysis.is_flagged(search, tests) is flagged


def test_verified_models_are_ordered_by_validation_data_and_not_by_the_test_set() -> None:
    data = records(
        [child(2), child(3)],
        [
            ok(2, 100, 0.1),
            ok(3, 100, 0.2),
            *(verification(2, seed, 0.10, 0.50) for seed in range(3)),
            *(verification(3, seed, 0.20, 0.01) for seed in range(3)),
        ],
    )
    first, second = analysis.verified(data, Mnist1d())
    assert (first.candidate.id, second.candidate.id) == (2, 3)
    assert first.flagged and not second.flagged
    assert first.metrics["test_error"] == pytest.approx(0.5)
    assert first.fitness == pytest.approx(-10) and first.test_fitness == pytest.approx(-50)


def test_a_mean_over_new_seeds_has_an_interval_by_students_t_and_a_single_training_none() -> None:
    data = records(
        [child(2), child(3)],
        [
            ok(2, 1, 0.1),
            ok(3, 1, 0.2),
            *(verification(2, s, 0.1 + s / 100, 0.2) for s in range(3)),
            verification(3, 1, 0.2, 0.2),
        ],
    )
    first, second = analysis.verified(data, Mnist1d())
    assert first.intervals["val_error"] == pytest.approx(4.302652729911275 * 0.01 / 3**0.5)
    assert first.intervals["params"] == 0
    assert second.intervals == {} and second.spreads["val_error"] == 0


def test_a_model_whose_verifications_all_failed_comes_last() -> None:
    data = records(
        [child(2), child(3)],
        [ok(2, 1, 0.1), ok(3, 1, 0.2), Evaluation(2, Status.TIMEOUT, purpose="verify"), verification(3, 1, 0.2, 0.2)],
    )
    winners = analysis.verified(data, Mnist1d())
    assert [item.candidate.id for item in winners] == [3, 2]
    assert winners[1].evaluations == () and winners[1].failures[0].status is Status.TIMEOUT


def test_diff_says_what_changed() -> None:
    text = analysis.diff(Candidate(1, "a\nb\n"), Candidate(2, "a\nc\n"))
    assert "-b" in text and "+c" in text and "candidate 2" in text
    assert analysis.diff(Candidate(1, "a"), Candidate(2, "a")) == ""


def test_a_recorded_run_is_read_whole(recorded_storage: Storage) -> None:
    data = analysis.read(recorded_storage, "quiet-otter")
    assert len(data.candidates) == 44
    assert sum(analysis.count_by_status(data).values()) == 40
    first_child = data.candidates[5]
    reply = data.completion(first_child)
    assert reply is not None and reply.text in first_child.text
    assert data.completion(data.candidates[1]) is None
    best_seed = analysis.best_seed(analysis.scored(data))
    assert best_seed is not None and best_seed.candidate.label == "reference_cnn"


def test_a_language_model_is_called_by_the_name_that_its_records_have():
    served = {"name": "openai-compatible", "options": {"name": "local/coder", "model": "local/coder@http://127.0.0.1:1/v1"}}
    embedded = {"name": "smollm2", "options": {}}
    assert analysis.lm_title(served) == "local/coder"
    assert analysis.lm_title(embedded) == "smollm2"
    assert analysis.lm_title({"name": "ensemble", "options": {"members": [served, embedded]}}) == "local/coder + smollm2"
    assert analysis.lm_title({"name": "replay", "options": {"run": "r", "recorded": served}}) == "a replay of local/coder"
