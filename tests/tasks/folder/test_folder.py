import numpy as np
import pytest

from folder_toys import LARGE, SMALL, TASK, YAML, write_folder
from nasmith.errors import ConfigError, SeedError
from nasmith.executors.inline import Inline
from nasmith.tasks.folder import Folder
from nasmith.testing.contracts import TaskContract
from nasmith.types import Job, Outcome, Status


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("tasks") / "Three Heaps")


class TestContract(TaskContract):
    broken = "def Model():\n    return nn.Linear(4, 7)\n"

    @pytest.fixture(autouse=True)
    def _place(self, shared):
        type(self).place = shared

    def make(self):
        return Folder(str(self.place))


def trained(task, text=SMALL, number=1):
    executor = Inline()
    executor.start(task.workload(), task.data)
    outcome = executor.submit(Job(number, text, 3)).result()
    assert outcome.status is Status.OK, outcome.message
    examined = executor.submit(Job(number, text, 3, ("val", "test"), "examine", task.best_state(outcome))).result()
    assert examined.status is Status.OK, examined.message
    return outcome, examined


@pytest.fixture(scope="module")
def task(shared):
    return Folder(str(shared))


@pytest.fixture(scope="module")
def accounts(task):
    return trained(task)


def test_it_is_told_by_its_file_and_named_by_its_folder(shared, tmp_path, task):
    assert Folder.fits(shared) and not Folder.fits(tmp_path)
    assert task.name == "three-heaps" and task.describe().title == "Three heaps"


def test_a_search_from_python_by_the_path_of_the_folder(shared, tmp_path):
    import nasmith
    from nasmith.lms.scripted import Scripted

    replies = [SMALL.partition("\n")[2].replace("8", str(width)) for width in (4, 6, 12)]
    result = nasmith.search(
        str(shared), Scripted(replies), executor=Inline(), storage=tmp_path / "runs.sqlite3", strategy="random",
        budget=nasmith.Budget(evaluations=3), verify=nasmith.Verification(best=1, front=0, seeds=1),
    )  # fmt: skip
    assert result.best() is not None
    (verified,) = result.verified(result.best())
    assert verified["test_error"] < 0.4 and verified["params"] in {8 * width + 3 for width in (4, 6, 12)}


def test_metrics_are_those_of_the_problem_and_of_the_machine(task, accounts):
    metrics = task.score(*accounts, "verify")
    assert {"val_error", "val_loss", "val_f1", "test_error", "test_loss", "test_f1", "params", "flops"} <= set(metrics)
    assert metrics["params"] == 4 * 8 + 8 + 8 * 3 + 3 and metrics["flops"] == 2 * (4 * 8 + 8 * 3)
    assert metrics["val_error"] < 0.4
    assert task.fitness(metrics) == pytest.approx(-metrics["params"] * metrics["val_error"])
    assert not any(name.startswith("test_") for name in task.score(*accounts, "search"))


def test_the_best_point_is_chosen_by_the_first_objective(tmp_path):
    yaml = YAML.replace("- error: minimize", "- f1: maximize").replace("objectives:", "selection: weighted\nobjectives:")
    task = Folder(str(write_folder(tmp_path / "t", yaml=yaml)))
    outcome, examined = trained(task)
    targets = task.splits.val[1]
    points = [task.splits and np.mean(row.argmax(1) != targets) for row in outcome.arrays["outputs/val"]]
    best = int(task.score(outcome, examined, "verify")["best_point"])
    assert len(points) == 4 and points[best] <= min(points) + 0.05


def test_bounds_reject_before_training_and_after(tmp_path):
    yaml = YAML + "bounds: {params: {at_most: 100}, error: {at_most: 0.5}}\n"
    task = Folder(str(write_folder(tmp_path / "t", yaml=yaml, small=SMALL)))
    assert [(bound.name, bound.at_most) for bound in task.bounds] == [("params", 100), ("val_error", 0.5)]
    executor = Inline()
    executor.start(task.workload(), task.data)
    refused = executor.submit(Job(1, LARGE, 0)).result()
    assert refused.status is Status.INVALID and "at most 100 are allowed" in refused.message


def test_latency_and_memory_are_measured_where_they_are_asked_for(tmp_path):
    yaml = YAML.replace("- params: minimize", "- latency_ms: minimize\n  - peak_memory_mb: minimize")
    task = Folder(str(write_folder(tmp_path / "t", yaml=yaml)))
    metrics = task.score(*trained(task), "search")
    assert 0 < metrics["latency_ms"] < 100 and metrics["latency_noise_ms"] >= 0
    weights, activations = 4 * (4 * 8 + 8 + 8 * 3 + 3), 4 * (4 + 8 + 8)
    assert weights + activations <= 1e6 * metrics["peak_memory_mb"] <= weights + activations + 4 * 8


def test_a_clock_that_runs_slow_is_not_believed(task, accounts):
    outcome, examined = accounts
    slow = Outcome(Status.OK, examined.arrays, {**examined.facts, "clock_seconds": 1.0}, 30.0)
    with pytest.raises(ValueError, match=r"1\.0 s passed by the clock that timed the model, and 30\.0 s by another"):
        task.score(outcome, slow, "search")


def test_outputs_that_its_state_does_not_give_are_not_believed(task, accounts):
    outcome, examined = accounts
    lies = {name: array + 1.0 if name == "outputs/val" else array for name, array in outcome.arrays.items()}
    with pytest.raises(ValueError, match="gives other outputs for 100% of the validation inputs"):
        task.score(Outcome(Status.OK, lies, outcome.facts), examined, "search")


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"outputs/val": None}, "the worker returned no outputs/val"),
        ({"outputs/val": np.zeros((1, 60, 3))}, "has type float64"),
        ({"outputs/val": np.zeros((1, 59, 3), np.float32)}, r"\(1, 59, 3\), not float32 and \(points, 60, 3\)"),
        ({"outputs/val": np.full((1, 60, 3), np.nan, np.float32)}, "are not all finite"),
    ],
)
def test_what_a_worker_must_not_return_is_refused(task, accounts, arrays, reason):
    outcome, examined = accounts
    with pytest.raises(ValueError, match=reason):
        task.score(Outcome(Status.OK, {**outcome.arrays, **arrays}, outcome.facts), examined, "search")


def test_a_metric_of_ones_own_and_its_direction(tmp_path):
    score = "\n\ndef score(outputs, targets):\n    return {'right': (outputs.argmax(1) == targets).mean()}\n"
    yaml = YAML.replace("- error: minimize", "- right: maximize").replace("title:", "selection: weighted\ntitle:")
    task = Folder(str(write_folder(tmp_path / "t", yaml=yaml, task=TASK + score)))
    task.check()
    metrics = task.score(*trained(task), "verify")
    assert metrics["val_right"] > 0.6 and "test_right" in metrics and "val_error" not in metrics


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("'0.9'", r"task\.py:\d+: score\(\) must return a dictionary of numbers by name.*it returned a value of type str"),
        ("None", r"task\.py:\d+: score\(\) must return a dictionary.*it returned nothing"),
        ("{'right': '0.9'}", r"task\.py:\d+: score\(\) must return numbers.*'right' is '0\.9'"),
        ("{'right': None}", r"task\.py:\d+: score\(\) must return numbers.*'right' is None"),
        ("{'wrong': 0.1}", r"task\.py:\d+: nobody returns 'right'. Known here: flops, latency_ms, .*wrong"),
    ],
)
def test_a_metric_that_is_none_is_told_with_file_and_line(tmp_path, returned, reason):
    yaml = YAML.replace("- error: minimize", "- right: maximize").replace("title:", "selection: weighted\ntitle:")
    score = f"\n\ndef score(outputs, targets):\n    return {returned}\n"
    task = Folder(str(write_folder(tmp_path / "t", yaml=yaml, task=TASK + score)))
    with pytest.raises(ConfigError, match=reason):
        trained(task)


def test_a_metric_that_is_nan_makes_a_candidate_invalid_and_stops_nothing(tmp_path):
    score = "\n\ndef score(outputs, targets):\n    return {'error': float('nan')}\n"
    task = Folder(str(write_folder(tmp_path / "t", task=TASK + score)))
    with pytest.raises(ValueError, match="the metric error is nan"):
        trained(task)


def test_an_objective_that_nobody_returns_is_told_before_anything_runs(tmp_path):
    task = Folder(str(write_folder(tmp_path / "t", yaml=YAML.replace("- error", "- accuracy"))))
    with pytest.raises(ConfigError, match=r"task\.yaml:3: nobody returns 'accuracy'. Known here: error, f1.*define score"):
        task.check()


def test_a_way_of_training_of_ones_own(tmp_path):
    fit = """

def fit(model, train, budget):
    import torch
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(budget.steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(train["x"]), train["y"]).backward()
        optimizer.step()
"""
    task = Folder(str(write_folder(tmp_path / "t", task=TASK + fit)))
    outcome, examined = trained(task)
    assert outcome.arrays["outputs/val"].shape == (1, 60, 3)
    assert task.score(outcome, examined, "search")["val_error"] < 0.4


def test_marks_decide_what_may_change_unless_all_may(tmp_path):
    marked = SMALL.replace("        nn.ReLU(),\n", "        # nasmith: begin\n        nn.ReLU(),\n        # nasmith: end\n")
    folder = write_folder(tmp_path / "t", small=marked)
    assert len(Folder(str(folder)).describe().fixed) == 2
    (folder / "task.yaml").write_text(YAML + "change: all\n")
    assert Folder(str(folder)).describe().fixed == ()
    (folder / "task.yaml").write_text(YAML)
    (folder / "seeds" / "other.py").write_text(SMALL)
    with pytest.raises(SeedError, match="'other' and 'small' differ in what may not change"):
        Folder(str(folder)).check()


def test_a_folder_without_seeds_says_so(tmp_path):
    folder = write_folder(tmp_path / "t")
    for path in (folder / "seeds").iterdir():
        path.unlink()
    with pytest.raises(SeedError, match=r"seeds holds no seed program. Put your model there"):
        Folder(str(folder)).check()


def test_rungs_divide_steps_and_where_asked_data(tmp_path):
    folder = write_folder(tmp_path / "t", yaml=YAML + "rungs: {count: 3, factor: 2}\n")
    assert Folder(str(folder)).rungs == (10, 20, 40)
    (folder / "task.yaml").write_text(YAML + "rungs: {count: 3, factor: 2, of: data}\n")
    assert [rung.share for rung in Folder(str(folder)).workload().plan.rungs] == [0.25, 0.5, 1.0]
    with pytest.raises(ConfigError, match=r"task\.yaml:\d+: 3 rungs with factor 2 do not fit into 2 steps"):
        assert Folder(str(folder), steps=2).rungs


def test_a_training_that_is_not_over_is_judged_by_its_own_account(tmp_path):
    task = Folder(str(write_folder(tmp_path / "t", yaml=YAML + "rungs: {count: 3, factor: 2}\n")))
    executor = Inline()
    executor.start(task.workload(), task.data)
    outcome = executor.submit(Job(1, SMALL, 3, rung=0)).result()
    metrics = task.provisional(outcome)
    assert outcome.facts["steps"] == 10 and set(metrics) == {"val_error", "val_loss", "val_f1", "params", "flops"}


def test_changed_files_are_noticed(tmp_path):
    folder = write_folder(tmp_path / "t")
    before = Folder(str(folder)).fingerprint()
    assert Folder(str(folder)).fingerprint() == before
    (folder / "task.yaml").write_text(YAML + "notes: more\n")
    assert Folder(str(folder)).fingerprint() != before


def test_settings_are_defaults_of_a_run(tmp_path):
    from nasmith.config import resolve

    folder = write_folder(tmp_path / "t", yaml=YAML + "selection: pareto\nsearch: {budget: {evaluations: 9}}\n")
    config = resolve(task=str(folder), lm="smollm2", flags={"executor.workers": 2, "budget.minutes": 1})
    assert config.task.name == "folder" and config.task.options == {"path": str(folder)}
    assert config.strategy.options == {"error_threshold": 1.0, "selection": "pareto"}
    assert config.executor.options == {"timeout_seconds": 60, "memory_mb": 2048, "output_mb": 256, "workers": 2, "threads": 1}
    assert (config.budget.evaluations, config.budget.minutes) == (9, 1)
