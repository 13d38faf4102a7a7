from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

import nasmith
from nasmith.api import open_storage
from nasmith.errors import ConfigError, UsageError
from nasmith.events import Evaluated
from nasmith.executors.inline import Inline
from nasmith.lms.scripted import Scripted
from nasmith.strategies.genius import Genius
from nasmith.tasks.tabular.design_workload import DesignWorkload
from nasmith.testing import TOY_SPACE, StrategyContract, ToySpaceTask
from nasmith.types import Brief, Candidate, Evaluation, Objective, Status
from toy_runs import records

FORMS = ("rebuilt", "running", "restarted")
GOOD = [f"[{a}, {b}, {c}, 0]" for a in range(3) for b in range(3) for c in range(3)]


class TestGenius(StrategyContract):
    space = TOY_SPACE
    objectives = (Objective("accuracy", "maximize", "%"),)
    temperatures = (0.0,)
    operators = MappingProxyType({"rebuilt": 1.0})

    def make(self):
        return Genius(designs=6, samples=2)

    def metrics(self, candidate):
        return {"accuracy": 60.0 + candidate, "fitness": 60.0 + candidate}


class Strict(DesignWorkload):
    """Refuses what is too wide."""

    def screen(self, text):
        if sum(self.space.read(text)) > 4:
            raise ValueError("fails the constraint: 5 M FLOPs, 1 M above the upper bound of 4 M")
        return super().screen(text)

    def fit(self, text, seed, data):
        self.screen(text)
        return super().fit(text, seed, data)


class StrictTask(ToySpaceTask):
    def workload(self):
        return Strict(self.space)


def run(tmp_path, replies, *, task=None, chat=True, name="run", **options):
    """Search, and return the storage with what is in it."""
    storage = tmp_path / "runs.sqlite3"
    lm = Scripted(replies, chat=chat)
    nasmith.search(task or ToySpaceTask(), lm, Genius(**options), Inline(), storage, name=name, seed=3)
    return open_storage(storage)


def briefs(storage, name="run"):
    return [wish for _, wish in storage.asked(name)]


def course(storage, name="run"):
    """Status and text of each candidate."""
    statuses = {e.candidate: e.status for e in storage.evaluations(name) if e.purpose == "search"}
    return [(statuses[candidate.id], candidate.text) for candidate in storage.candidates(name)]


def prompts(storage, name="run"):
    return [completion.prompt for _, completion in sorted(storage.completions(name).items())]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chat", [True, False])
def test_good_answers_are_measured_one_after_the_other(tmp_path, form, chat):
    storage = run(tmp_path, GOOD, chat=chat, conversation=form)
    assert course(storage) == [(Status.OK, TOY_SPACE.write(TOY_SPACE.read(text))) for text in GOOD[:10]]
    assert [brief.operator for brief in briefs(storage)] == [form] * 10
    assert [brief.parents for brief in briefs(storage)] == [tuple(range(1, step + 1)) for step in range(10)]
    assert {brief.sampling.temperature for brief in briefs(storage)} == {0.0}
    assert len({brief.sampling.seed for brief in briefs(storage)}) == 10
    assert [brief.round for brief in briefs(storage)] == list(range(10))


def test_the_accuracies_are_those_that_were_measured(tmp_path):
    storage = run(tmp_path, ["[2, 2, 0, 0]", "[0, 1, 0, 0]", "[1, 0, 0, 0]"], designs=3)
    assert briefs(storage)[2].facts == ({"accuracy": "76.00"}, {"accuracy": "59.00"})
    assert briefs(storage)[2].target == {"accuracy": "78.40"}
    assert "- [2, 2, 0, 0] gives an accuracy of 76.00%.\n- [0, 1, 0, 0] gives an accuracy of 59.00%.\n" in prompts(storage)[2]


def test_the_running_conversation_shows_three_decimals_and_the_answers_as_they_were(tmp_path):
    storage = run(tmp_path, ["Wide is good.\n[2, 2, 0, 0]", "[0, 1, 0, 0]"], designs=2, conversation="running")
    assert briefs(storage)[1].facts == ({"accuracy": "76.000"},)
    assert "Wide is good.\n[2, 2, 0, 0]" in prompts(storage)[1] and "an accuracy of 76.000%" in prompts(storage)[1]


def test_a_space_says_how_it_is_talked_about(tmp_path):
    class Running(ToySpaceTask):
        space = replace(TOY_SPACE, conversation="running")

    assert briefs(run(tmp_path, GOOD, designs=1))[0].operator == "rebuilt"
    assert briefs(run(tmp_path, GOOD, designs=1, task=Running(), name="b"), "b")[0].operator == "running"
    storage = run(tmp_path, GOOD, designs=1, task=Running(), name="c", conversation="restarted")
    assert briefs(storage, "c")[0].operator == "restarted"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ("[0, 1, 2]", Status.INVALID, "the list has 3 numbers; 4 are needed, one for each position"),
        ("[0, 1, 2, 3]", Status.INVALID, "'3' is no choice at position 4 (layer 4). Valid: 0, 1, 2"),
        ("[0, 1, 2, -1]", Status.INVALID, "'-1' is no choice at position 4 (layer 4). Valid: 0, 1, 2"),
        ("I do not know.", Status.INVALID, "the reply holds no design"),
        (
            "[2, 2, 1, 0]",
            Status.INVALID,
            "the design fails the constraint: 5 M FLOPs, 1 M above the upper bound of 4 M",
        ),
        (
            "Once more 0000",
            Status.DUPLICATE,
            "this design, or one equal to it, was tested before and gives an accuracy of 60.00",
        ),
    ],
)
def test_an_answer_that_cannot_be_used_is_told_why_and_asked_again(tmp_path, form, answer, status, reason):
    replies = ["[0, 0, 0, 0]", answer, "[1, 0, 0, 0]", "[1, 1, 0, 0]"]
    storage = run(tmp_path, replies, designs=3, conversation=form, task=StrictTask())
    assert [status for status, _ in course(storage)] == [Status.OK, status, Status.OK, Status.OK]
    asked = briefs(storage)
    assert [brief.parents for brief in asked] == [(), (1,), (1, 2), (1, 3)]
    assert asked[2].facts[1].keys() == {"error"} and reason in asked[2].facts[1]["error"]
    assert [brief.round for brief in asked] == [0, 1, 1, 2]
    again = prompts(storage)[2]
    assert again.startswith(prompts(storage)[1])  # the same conversation goes on
    _, said, why = again.rpartition(f"[assistant: {len(answer)} characters]\n{answer}\n")
    assert said and why.strip().startswith("[user: ") and reason in why
    assert reason not in prompts(storage)[3]


def test_a_repeat_warms_what_follows_in_its_iteration(tmp_path):
    replies = ["[0, 0, 0, 0]"] * 3 + ["[0, 0]", "[1, 0, 0, 0]", "[2, 0, 0, 0]"]
    storage = run(tmp_path, replies, designs=3)
    assert [brief.sampling.temperature for brief in briefs(storage)] == [0.0, 0.0, 0.2, 0.4, 0.4, 0.0]
    storage = run(tmp_path, replies, designs=3, name="cold", warming=0.0)
    assert {brief.sampling.temperature for brief in briefs(storage, "cold")} == {0.0}
    storage = run(tmp_path, ["[0, 0, 0, 0]"], designs=2, name="hot", warming=0.7)
    assert max(brief.sampling.temperature for brief in briefs(storage, "hot")) == 1.0
    storage = run(tmp_path, replies, designs=3, name="hotter", temperature=1.5)
    assert {brief.sampling.temperature for brief in briefs(storage, "hotter")} == {1.5}


def test_it_ends_after_two_iterations_without_a_design(tmp_path):
    storage = run(tmp_path, ["[0, 0, 0, 0]", *["nonsense"] * 20], repairs=2)
    assert [brief.round for brief in briefs(storage)] == [0, 1, 1, 1, 2, 2, 2]
    assert [brief.parents for brief in briefs(storage)] == [(), (1,), (1, 2), (1, 2, 3), (1,), (1, 5), (1, 5, 6)]
    assert open_storage(tmp_path / "runs.sqlite3").run("run").finished


def test_a_design_between_two_iterations_in_vain_keeps_it_going(tmp_path):
    replies = ["no", "no", "[0, 0, 0, 0]", "no", "no", "[1, 0, 0, 0]"]
    storage = run(tmp_path, replies, designs=2, repairs=1)
    assert [status for status, _ in course(storage)] == [
        Status.INVALID, Status.INVALID, Status.OK, Status.INVALID, Status.INVALID, Status.OK,
    ]  # fmt: skip


def test_the_principles_of_the_first_answer_are_stated_in_every_later_iteration(tmp_path):
    first = "Principles:\n1. Wide layers come first.\n2. Never none.\n\n[2, 2, 2, 7]"
    replies = [first, "[2, 2, 2, 1]", "[2, 2, 2, 2]", "[1, 1, 1, 1]"]
    storage = run(tmp_path, replies, designs=3, conversation="restarted")
    asked, said = briefs(storage), prompts(storage)
    assert [brief.parents for brief in asked] == [(), (1,), (1, 2), (1, 2, 3)]
    assert asked[2].facts == ({}, {"accuracy": "88.00"})
    for later in said[2:]:
        assert "# Principles\n\n1. Wide layers come first.\n2. Never none.\n" in later
        assert "[assistant:" not in later
    assert "# Principles" not in said[0] and "# Principles" not in said[1]


def test_several_answers_to_a_request_are_all_measured(tmp_path):
    replies = ["[0, 0, 0, 0]", "[1, 0, 0, 0]", "[0, 0]", "[2, 0, 0, 0]", "[2, 1, 0, 0]", "[2, 2, 0, 0]"]
    storage = run(tmp_path, replies, designs=5, samples=2)  # a script answers a step with the replies from its number on
    asked = briefs(storage)
    assert [brief.sampling.n for brief in asked] == [2, 2, 2, 2, 1, 1]
    assert [brief.round for brief in asked] == [0, 1, 1, 2, 3, 3]
    assert [brief.parents for brief in asked] == [(), (1, 2), (1, 2, 3, 4), (1, 2, 6), (1, 2, 6, 8), (1, 2, 6, 8, 9)]
    assert [status for status, _ in course(storage)].count(Status.OK) == 5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stop_at", [1, 2, 3, 5, 7])
def test_a_resumed_search_is_the_same_as_one_left_alone(tmp_path, form, stop_at):
    replies = ["[0, 0, 0, 0]", "[0, 1]", "0000", "[2, 2, 1, 0]", "[1, 0, 0, 0]", "[0, 0, 7, 0]", "[1, 1, 0, 0]", "[1, 1, 1, 0]"]

    class StoppedError(Exception):
        pass

    def interrupt(event):
        interrupt.seen += isinstance(event, Evaluated)
        if interrupt.seen == stop_at:
            raise StoppedError

    interrupt.seen = 0

    def search(folder, **options):
        lm, strategy = Scripted(replies, chat=True), Genius(designs=4, conversation=form)
        nasmith.search(ToySpaceTask(), lm, strategy, Inline(), folder, name="run", seed=5, **options)

    search(tmp_path / "whole.sqlite3")
    with pytest.raises(StoppedError):
        search(tmp_path / "parts.sqlite3", observers=[interrupt])
    nasmith.resume("run", tmp_path / "parts.sqlite3")
    assert records(tmp_path / "parts.sqlite3") == records(tmp_path / "whole.sqlite3")


def test_a_task_whose_seeds_are_designs_shows_them_first(tmp_path):
    class Seeded(ToySpaceTask):
        def seeds(self):
            return {"narrow": "0000"}

    storage = run(tmp_path, ["[1, 0, 0, 0]"], designs=1, task=Seeded())
    assert briefs(storage)[0].facts == ({"accuracy": "60.00"},)
    assert "- [0, 0, 0, 0] gives an accuracy of 60.00%." in prompts(storage)[0]


def test_a_design_that_fails_for_another_reason_is_told_so():
    strategy = Genius()
    strategy.enter(TOY_SPACE, (Objective("accuracy", "maximize", "%"),))
    strategy.begin(0, (1.0,), {})
    strategy.ask()
    strategy.tell(Candidate(1, "0000", canonical="0000", step=0), Evaluation(1, Status.OOM, message="too large"))
    brief = strategy.ask()
    assert isinstance(brief, Brief)
    assert brief.facts == ({"error": "the design could not be measured (oom): too large"},)
    strategy.tell(Candidate(2, "0000", canonical="0000", step=1), Evaluation(2, Status.DUPLICATE, message="as candidate 1"))
    brief = strategy.ask()
    assert isinstance(brief, Brief)
    why = "the design could not be measured (oom): too large"
    assert brief.facts[1] == {"error": f"this design, or one equal to it, was proposed before: {why}"}


def test_a_repeat_of_a_design_out_of_range_is_told_why_again():
    strategy = Genius()
    strategy.enter(TOY_SPACE, (Objective("accuracy", "maximize", "%"),))
    strategy.begin(0, (1.0,), {})
    strategy.ask()
    flaw = "fails the constraint: 362 M FLOPs, 32 M FLOPs above the upper bound of 330 M FLOPs"
    strategy.tell(Candidate(1, "0000", canonical="0000", step=0), Evaluation(1, Status.INVALID, message=flaw))
    strategy.ask()
    strategy.tell(Candidate(2, "0000", canonical="0000", step=1), Evaluation(2, Status.DUPLICATE, message="as candidate 1"))
    brief = strategy.ask()
    assert isinstance(brief, Brief)
    assert brief.facts[1]["error"] == f"this design, or one equal to it, was proposed before: the design {flaw}"


def test_what_a_space_states_is_told_beside_the_accuracy(tmp_path):
    class Stating(ToySpaceTask):
        space = replace(TOY_SPACE, stated=("flops", "size"))

        def score(self, outcome, examined, purpose):
            return {**super().score(outcome, examined, purpose), "flops": 329.4e6, "size": 12.345}

    storage = run(tmp_path, ["[1, 0, 0, 0]", "[2, 0, 0, 0]"], designs=2, task=Stating())
    assert briefs(storage)[1].facts[0].keys() == {"accuracy", "flops", "size"}
    assert "- [1, 0, 0, 0] has 329 M FLOPs, size 12.35 and gives an accuracy of" in prompts(storage)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"designs": 0}, "designs must be at least 1"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"repairs": -1}, "repairs must be at least 0"),
        ({"temperature": -0.1}, "temperature must be at least 0"),
        ({"warming": float("nan")}, "warming must be at least 0"),
        ({"conversation": "endless"}, "one of rebuilt, running, restarted"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Genius(**options)


def test_it_needs_a_space_and_an_accuracy_in_percent():
    with pytest.raises(UsageError, match="searches spaces"):
        Genius().enter(None, (Objective("accuracy", "maximize", "%"),))
    with pytest.raises(UsageError, match=r"first objective is 'params': minimize"):
        Genius().enter(TOY_SPACE, (Objective("params", "minimize"),))
    with pytest.raises(UsageError, match="conversation must be one of"):
        Genius().enter(replace(TOY_SPACE, conversation="endless"), (Objective("accuracy", "maximize", "%"),))
