from concurrent.futures import Future

import numpy as np
import pytest

from nasmith.errors import RunStoppedError
from nasmith.testing import ToyTask
from nasmith.trials import Trials
from nasmith.types import Candidate, Evaluation, Outcome, Status

CANDIDATE = Candidate(3, "def Model():\n    return [5]\n")


class Canned:
    """An executor that hands back outcomes in order."""

    slots = 1

    def __init__(self, *outcomes):
        self.outcomes, self.jobs = list(outcomes), []

    def submit(self, job):
        self.jobs.append(job)
        future = Future()
        future.set_result(self.outcomes.pop(0))
        return future


class Held:
    """An executor of two workers; a job ends when the test says so."""

    slots = 2

    def __init__(self):
        self.began, self.futures = [], {}

    def submit(self, job):
        if job.action == "examine":
            examined = Future()
            examined.set_result(second())
            return examined
        self.began.append(job.candidate)
        return self.futures.setdefault(job.candidate, Future())

    def end(self, trials, candidate):
        self.futures[candidate].set_result(outcome())
        assert list(trials.finished()) == []  # it is examined now
        return [evaluation.candidate for _, _, evaluation in trials.finished()]


def outcome(**arrays):
    arrays = {"predictions/val": np.ones(4), "state/widths": np.ones(2), "state/right": np.ones(()), **arrays}
    return Outcome(Status.OK, arrays, {"params": 2.0, "steps": 9.0}, 1.5)


def second(**facts):
    return Outcome(Status.OK, {"predictions/test": np.zeros(4)}, {"params": 2.0, **facts}, 0.5)


def run(executor, purpose="search"):
    trials = Trials(ToyTask(), executor, lambda metrics: metrics["val_error"] < 0.9)
    trials.submit(CANDIDATE, 11, purpose)
    finished = []
    while trials.futures:
        finished += [evaluation for _, _, evaluation in trials.finished()]
    return finished[0]


def test_a_good_outcome_is_scored_here_and_carries_fitness():
    evaluation = run(Canned(outcome(), second()))
    assert (evaluation.status, evaluation.seed, evaluation.fidelity, evaluation.seconds) == (Status.OK, 11, 9, 2.0)
    assert evaluation.metrics == {"params": 2.0, "val_error": 0.0, "fitness": 0.0}


def test_a_verification_asks_for_the_test_set_as_well():
    executor = Canned(outcome(), second())
    assert run(executor, "verify").metrics["test_error"] == 1.0
    assert [(job.action, job.splits) for job in executor.jobs] == [("fit", ("train", "val")), ("examine", ("val", "test"))]


def test_the_process_that_trains_never_has_the_test_set_and_the_one_that_examines_never_the_training_set():
    executor = Canned(outcome(), second())
    run(executor)
    assert [job.splits for job in executor.jobs] == [("train", "val"), ("val",)]
    assert executor.jobs[1].state.keys() == {"widths", "right"}


def test_two_accounts_that_differ_are_invalid_with_the_difference():
    evaluation = run(Canned(outcome(), second(params=3.0)))
    assert (evaluation.status, evaluation.metrics) == (Status.INVALID, {})
    assert "two measurements of params differ: 2 in the process that trained it, 3 in another one" in evaluation.message


def test_a_candidate_that_fails_its_examination_has_that_status():
    evaluation = run(Canned(outcome(), Outcome(Status.TIMEOUT, message="took longer than 3 s")))
    assert (evaluation.status, evaluation.metrics) == (Status.TIMEOUT, {})
    assert evaluation.message == "when it was examined after its training: took longer than 3 s"


def test_a_training_that_returns_no_state_is_invalid():
    trained = outcome()
    del trained.arrays["state/right"]
    evaluation = run(Canned(trained))
    assert (evaluation.status, evaluation.message) == (Status.INVALID, "the worker returned no state/right")


def test_a_stop_drops_what_has_not_begun_but_no_finished_training():
    pending = [Future(), Future(), Future()]

    class Waiting(Canned):
        def submit(self, job):
            self.jobs.append(job)
            return pending[len(self.jobs) - 1]

    trials = Trials(ToyTask(), Waiting(), lambda metrics: True)
    trials.submit(CANDIDATE, 1)
    pending[0].set_result(outcome())
    assert list(trials.finished()) == []
    trials.submit(CANDIDATE, 2)
    trials.drop_waiting()
    assert trials.futures == [pending[1]]  # the examination


def test_what_the_strategy_does_not_accept_has_metrics_but_no_fitness():
    evaluation = run(Canned(outcome(**{"predictions/val": np.zeros(4)}), second()))
    assert (evaluation.status, evaluation.metrics) == (Status.OK, {"params": 2.0, "val_error": 1.0})


@pytest.mark.parametrize("status", [Status.FAILED, Status.INVALID, Status.TIMEOUT, Status.OOM, Status.KILLED])
def test_only_ok_carries_metrics(status):
    evaluation = run(Canned(Outcome(status, outcome().arrays, message="why")))
    assert (evaluation.status, evaluation.metrics, evaluation.message) == (status, {}, "why")


def test_a_metric_that_is_not_finite_makes_the_candidate_invalid():
    evaluation = run(Canned(outcome(**{"predictions/val": np.array([np.nan])}), second()))
    assert (evaluation.status, evaluation.metrics) == (Status.INVALID, {})
    assert "not finite" in evaluation.message


def test_our_own_failure_is_tried_again_and_leaves_no_trace():
    lost = Outcome(Status.ERROR, message="lost")
    assert run(Canned(lost, lost, outcome(), lost, second())).status is Status.OK


def test_our_own_failure_three_times_stops_the_run_with_the_cause():
    with pytest.raises(RunStoppedError, match=r"candidate 3 could not be evaluated in 3 attempts.*no space"):
        run(Canned(*[Outcome(Status.ERROR, message="no space")] * 3))


def held(**took):
    executor = Held()
    trials = Trials(ToyTask(), executor, lambda metrics: True)
    for name, seconds in took.items():
        trials.note(Evaluation(int(name[1:]), Status.OK, seconds=seconds))
    return executor, trials


def child(number, *parents):
    return Candidate(number, CANDIDATE.text, parents, "infill", step=0)


def test_what_will_take_longest_goes_first_by_what_its_parents_took():
    executor, trials = held(c1=1.0, c2=60.0, c3=5.0)
    for candidate in (child(10, 1), child(11, 1), child(12, 1), child(13, 1), child(14, 1), child(15, 3, 1), child(16, 1, 2)):
        trials.submit(candidate, 0)
    assert executor.began == [10, 11, 12]  # two that run, and one at hand

    for number in (10, 11, 12):
        assert executor.end(trials, number) == [number]
    assert executor.began[3:] == [16, 15, 13]


def test_a_verification_is_guessed_by_what_the_candidate_itself_took():
    executor, trials = held(c1=1.0, c2=1.0, c3=1.0, c4=1.0, c5=2.0, c6=9.0)
    for number in range(1, 7):
        trials.submit(child(number, 7 - number), 0, "verify")
    executor.end(trials, 1)
    assert executor.began[3:] == [6]


def test_one_worker_takes_trials_in_the_order_in_which_they_came():
    executor, trials = held(c1=1.0, c2=60.0)
    executor.slots = 1
    for candidate in (child(10, 1), child(11, 1), child(12, 1), child(13, 2)):
        trials.submit(candidate, 0)
    executor.end(trials, 10)
    assert executor.began == [10, 11, 12]


def test_what_waits_is_dropped_when_asked():
    executor, trials = held()
    for number in range(10, 20):
        trials.submit(child(number), 0)
    executor.futures[10].set_running_or_notify_cancel()
    trials.drop_waiting()
    assert trials.futures == [executor.futures[10]]
    assert executor.end(trials, 10) == [10]
    assert (trials.futures, executor.began) == ([], [10, 11, 12])


class Keeping(Canned):
    """Keeps the jobs, and does none."""

    def __init__(self):
        super().__init__(outcome())

    def submit(self, job):
        self.jobs.append(job)
        return Future()


def test_a_resumable_training_has_a_folder_whose_checkpoints_go_once_it_is_stored(tmp_path):
    class Long(ToyTask):
        resumable = True

    executor = Keeping()
    trials = Trials(Long(), executor, lambda metrics: True, folder=lambda: tmp_path)
    trials.submit(CANDIDATE, 11)
    place = tmp_path / "trainings" / f"{CANDIDATE.id}-11"
    assert executor.jobs[0].folder == str(place)
    place.mkdir(parents=True)
    for name in ("checkpoint.pt", "result.pt", "curve.csv"):
        (place / name).write_text("x")
    trials.note(Evaluation(CANDIDATE.id, Status.OK, seed=12))
    assert len(list(place.iterdir())) == 3
    trials.note(Evaluation(CANDIDATE.id, Status.OK, seed=11))
    assert [path.name for path in place.iterdir()] == ["curve.csv"]


def test_other_trainings_have_none(tmp_path):
    executor = Keeping()
    trials = Trials(ToyTask(), executor, lambda metrics: True, folder=lambda: tmp_path)
    trials.submit(CANDIDATE, 11)
    trials.note(Evaluation(CANDIDATE.id, Status.OK, seed=11))
    assert executor.jobs[0].folder == "" and not list(tmp_path.iterdir())
