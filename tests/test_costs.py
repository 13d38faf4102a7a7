from __future__ import annotations

import pytest

from nasmith.analysis import Records
from nasmith.costs import Cost, PerChild, by, costs, per_trained_child, total
from nasmith.types import Brief, Call, Candidate, Completion, Evaluation, Run, Sampling, Status, Tune

RUN = Run("otter", {}, "0", {}, "2026-01-01T00:00:00+00:00")
ASKED = (
    Brief("infill", (1,), ({},), {}, Sampling(3, 0.5, 1)),
    Tune(0, (1,), 0),
    Brief("crossover", (1,), ({},), {}, Sampling(2, 0.5, 2)),
)


def child(number: int, step: int, index: int, operator: str) -> Candidate:
    return Candidate(number, "x", (1,), operator, step=step, index=index)


def reply(model: str = "large", tokens_in: int = 0, **options: object) -> Completion:
    return Completion("p", "t", model, tokens_in, 10, **{"cost": 0.5, "seconds": 2.0, **options})  # type: ignore[arg-type]


def records(*calls: Call) -> Records:
    """Two steps: three replies that were infilled, one of them not yet evaluated; two of another model, one of them failed."""
    children = [child(2, 0, 0, "infill"), child(3, 0, 1, "infill"), child(4, 0, 2, "infill"), child(5, 2, 0, "regrow")]
    evaluations = (
        Evaluation(1, Status.OK, {"fitness": -1.0}),
        Evaluation(2, Status.OK, {"fitness": -1.0}),
        Evaluation(3, Status.FAILED, message="raised"),
        Evaluation(2, Status.TIMEOUT, purpose="verify"),
        Evaluation(5, Status.OK, {"val_error": 0.9}),
    )
    completions = {
        (0, 0): reply(tokens_in=100, tokens_cached=60),
        (0, 1): reply(),
        (0, 2): reply(),
        (2, 0): reply("small+adapter-0", tokens_in=50, cost=0.0),
        (2, 1): reply("small+adapter-12", cost=0.0, finish="failed", message="gone"),
    }
    family = {candidate.id: candidate for candidate in [Candidate(1, "seed"), *children]}
    return Records(RUN, family, evaluations, completions, ASKED, {}, calls)


def test_calls_are_summed_by_model_operator_and_outcome() -> None:
    assert costs(records()) == [
        Cost("large", "infill", "ok", 1, 100, 60, 10, 0.5, 2.0),
        Cost("large", "infill", "failed", 1, 0, 0, 10, 0.5, 2.0),
        Cost("large", "infill", "not evaluated", 1, 0, 0, 10, 0.5, 2.0),
        Cost("small", "crossover", "no reply", 1, 0, 0, 10, 0.0, 2.0),  # no child: the operator is the brief's
        Cost("small", "regrow", "ok", 1, 50, 0, 10, 0.0, 2.0),  # the operator is the child's
    ]


def test_calls_that_gave_no_completion_count_with_the_operator_that_was_asked_for() -> None:
    rows = costs(
        records(
            Call("large", "checked", tokens_in=8, cost=0.25),
            Call("large", "refused", step=2, tokens_in=4),
            Call("large", "refused", step=2, tokens_in=5),
            Call("large", "connection", step=1),
            Call("large", "connection", step=99),
        )
    )
    assert [row for row in rows if row.outcome in ("checked", "refused", "connection")] == [
        Cost("large", "", "connection", 2),  # a tuning asks for no operator, and an unknown step does not either
        Cost("large", "check", "checked", 1, 8, 0, 0, 0.25),
        Cost("large", "crossover", "refused", 2, 9),
    ]


def test_a_request_that_failed_is_not_a_child_that_failed() -> None:
    rows = by(costs(records(Call("large", "failed", step=0), Call("large", "timeout", step=0))), "outcome")
    assert {row.outcome: row.calls for row in rows} == {
        "ok": 2,
        "failed": 1,
        "not evaluated": 1,
        "no reply": 1,
        "request failed": 1,
        "request timeout": 1,
    }


@pytest.mark.parametrize(
    ("model", "shown"),
    [("a+adapter-3", "a"), ("command-r+", "command-r+"), ("a+b", "a+b"), ("+adapter-1x", "+adapter-1x")],
)
def test_only_an_adapter_is_left_off_a_models_name(model: str, shown: str) -> None:
    (row,) = costs(Records(RUN, {}, (), {(0, 0): reply(model)}, ASKED, {}))
    assert row.model == shown


def test_rows_add_up_by_any_of_the_keys() -> None:
    rows = costs(records())
    assert by(rows, "model") == [Cost("large", "", "", 3, 100, 60, 30, 1.5, 6.0), Cost("small", "", "", 2, 50, 0, 20, 0.0, 4.0)]
    assert [(row.operator, row.calls) for row in by(rows, "operator")] == [("crossover", 1), ("infill", 3), ("regrow", 1)]
    assert [row.outcome for row in by(rows, "outcome")] == ["ok", "failed", "not evaluated", "no reply"]
    assert [(row.model, row.outcome) for row in by(rows, "model", "outcome")][:2] == [("large", "ok"), ("large", "failed")]
    assert total(rows) == Cost("", "", "", 5, 150, 60, 50, 1.5, 10.0)
    assert total([]) == Cost()


def test_a_child_that_trained_bears_the_cost_of_those_that_did_not() -> None:
    rows = costs(records(Call("large", "refused", step=0, tokens_in=50, cost=0.5)))
    assert per_trained_child(rows) == PerChild(2, 100.0, 25.0, 1.0, 5.0)


def test_without_a_child_that_trained_there_is_no_such_cost() -> None:
    assert per_trained_child([row for row in costs(records()) if row.outcome != "ok"]) is None
    assert per_trained_child([]) is None
