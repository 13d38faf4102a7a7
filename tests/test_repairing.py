from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasmith.choosing import Choosing
from nasmith.events import Evaluated
from nasmith.executors.inline import Inline
from nasmith.loop import Search
from nasmith.protocols import CostAwareStrategy
from nasmith.repairing import Repairing
from nasmith.seeding import generator
from nasmith.storage.sql import Sql
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.strategies.few_shot import FewShot
from nasmith.testing import ToyTask
from nasmith.types import Brief, Candidate, Completion, Evaluation, Run, Sampling, Status, Traits, Tune
from strategy_play import Told, play, play_again

FIXABLE = (Status.INVALID, Status.FAILED)


def evoprompting(**options):
    return EvoPrompting(**{"rounds": 3, "prompts": 3, "samples": 3, "survivors": 3, **options})


class Spy:
    """Passes everything to a strategy, and keeps what it was told and what it asked."""

    def __init__(self, strategy):
        self.strategy, self.planned, self.rounds = strategy, strategy.planned, getattr(strategy, "rounds", None)
        self.asked, self.told, self.bills = [], [], []
        self.begin, self.accepts = strategy.begin, strategy.accepts

    def ask(self):
        action = self.strategy.ask()
        self.asked += [] if action is None else [action]
        return action

    def paid(self, candidate, completion):
        self.bills.append((candidate, completion))

    def tell(self, candidate, evaluation):
        if candidate.step >= 0:
            self.told.append((candidate, evaluation))
        self.strategy.tell(candidate, evaluation)


BRIEF = Brief("crossover", (1, 2), ({}, {}), {"val_accuracy": "0.9"}, Sampling(4, 0.7, 11), round=5, model="large")


class Once:
    """Asks for one brief."""

    planned = 4

    def __init__(self, brief=BRIEF):
        self.brief, self.left = brief, [brief]

    def begin(self, seed, temperatures, operators):
        pass

    def ask(self):
        return self.left.pop() if self.left else None

    def accepts(self, metrics):
        return True

    def tell(self, candidate, evaluation):
        pass


def asked_once(models=True, brief=BRIEF):
    """A strategy that has asked its only brief, and the spy below it."""
    spy = Spy(Once(brief))
    repairing = Repairing(spy, models)
    repairing.begin(0, (0.5,), {})
    assert repairing.ask() == brief
    return repairing, spy


def child(number, index=0, step=0, operator="crossover", text="def Model(): 1"):
    return Candidate(number, text, operator=operator, step=step, index=index)


def test_it_is_a_strategy_that_hears_of_costs():
    repairing = Repairing(evoprompting())
    assert isinstance(repairing, CostAwareStrategy)
    assert (repairing.planned, repairing.rounds) == (27, 3)
    assert Repairing(FewShot()).rounds is None


@pytest.mark.parametrize("status", FIXABLE)
def test_a_failed_child_is_fixed_before_the_strategy_hears_of_it(status):
    repairing, spy = asked_once()
    repairing.tell(child(7, index=2), Evaluation(7, status, message="ValueError: odd"))
    assert spy.told == []
    fix = repairing.ask()
    assert fix == Brief(
        "fix", (7,), ({"error": "ValueError: odd"},), BRIEF.target, replace(fix.sampling, n=1, temperature=0.7), 5, "large"
    )
    assert repairing.ask() is None


def test_each_fix_is_sampled_with_a_seed_of_its_own():
    repairing, _ = asked_once()
    for index in range(4):
        repairing.tell(child(7 + index, index=index), Evaluation(7 + index, Status.FAILED))
    fixes = [repairing.ask() for _ in range(4)]
    assert [fix.parents for fix in fixes] == [(7,), (8,), (9,), (10,)]
    assert len({fix.sampling.seed for fix in fixes} | {BRIEF.sampling.seed}) == 5


def test_a_fixed_child_is_told_in_the_place_of_the_failed_one_with_the_seconds_of_both():
    repairing, spy = asked_once()
    repairing.tell(child(7, index=2), Evaluation(7, Status.FAILED, seconds=3))
    repairing.ask()
    fixed = child(8, step=1, operator="fix")
    repairing.tell(fixed, Evaluation(8, Status.OK, {"fitness": 1.0}, seconds=4))
    assert spy.told == [(replace(fixed, step=0, index=2), Evaluation(8, Status.OK, {"fitness": 1.0}, seconds=7))]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_where_the_fix_is_no_better_the_failed_child_is_told(status):
    repairing, spy = asked_once()
    failed = child(7, index=2)
    repairing.tell(failed, Evaluation(7, Status.FAILED, message="first", seconds=3))
    repairing.ask()
    repairing.tell(child(8, step=1, operator="fix"), Evaluation(8, status, message="second", seconds=4))
    assert spy.told == [(failed, Evaluation(7, Status.FAILED, message="first", seconds=7))]
    assert repairing.ask() is None


@pytest.mark.parametrize(
    ("candidate", "status"),
    [
        *((child(7), status) for status in Status if status not in FIXABLE),
        (child(7, text=""), Status.INVALID),
        (child(7, operator="fix"), Status.FAILED),
    ],
)
def test_what_cannot_be_fixed_is_told_at_once(candidate, status):
    repairing, spy = asked_once()
    repairing.tell(candidate, Evaluation(7, status))
    assert spy.told == [(candidate, Evaluation(7, status))]
    assert repairing.ask() is None


@pytest.mark.parametrize(
    ("models", "fixes"), [(True, True), (False, False), ({"large"}, True), ({"small"}, False), (set(), False)]
)
def test_only_models_that_can_be_asked_are_asked_for_a_fix(models, fixes):
    repairing, _ = asked_once(models)
    repairing.tell(child(7), Evaluation(7, Status.FAILED))
    assert (repairing.ask() is not None) == fixes


def test_a_model_alone_has_the_empty_name():
    repairing, _ = asked_once({""}, replace(BRIEF, model=""))
    repairing.tell(child(7), Evaluation(7, Status.FAILED))
    assert repairing.ask().model == ""


def test_a_fix_is_paid_in_the_place_of_the_failed_child():
    repairing, spy = asked_once()
    first, second = (Completion("", text, "m", 1, 1, cost=1.0) for text in "ab")
    failed, fixed = child(7, index=2), child(8, step=1, operator="fix")
    repairing.paid(failed, first)
    repairing.tell(failed, Evaluation(7, Status.FAILED))
    repairing.ask()
    repairing.paid(fixed, second)
    assert spy.bills == [(failed, first), (replace(fixed, step=0, index=2), second)]


def test_a_strategy_that_does_not_hear_of_costs_is_not_told_them():
    repairing = Repairing(Once())
    repairing.ask()
    repairing.paid(child(7), Completion("", "", "m", 1, 1))


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_every_child_that_the_strategy_asked_for_is_told_once_whatever_fails(seed):
    spy = Spy(evoprompting())
    course = play(Repairing(spy), seed)
    asked_for = [
        (step, index)
        for step, action in enumerate(spy.asked)
        if isinstance(action, Brief)
        for index in range(action.sampling.n)
    ]
    assert sorted((candidate.step, candidate.index) for candidate, _ in spy.told) == asked_for
    assert len(asked_for) == spy.planned
    assert all(candidate.id == evaluation.candidate for candidate, evaluation in spy.told)
    assert all(evaluation.status is Status.OK for candidate, evaluation in spy.told if candidate.operator == "fix")
    fixes = Counter(entry.parents for entry in course if isinstance(entry, Brief) and entry.operator == "fix")
    assert set(fixes.values()) <= {1}
    failed = {e.candidate.id for e in course if isinstance(e, Told) and e.evaluation.status in FIXABLE and e.candidate.text}
    assert {parent for (parent,) in fixes} == {
        number
        for number in failed
        if not any(isinstance(e, Told) and e.candidate.id == number and e.candidate.operator == "fix" for e in course)
    }


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_where_no_model_can_be_asked_nothing_is_changed(seed):
    assert play(Repairing(evoprompting(), False), seed) == play(evoprompting(), seed)


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_same_calls_give_the_same_wishes(seed, early):
    asked, then = play_again(Repairing(evoprompting()), play(Repairing(evoprompting()), seed), early=early)
    assert asked == then


def test_a_fixed_child_can_be_a_parent_and_be_learned_from():
    def mended(candidate, random, brief):
        if candidate.operator != "fix":
            return Evaluation(candidate.id, Status.FAILED)
        metrics = {"params": float(candidate.id), "val_error": 0.1, "fitness": -float(candidate.id)}
        return Evaluation(candidate.id, Status.OK, metrics)

    course = play(Repairing(evoprompting()), 1, mended)
    fixed = {entry.candidate.id for entry in course if isinstance(entry, Told) and entry.candidate.operator == "fix"}
    tunes = [entry for entry in course if isinstance(entry, Tune)]
    later = [entry for entry in course if isinstance(entry, Brief) and entry.round > 0 and entry.operator != "fix"]
    assert tunes
    assert {number for tune in tunes for number in tune.candidates} <= fixed
    assert {parent for brief in later for parent in brief.parents} <= fixed


class Chatty:
    """Answers messages; half of its programs do not build."""

    name = "chatty"
    temperatures = (0.5, 1.0)
    operators: Mapping[str, float] = {"crossover": 1.0}
    traits = Traits(chat=True)

    def warm(self):
        pass

    def complete(self, request):
        draw = generator(request.seed, request.prompt)
        widths = [[draw.randrange(1, 60)] if draw.random() < 0.5 else [0, draw.randrange(999)] for _ in range(request.n)]
        texts = [f"```python\ndef Model():\n    return {width}\n```" for width in widths]
        return [Completion(request.prompt, text, self.name, 1, 1) for text in texts]

    def close(self):
        pass


def test_a_run_that_was_stopped_and_resumed_has_the_same_fixes(tmp_path):
    run, executor = Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"), Inline()
    executor.start(ToyTask().workload(), ToyTask().data)

    def search(storage, stop_after, new):
        """Search, or go on, until so many evaluations were told; return why it ended."""
        told = []

        def observer(event):
            told.append(isinstance(event, Evaluated))
            if sum(told) == stop_after:
                loop.stop()

        strategy = Repairing(Choosing(evoprompting(prompts=4), {"": Chatty.operators}))
        loop = Search(run, ToyTask(), Chatty(), strategy, executor, storage, 3, new=new, observers=[observer])
        return loop.execute()

    whole, parts = Sql(tmp_path / "whole.sqlite3"), Sql(tmp_path / "parts.sqlite3")
    assert search(whole, None, new=True) == "the strategy was done"
    reasons = [search(parts, 9, new=True), search(parts, 30, new=False), search(parts, None, new=False)]
    assert reasons == ["stopped", "stopped", "the strategy was done"]
    for storage in (whole, parts):
        candidates, evaluations = storage.candidates("run"), {e.candidate: e for e in storage.evaluations("run")}
        fixed = [candidate for candidate in candidates if candidate.operator == "fix"]
        assert {evaluations[candidate.parents[0]].status for candidate in fixed} == {Status.INVALID}
        assert Status.OK in {evaluations[candidate.id].status for candidate in fixed}
        assert len(candidates) - len(fixed) == len(ToyTask().seeds()) + 36
