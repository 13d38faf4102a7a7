from __future__ import annotations

import io

import pytest
from rich.console import Console

from nasmith.cli.compare_table import print_comparison
from nasmith.comparison import Comparison, standings

LABELS = ("random", "regularized-evolution", "a strategy with a name that is far too long for a table")


def shown(width: int, checkpoints: tuple[int, ...] = (10, 30, 100, 300, 1000), optimum: float | None = 94.4) -> str:
    curves = {
        label: {seed: tuple(90 + place + 0.1 * seed + count / 1000 for count in range(1000)) for seed in range(3)}
        for place, label in enumerate(LABELS)
    }
    made = Comparison(
        "compare-toy", {"name": "toy"}, "Toy", "test_accuracy", "%", 1000, (0, 1, 2), checkpoints, "random", curves,
        standings(curves, checkpoints, "random", optimum), optimum, notes=("Something to know.",),
    )  # fmt: skip
    screen = Console(file=io.StringIO(), width=width, color_system=None)
    print_comparison(screen, made)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_it_fits_the_screen_and_loses_no_number(width: int) -> None:
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    for place, checkpoint in enumerate(("10", "30", "100", "300", "1,000")):
        assert any(checkpoint in line.split() for line in text.splitlines()), checkpoint
        count = (10, 30, 100, 300, 1000)[place]
        assert f"{90.1 + (count - 1) / 1000:.2f} ± 0.10" in text
    assert "…" in text and "regularized-evolution" in text and "Something to know." in text
    assert "optimum 94.40" in text and "mean regret" in text and "better/equal/worse" in text


def test_what_does_not_fit_stands_below_with_the_names_again() -> None:
    assert shown(80).count("regularized-evolution") > shown(200).count("regularized-evolution") == 2


def test_without_an_optimum_nothing_is_said_of_regret() -> None:
    text = shown(80, optimum=None)
    assert "regret" not in text and "mean value" in text
