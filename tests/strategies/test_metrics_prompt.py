import pytest

from nasmith.strategies.metrics_prompt import MetricsPrompt
from nasmith.types import Objective


def test_target_is_90_percent_of_the_smallest_size_and_102_percent_of_the_best_accuracy():
    target = MetricsPrompt().target([{"params": 5210, "val_error": 0.135}, {"params": 91082, "val_error": 0.1}])
    assert target == {"num_params": "4700", "val_accuracy": "0.918"}


def test_facts_are_strings_as_in_the_papers_prompts():
    assert MetricsPrompt().facts({"params": 4800, "val_error": 0.135}) == {"num_params": "4800", "val_accuracy": "0.865"}


@pytest.mark.parametrize("error", [0.0, 0.01, 0.02])
def test_target_accuracy_stays_below_one(error):
    assert float(MetricsPrompt().target([{"params": 1000, "val_error": error}])["val_accuracy"]) < 1


def test_target_size_is_never_zero():
    assert MetricsPrompt().target([{"params": 20, "val_error": 0.3}])["num_params"] == "100"


SCORE = Objective("combined_score", "maximize")
LATENCY = Objective("latency_ms", "minimize", "ms", log=True)


def test_other_objectives_have_their_own_names_and_targets():
    prompt = MetricsPrompt().about((SCORE, LATENCY, Objective("val_rmse", "minimize")))
    metrics = {"combined_score": -2.0, "latency_ms": 12345.678, "val_rmse": 0.123456}
    assert prompt.facts(metrics) == {"combined_score": "-2", "latency_ms": "12346", "rmse": "0.1235"}
    other = {"combined_score": 1.0, "latency_ms": 10.0, "val_rmse": 0.2}
    assert prompt.target([metrics, other]) == {"combined_score": "1.02", "latency_ms": "9", "rmse": "0.1173"}


def target(objective, *values, **options):
    prompt = MetricsPrompt(**options).about((objective,))
    return prompt.target([{objective.name: value} for value in values])[objective.name.removeprefix("val_")]


@pytest.mark.parametrize(
    ("objective", "values", "wanted"),
    [
        (SCORE, (0.5, 0.25), "0.51"),
        (SCORE, (-2.0,), "-1.96"),
        (SCORE, (0.0,), "0.02"),
        (SCORE, (0.99,), "0.995"),  # not above 1
        (SCORE, (57.3,), "58.45"),
        (Objective("params", "minimize", log=True), (123, 456), "110"),
        (Objective("params", "minimize", log=True), (1,), "1"),
        (Objective("flops", "minimize", log=True), (2_000_000_000.0,), "1800000000"),
        (LATENCY, (0.123456,), "0.1111"),
        (Objective("val_loss", "minimize"), (-3.0,), "-3.15"),
        (Objective("val_error", "minimize"), (0.2, 0.3), "0.184"),  # an accuracy of 0.816
        (Objective("val_error", "minimize"), (0.0001,), "9.5e-05"),
        (Objective("val_error", "minimize"), (1.5,), "1.49"),
    ],
)
def test_a_target_is_better_than_the_best_parent(objective, values, wanted):
    assert target(objective, *values) == wanted


@pytest.mark.parametrize("error", [1.5, 40.0])
def test_a_regression_worse_than_the_mean_is_asked_to_be_less_so(error):
    assert float(MetricsPrompt().target([{"params": 500, "val_error": error}])["val_accuracy"]) > 1 - error


def test_nothing_is_said_of_what_a_parent_lacks():
    prompt = MetricsPrompt().about((SCORE, LATENCY))
    whole, part = {"combined_score": 1.0, "latency_ms": 2.0}, {"latency_ms": 1.0}
    assert prompt.facts(part) == {"latency_ms": "1"}
    assert prompt.target([whole, part]) == {"combined_score": "1.02", "latency_ms": "0.9"}
    assert prompt.target([{}]) == prompt.facts({}) == MetricsPrompt().facts({"params": 3}) == {}


def test_the_papers_objectives_keep_the_papers_words_whatever_is_beside_them():
    papers = (Objective("val_error", "minimize"), Objective("params", "minimize"))
    metrics = {"params": 4800, "val_error": 0.135, "latency_ms": 2.0}
    assert MetricsPrompt().about(papers).facts(metrics) == MetricsPrompt().facts(metrics)
    assert MetricsPrompt().about((*papers, LATENCY)).facts(metrics) == {
        "num_params": "4800", "val_accuracy": "0.865", "latency_ms": "2",
    }  # fmt: skip
