"""The fakes keep the protocols that they stand for."""

from nasmith.executors.inline import Inline
from nasmith.protocols import LanguageModel, Task, TunableLanguageModel, Workload
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Example, Job, Request, Status, Tune


def test_the_fakes_are_what_they_stand_for():
    assert isinstance(ToyTask(), Task)
    assert isinstance(ToyTask().workload(), Workload)
    assert isinstance(ToyLM(), LanguageModel)
    assert isinstance(ToyLM(), TunableLanguageModel)


def test_the_same_request_gives_the_same_replies_and_tuning_changes_them(tmp_path):
    request = Request("def Model():", n=4, seed=3)
    lm = ToyLM()
    before = lm.complete(request)
    assert before == ToyLM().complete(request)
    lm.tune(Tune(0, (1,), 0), [Example("a", "b")], tmp_path / "adapter")
    tuned = lm.complete(request)
    assert tuned != before
    other = ToyLM()
    other.load(tmp_path / "adapter")
    assert other.complete(request) == tuned


def test_the_toy_task_can_be_run_and_scored():
    task, executor = ToyTask(), Inline()
    executor.start(task.workload(), task.data)
    text = task.seeds()["wide"]
    outcome = executor.submit(Job(1, text, 3)).result()
    assert outcome.status is Status.OK
    examined = executor.submit(Job(1, text, 3, ("val", "test"), "examine", task.best_state(outcome))).result()
    assert task.score(outcome, examined, "verify")["params"] == 90
    assert examined.arrays["predictions/val"].tolist() == outcome.arrays["predictions/val"].tolist()
    assert executor.submit(Job(1, "def Model():\n    return 3", 3)).result().status is Status.INVALID
