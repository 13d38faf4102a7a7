from rich.console import Console

from nasmith.analysis import Verified
from nasmith.cli.designs_table import designs_table
from nasmith.testing import TOY_SPACE, ToySpaceTask
from nasmith.types import Candidate, Evaluation, Status


def verified(number, text, **metrics):
    evaluation = Evaluation(number, Status.OK, metrics)
    return Verified(Candidate(number, text), None, (evaluation,), (), metrics, {}, metrics["accuracy"], 0.0, False)


def test_designs_stand_with_what_the_search_was_not_shown_in_80_columns():
    later = {"regret": 0.0, "params": 2.5e7, "flops": 3.0}
    winners = [
        verified(number, text, accuracy=seen, test_accuracy=seen - 1, rank=float(rank), **later)
        for number, text, seen, rank in ((12, "2222", 92.0, 1), (3, "0120", 71.5, 1234))
    ]
    console = Console(width=80, record=True, force_terminal=False)
    console.print(designs_table(winners, ToySpaceTask(), TOY_SPACE))
    lines = console.export_text().splitlines()
    assert lines[0].startswith("Best designs; the search saw accuracy alone")
    assert any(line.split() == ["12", "2222", "92.000", "91.000", "1", "0.000", "25", "M", "3"] for line in lines)
    assert any("1,234" in line for line in lines) and max(map(len, lines)) <= 80


def test_a_long_design_stands_behind_its_numbers_in_80_columns():
    from nasmith.tasks.imagenet.mobile_space import mobile

    text = "[" + ", ".join(["4"] * 30) + "]"
    evaluation = Evaluation(1, Status.OK, weights="weights/1-0.safetensors")
    metrics = {"accuracy": 71.2, "test_accuracy": 70.1, "params": 6.9e6, "flops": 329e6}
    winner = Verified(Candidate(1, text), None, (evaluation,), (), metrics, {}, 71.2, 0.0, False)
    console = Console(width=80, record=True, force_terminal=False)
    console.print(designs_table([winner], ToySpaceTask(), mobile()))
    lines = console.export_text().splitlines()
    assert lines[0].startswith("Best designs; trained again when the search was over")
    row = next(line for line in lines if line.startswith("1 "))
    assert row.split()[1:7] == ["71.200", "70.100", "6.9", "M", "329", "M"] and "[4, 4," in row
    assert max(map(len, lines)) <= 80 and sum(line.count("4") for line in lines) >= 30
