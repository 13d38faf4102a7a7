import pytest

from nasmith.strategies.metrics_prompt import MetricsPrompt


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
