from nasmith.history import History
from nasmith.storage.sql import Sql
from nasmith.types import Brief, Candidate, Completion, Evaluation, Run, Sampling, Status


def test_history_reads_back_what_a_run_stored(tmp_path):
    storage = Sql(tmp_path / "runs.sqlite3")
    storage.add_run(Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"))
    brief = Brief("crossover", (1,), ({"num_params": "1"},), {"num_params": "1"}, Sampling(2, 0.5, 3))
    storage.add_candidates("run", [Candidate(1, "a", label="seed")])
    storage.add_evaluation("run", Evaluation(1, Status.OK, {"fitness": 1.0}))
    storage.add_evaluation("run", Evaluation(1, Status.OK, {"fitness": 1.0}, seed=9, purpose="verify"))
    storage.add_asked("run", 0, 1, brief)
    replies = [Completion("p", "x", "m", 1, 1), Completion("p", "y", "m", 0, 1)]
    storage.add_completions("run", 0, 0, replies)
    history = History(storage, "run")
    assert history.asked == [(1, brief)]
    assert [e.candidate for e in history.backlog] == [1]
    assert set(history.verified) == {(1, 9)}
    assert history.candidates == {1}
    assert history.completions(0, 0, 2) == replies
    assert history.completions(0, 0, 3) is None
    assert history.evaluations_before(0) == 1
    assert history.evaluations_before(1) is None


def test_a_new_run_has_no_history(tmp_path):
    history = History(Sql(tmp_path / "runs.sqlite3"), "new", new=True)
    assert (list(history.backlog), list(history.asked), history.verified) == ([], [], {})
