from __future__ import annotations

import pytest

from nasmith.cli.tracker import Tracker
from nasmith.events import (
    Asked,
    Evaluated,
    Finished,
    Proposed,
    Replied,
    Started,
    Stopping,
    Submitted,
    Tuned,
    TuningProgress,
    Verifying,
)
from nasmith.types import Brief, Candidate, Completion, Evaluation, Run, Sampling, Status, Tune, Tuning

RUN = Run("quiet-otter", {}, "0", {}, "2026-01-01T00:00:00+00:00")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def started(limit_seconds: float | None = None, planned: int | None = 40) -> tuple[Tracker, Clock]:
    clock = Clock()
    tracker = Tracker(limit_seconds=limit_seconds, clock=clock)
    tracker.note(Started(RUN, False, 2, planned, 2))
    return tracker, clock


def brief(step: int, n: int = 2, round_: int = 0) -> Asked:
    return Asked(step, Brief("infill", (1, 4), ({}, {}), {}, Sampling(n, 0.4, 0), round_))


def child(number: int, step: int = 0) -> Candidate:
    return Candidate(number, "text", (1,), "infill", step=step, index=number)


def evaluated(number: int, status: Status = Status.OK, fitness: float | None = None, **more: object) -> Evaluated:
    return Evaluated(child(number), Evaluation(number, status), fitness, **more)  # type: ignore[arg-type]


def test_leaders_that_get_more_seeds_than_was_said_are_counted() -> None:
    tracker, _ = started()
    tracker.note(Verifying((5, 6), 1))
    assert "trained again with 1 new seed" in tracker.doing and "seeds" not in tracker.doing
    for number in (5, 6, 5):
        tracker.note(Submitted(child(number)))
        tracker.note(Evaluated(child(number), Evaluation(number, Status.OK, purpose="verify"), -1.0))
    assert (tracker.verified, tracker.to_verify) == (3, 3)


def test_children_are_counted_by_status_and_seeds_and_verifications_are_not() -> None:
    tracker, _ = started()
    tracker.note(Evaluated(Candidate(1, "seed"), Evaluation(1, Status.OK), -9.0))
    tracker.note(evaluated(5, fitness=-2.0))
    tracker.note(evaluated(6, Status.INVALID))
    tracker.note(Verifying((5,), 3))
    tracker.note(Evaluated(child(5), Evaluation(5, Status.OK, purpose="verify"), -1.0))
    assert tracker.children == 2 and tracker.statuses == {Status.OK: 1, Status.INVALID: 1}
    assert (tracker.verified, tracker.to_verify) == (1, 3)
    assert tracker.best is not None and tracker.best.fitness == -2.0
    assert tracker.best_seed is not None and tracker.best_seed.fitness == -9.0


def test_the_first_of_two_equal_children_stays_the_best() -> None:
    tracker, _ = started()
    for number, fitness in ((5, -3.0), (6, -2.0), (7, -2.0), (8, -4.0)):
        tracker.note(evaluated(number, fitness=fitness))
    assert tracker.best is not None and tracker.best.candidate.id == 6


def test_workers_are_busy_from_submission_to_evaluation() -> None:
    tracker, _ = started()
    for number in (5, 6, 7):
        tracker.note(Submitted(child(number)))
    tracker.note(evaluated(6))
    tracker.note(evaluated(9, Status.DUPLICATE))  # never submitted
    assert sorted(tracker.busy.elements()) == [5, 7]


def test_the_oldest_unanswered_wish_is_what_the_language_model_does() -> None:
    tracker, _ = started()
    tracker.note(brief(0))
    tracker.note(Asked(1, Tune(0, (5, 6), 0)))
    assert tracker.doing == "writing 2 children: infill of #1 and #4"
    for number in (5, 6):
        tracker.note(Proposed(child(number)))
    assert tracker.doing == "learning from 2 children"
    tracker.note(TuningProgress(0, 3, 10))
    assert tracker.tuning is not None
    tracker.note(Tuned(Tuning(0, 2, (2.0, 1.0), True)))
    assert tracker.tuning is None and tracker.doing == "waiting for the workers"


def test_prompts_count_within_the_round() -> None:
    tracker, _ = started()
    for step, round_ in enumerate((0, 0, 0, 1)):
        tracker.note(brief(step, round_=round_))
    assert (tracker.round, tracker.prompts) == (1, 1)


def test_speed_is_tokens_by_the_language_models_own_time() -> None:
    tracker, _ = started()
    assert tracker.tokens_per_second == 0
    tracker.note(Replied(0, tuple(Completion("p", "t", "m", 10, 50, seconds=0.5) for _ in range(4))))
    assert tracker.tokens_per_second == pytest.approx(100)


def test_time_left_follows_the_pace_and_leaves_replayed_children_out() -> None:
    tracker, clock = started(planned=20)
    for number in range(10):
        tracker.note(evaluated(number + 5, replayed=True))
    assert tracker.left_seconds is None
    for number in range(5):
        tracker.note(evaluated(number + 15))
    clock.seconds = 50
    assert tracker.left_seconds == pytest.approx(10 * 5)


def test_time_left_is_bounded_by_the_budget() -> None:
    tracker, clock = started(limit_seconds=60)
    clock.seconds = 45
    assert tracker.left_seconds == 15
    clock.seconds = 90
    assert tracker.left_seconds == 0


def test_stopping_and_the_end_are_kept() -> None:
    tracker, _ = started()
    tracker.note(Stopping())
    tracker.note(Finished("stopped", False))
    assert tracker.stopping and tracker.finished == Finished("stopped", False)


def test_a_model_that_is_asked_for_a_design_does_not_write_children() -> None:
    tracker = Tracker()
    run = Run("run", {"task": {"name": "nasmith.testing:ToySpaceTask", "options": {}}}, "0", {}, "2026-01-01T00:00:00+00:00")
    tracker.note(Started(run, False, 1, 10, None))
    tracker.note(Asked(0, Brief("running", (1, 2), ({}, {}), {}, Sampling(1, 0.0, 0))))
    assert tracker.designs_only and tracker.doing == "asking for 1 design after 2 answers"
