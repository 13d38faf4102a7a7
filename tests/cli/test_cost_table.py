from __future__ import annotations

import io
import json
from collections.abc import Sequence

from rich.console import Console

from nasmith.cli.cost_table import costs_json, print_costs
from nasmith.costs import Cost

ROWS = [
    Cost("provider/a-model-with-quite-a-long-name-2026", "crossover", "ok", 1_200, 2_400_000, 1_900_000, 480_000, 1.25, 7000.0),
    Cost("provider/a-model-with-quite-a-long-name-2026", "crossover", "refused", 3, 6_000, 0, 12, 0.0123, 9.0),
    Cost("smollm2-135m", "infill", "invalid", 40, 9_000, 0, 5_200, 0.0, 44.0),
]


def shown(rows: Sequence[Cost]) -> str:
    console = Console(file=io.StringIO(), width=80, record=True)
    print_costs(console, "otter", rows)
    return console.export_text()


def test_the_tables_fit_80_columns_and_end_with_what_a_trained_child_cost() -> None:
    text = shown(ROWS)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert max(map(len, text.splitlines())) <= 80
    assert "by operator calls tokens in cached tokens out cost time" in lines
    assert "provider/a-model-with-… 1,203 2,406,000 1,900,000 480,012 $1.26 1:56:49" in lines  # never a number
    assert "refused 3 6,000 0 12 $0.0123 0:09" in lines
    assert "smollm2-135m 40 9,000 0 5,200 $0.00 0:44" in lines
    assert "In all: 1,243 calls, 2,415,000 tokens in (1,900,000 cached), 485,212 out, $1.26, 1:57:33" in " ".join(lines)
    assert "A child that trained: 2,012 tokens in, 404 out, $0.00105, 5.9 s (1,200 did)" in lines


def test_nothing_is_said_of_dollars_or_caches_where_there_were_none() -> None:
    text = shown([*ROWS[2:], Cost("smollm2-135m", "infill", "ok", 2, 0, 0, 100, 0.0, 2.0)])
    assert "$" not in text and "cost" not in text and "cached" not in text
    assert "by outcome" in text


def test_a_table_that_would_repeat_the_total_is_left_out() -> None:
    text = shown(ROWS[:2])
    assert "by outcome" in text and "by model" not in text and "by operator" not in text


def test_a_run_in_which_nothing_trained_or_nothing_was_asked_is_shown() -> None:
    assert "No child was trained" in shown(ROWS[1:])
    assert "otter has not called its language model" in shown([])
    assert costs_json([])["per_trained_child"] is None


def test_scripts_get_all_rows_and_all_sums() -> None:
    found = json.loads(json.dumps(costs_json(ROWS)))
    assert [Cost(**row) for row in found["rows"]] == ROWS
    assert found["by_operator"][1] == {
        "operator": "infill",
        "calls": 40,
        "tokens_in": 9_000,
        "tokens_cached": 0,
        "tokens_out": 5_200,
        "cost": 0.0,
        "seconds": 44.0,
    }
    assert [row["model"] for row in found["by_model"]] == [ROWS[0].model, "smollm2-135m"]
    assert [row["outcome"] for row in found["by_outcome"]] == ["ok", "invalid", "refused"]
    assert found["total"]["calls"] == 1_243 and "model" not in found["total"]
    assert found["per_trained_child"]["children"] == 1_200
