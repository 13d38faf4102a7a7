from nasmith.analysis import Verified
from nasmith.report.design_rows import design_rows
from nasmith.testing import TOY_SPACE, ToySpaceTask
from nasmith.types import Candidate, Evaluation, Status


def verified(number, text, metrics, *, failed=False):
    evaluations = () if failed else (Evaluation(number, Status.OK, metrics),)
    return Verified(Candidate(number, text), None, evaluations, (), metrics, {}, metrics.get("accuracy", 0.0), 0.0, False)


def test_a_row_has_what_was_seen_first_and_what_was_looked_up():
    metrics = {"accuracy": 92.0, "params": 2.5e7, "test_accuracy": 91.0, "rank": 1234.0, "percentile": 90.0}
    failed = verified(2, "", {}, failed=True)
    headings, rows = design_rows([verified(1, "2210", metrics), failed], ToySpaceTask(), TOY_SPACE)
    assert headings == ["design", "accuracy", "test accuracy", "rank", "params"]
    assert rows == [["2210", "92.000", "91.000", "1,234", "25 M"]]


def test_a_long_encoding_gives_way_to_the_list():
    from nasmith.tasks.tabular.spaces import nasbench201

    text = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    _, ((design, _),) = design_rows([verified(1, text, {"accuracy": 1.0})], ToySpaceTask(), nasbench201(10, 32))
    assert design == "[0, 0, 0, 0, 0, 1]"
