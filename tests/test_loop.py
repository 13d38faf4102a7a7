"""What the loop does beside whole searches (those are in test_api.py)."""

import pytest

from nasmith.errors import MissingDependencyError, RunStoppedError, SeedError, UsageError
from nasmith.events import Asked, Climbed, Evaluated, Started
from nasmith.executors.inline import Inline
from nasmith.loop import Budget, Search, check_seeds
from nasmith.storage.sql import Sql
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Brief, Run, Status
from rung_toys import RungTask


def loop(tmp_path, new=True, lm=None, strategy=None, **options):
    task, executor = ToyTask(), Inline()
    executor.start(task.workload(), task.data)
    strategy = strategy or EvoPrompting(rounds=2, prompts=2, samples=3, survivors=2)
    run = Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00")
    return Search(run, task, lm or ToyLM(), strategy, executor, Sql(tmp_path / "runs.sqlite3"), 3, new=new, **options)


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"minutes": -1.0}])
def test_a_budget_that_allows_nothing_is_refused(options):
    with pytest.raises(UsageError, match="must be above 0"):
        Budget(**options)


def test_it_says_why_it_ended(tmp_path):
    assert loop(tmp_path / "a").execute() == "the strategy was done"
    assert loop(tmp_path / "b", budget=Budget(evaluations=3)).execute() == "the budget was used up"
    assert loop(tmp_path / "c", budget=Budget(minutes=1e-9)).execute() == "the time was used up"


def test_seeds_are_told_before_anything_is_asked(tmp_path):
    seen = []
    loop(tmp_path, observers=[seen.append]).execute()
    assert isinstance(seen[0], Started)
    first = next(index for index, event in enumerate(seen) if isinstance(event, Asked))
    assert [event.candidate.label for event in seen[:first] if isinstance(event, Evaluated)] == ["narrow", "wide"]


def test_a_brief_is_cut_to_what_the_budget_allows(tmp_path):
    seen = []
    loop(tmp_path, budget=Budget(evaluations=4), observers=[seen.append]).execute()
    briefs = [event.action for event in seen if isinstance(event, Asked) and isinstance(event.action, Brief)]
    assert [brief.sampling.n for brief in briefs] == [3, 1]


def test_a_run_of_another_version_is_not_continued_by_guesswork(tmp_path):
    loop(tmp_path, budget=Budget(evaluations=3)).execute()
    other = EvoPrompting(rounds=2, prompts=2, samples=3, temperatures=[0.123])
    with pytest.raises(RunStoppedError, match=r"step 0 was decided otherwise"):
        loop(tmp_path, new=False, strategy=other).execute()


def test_a_missing_language_model_is_said_before_a_child_is_made(tmp_path):
    lm = ToyLM()

    def warm():
        raise MissingDependencyError("pip install it")

    lm.warm = warm
    seen = []
    with pytest.raises(MissingDependencyError, match="pip install it"):
        loop(tmp_path, lm=lm, observers=[seen.append]).execute()
    assert not any(isinstance(event, Asked) for event in seen)


def test_duplicates_and_broken_replies_are_rows_with_reasons(tmp_path):
    seen = []
    loop(
        tmp_path, lm=ToyLM(broken=0.5), strategy=EvoPrompting(rounds=1, prompts=4, samples=8), observers=[seen.append]
    ).execute()
    messages = {e.evaluation.status: e.evaluation.message for e in seen if isinstance(e, Evaluated)}
    assert "line" in messages[Status.INVALID]


def test_two_equal_seeds_are_refused(monkeypatch):
    task, executor = ToyTask(), Inline()
    executor.start(task.workload(), task.data)
    check_seeds(task, executor)
    twice = {"a": "def Model():\n    return [1]\n", "b": "def Model():\n    return [ 1 ]\n"}
    monkeypatch.setattr(ToyTask, "seeds", lambda self: twice)
    with pytest.raises(SeedError, match=r"'a' and 'b'.*are the same program"):
        check_seeds(task, executor)
    monkeypatch.setattr(ToyTask, "seeds", lambda self: {})
    with pytest.raises(SeedError, match="no seed programs"):
        check_seeds(task, executor)


def rung_loop(tmp_path, name="run", new=True, **options):
    task, executor = RungTask(str(tmp_path / f"{name}.log")), Inline()
    executor.start(task.workload(), task.data)
    strategy = EvoPrompting(rounds=2, prompts=2, samples=4, survivors=2)
    run = Run(name, {}, "0", {}, "2026-01-01T00:00:00+00:00")
    return Search(run, task, ToyLM(), strategy, executor, Sql(tmp_path / "runs.sqlite3"), 3, new=new, **options)


def trained(tmp_path, name="run"):
    return [tuple(map(int, line.split()[1:])) for line in (tmp_path / f"{name}.log").read_text().splitlines()]


def rows(search, purpose):
    stored = search._storage.evaluations(search._run.name)
    return sorted((e.candidate, e.fidelity, e.status, dict(e.metrics), e.seed) for e in stored if e.purpose == purpose)


def test_at_each_rung_a_part_of_the_children_goes_on_from_where_they_were(tmp_path):
    seen = []
    search = rung_loop(tmp_path, observers=[seen.append])
    search.execute()
    spans = trained(tmp_path)
    assert {span for span in spans} <= {(0, 1), (1, 3), (3, 9)}  # nothing was begun again
    assert spans.count((0, 1)) > spans.count((1, 3)) >= spans.count((3, 9)) >= 2
    fidelities = {number: fidelity for number, fidelity, status, *_ in rows(search, "search") if status is Status.OK}
    assert fidelities[1] == fidelities[2] == 9  # seeds are trained whole
    climbed = [(e.candidate.id, e.evaluation.fidelity) for e in seen if isinstance(e, Climbed)]
    assert len(climbed) == len(rows(search, "rung")) and all(fidelities[number] >= steps for number, steps in climbed)
    assert {1, 9} <= set(fidelities.values())
    assert [path.name for path in (search._storage.folder("run") / "checkpoints").iterdir()] == []


def test_a_run_with_rungs_that_is_cut_anywhere_ends_as_if_never_cut(tmp_path):
    whole = rung_loop(tmp_path, "whole")
    whole.execute()

    class CutError(Exception):
        pass

    def cut_at(count):
        seen = []

        def observer(event):
            seen.append(event)
            if isinstance(event, Climbed) and sum(isinstance(e, Climbed) for e in seen) == count:
                raise CutError

        return observer

    for count in (1, 3, 6):
        name = f"cut-{count}"
        with pytest.raises(CutError):
            rung_loop(tmp_path, name, observers=[cut_at(count)]).execute()
        again = rung_loop(tmp_path, name, new=False)
        again.execute()
        for purpose in ("rung", "search"):
            assert rows(again, purpose) == rows(whole, purpose)
        assert len(trained(tmp_path, name)) <= len(trained(tmp_path, "whole")) + 2  # the one that was cut, and the next
