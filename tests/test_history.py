from nasmith.history import History
from nasmith.storage.sql import Sql
from nasmith.types import Brief, Call, Candidate, Completion, Evaluation, Run, Sampling, Script, Status


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
    call = Call("m", "limited")
    storage.add_call("run", call)
    history = History(storage, "run")
    assert history.asked == [(1, brief)]
    assert [e.candidate for e in history.backlog] == [1]
    assert set(history.verified) == {(1, 9)}
    assert history.candidates == {1}
    assert history.replies(0, 0, 2) == (replies, 0)
    assert history.replies(0, 1, 5) == (replies[1:], 0)
    assert history.replies(0, 2, 3) == ([], 3)
    assert history.spent == [*replies, call]
    assert history.evaluations_before(0) == 1
    assert history.evaluations_before(1) is None


def test_a_new_run_has_no_history(tmp_path):
    history = History(Sql(tmp_path / "runs.sqlite3"), "new", new=True)
    assert (list(history.backlog), list(history.asked), history.verified) == ([], [], {})


def test_missing_replies_are_counted_up_to_the_next_stored_one(tmp_path):
    storage = Sql(tmp_path / "runs.sqlite3")
    storage.add_run(Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"))
    storage.add_completions("run", 0, 3, [Completion("p", "x", "m", 1, 1)])
    history = History(storage, "run")
    assert history.replies(0, 0, 8) == ([], 3)
    assert len(history.replies(0, 3, 5)[0]) == 1
    assert history.replies(0, 4, 4) == ([], 4)


def test_a_script_goes_on_where_the_stored_wishes_end(tmp_path):
    storage = Sql(tmp_path / "runs.sqlite3")
    storage.add_run(Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"))
    wishes = [Brief("crossover", (), (), {}, Sampling(1, 0.5, seed)) for seed in range(2)]
    storage.add_asked("run", 0, 4, wishes[0])
    history = History(storage, "run", script=Script(((4, wishes[0]), (5, wishes[1])), (1, 2), {}))
    assert [history.wish(step) for step in range(3)] == [(4, wishes[0]), (5, wishes[1]), None]
    assert history.evaluations_before(1) == 5
