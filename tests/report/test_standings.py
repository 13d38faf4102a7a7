from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

from nasmith.comparison import Comparison, standings
from nasmith.report.plots import styled
from nasmith.report.standings import draw_comparison, grids, measure_of, write_comparison
from nasmith.seeding import generator


def comparison(labels=("random", "clever"), seeds=6, evaluations=40, optimum=95.0, unit="%", **more):
    curves = {}
    for place, label in enumerate(labels):
        curves[label] = {}
        for seed in range(seeds):
            draw, best, run = generator(seed, label), 0.0, []
            for _ in range(evaluations):
                best = max(best, draw.uniform(80, 93) + min(place, 1))
                run.append(best)
            curves[label][seed] = tuple(run)
    points = (10, 30, evaluations) if evaluations > 30 else (evaluations,)
    made = standings(curves, points, labels[0], optimum)
    return Comparison(
        "compare-toy", {"name": "toy", "options": {}}, "Toy", "test_accuracy", unit, evaluations, tuple(range(seeds)), points,
        labels[0], curves, made, optimum, versions=("0.1.0",), **more,
    )  # fmt: skip


def test_the_values_stand_at_each_checkpoint_and_the_best_is_marked():
    values, _ = grids(comparison())
    assert values.columns == ("strategy", "10", "30", "40")
    assert [row[0] for row in values.rows] == ["random", "clever"]
    assert all(len(cell.split(" ± ")) == 2 and cell[2] == "." for row in values.rows for cell in row[1:])
    assert values.best[1:] == (frozenset({1}),) * 3 and values.best[0] == frozenset()
    assert values.title.startswith("Test accuracy (%) of the best so far")


def test_the_verdict_holds_rank_regret_and_test():
    _, verdict = grids(comparison())
    assert verdict.columns == ("strategy", "rank", "mean regret", "p (Holm)", "effect", "better/equal/worse")
    assert verdict.rows[0][3:] == ("-", "-", "-")
    assert verdict.rows[1][3:] == ("0.0312", "+1.00", "6/0/0")
    assert verdict.best[1] == verdict.best[2] == frozenset({1})


def test_without_an_optimum_or_a_second_seed_less_is_said():
    values, verdict = grids(comparison(seeds=1, optimum=None))
    assert verdict.columns == ("strategy", "rank", "mean value")
    assert "one run" in values.title and "±" not in values.rows[0][1]


def test_decimals_follow_the_spread_where_the_unit_does_not_say():
    values, _ = grids(comparison(unit=""))
    assert all("." in cell for row in values.rows for cell in row[1:])
    assert measure_of(comparison(unit="")) == "test accuracy"
    curves = {"a": {0: (-120_000.0,), 1: (-150_000.0,)}}
    big = replace(comparison(), unit="", curves=curves, standings=standings(curves, (1,), "a"), checkpoints=(1,), seeds=(0, 1))
    assert grids(big)[0].rows == (("a", "-135000 ± 21213"),)


def test_all_is_written_and_written_the_same_again(tmp_path: Path):
    made = comparison(notes=("Mind | this.",))
    first = {path.name: path.read_bytes() for path in write_comparison(made, tmp_path / "new" / "folder")}
    assert set(first) == {f"comparison.{kind}" for kind in ("json", "md", "svg", "png")}
    again = {path.name: path.read_bytes() for path in write_comparison(made, tmp_path / "new" / "folder")}
    assert again == first
    plain = json.loads(first["comparison.json"])
    assert plain["strategies"][1]["test"]["better"] == 6 and len(plain["curves"]["clever"]) == 6
    text = first["comparison.md"].decode()
    assert "| clever | **" in text and "Mind | this." in text and "Wilcoxon" in text
    assert first["comparison.png"].startswith(b"\x89PNG") and b"optimum" in first["comparison.svg"]


@pytest.mark.parametrize(("evaluations", "seeds"), [(1, 1), (2, 3), (40, 6), (1500, 2)])
def test_a_comparison_of_any_size_is_drawn(evaluations: int, seeds: int):
    before = dict(matplotlib.rcParams)
    with styled():
        figure = draw_comparison(comparison(evaluations=evaluations, seeds=seeds, optimum=None))
        figure.draw_without_rendering()
    assert dict(matplotlib.rcParams) == before
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and len(axes.get_lines()) == 2


def test_strategies_can_be_told_apart_without_colour_and_the_optimum_is_a_line():
    labels = tuple(f"strategy {number}" for number in range(7))
    with styled():
        figure = draw_comparison(comparison(labels))
    (axes,) = figure.axes
    *lines, optimum = axes.get_lines()
    looks = {(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in lines}
    assert len(lines) == 7 and len(looks) == 7 and len({line.get_marker() for line in lines}) == 7
    assert len({line.get_color() for line in lines}) == 7
    assert set(optimum.get_ydata()) == {95.0} and optimum.get_linestyle() == "--"
    low, high = axes.get_ylim()
    assert 80 < low < high < 100
