import pytest

from nasmith.errors import ConfigError
from nasmith.tasks.folder.settings import read_settings

WHOLE = """\
title: Digits
objectives:
  - error: minimize
  - {name: params, direction: minimize, weight: 0.5, tolerance: 10}
bounds:
  params: {at_most: 200000}
selection: lexicographic
training: {steps: 200, batch_size: 32}
rungs: {count: 2, factor: 4, of: data}
limits: {timeout_seconds: 30, workers: 1}
notes: Small is beautiful.
change: all
hide: [sklearn]
import_from: [..]
search: {strategy: random}
"""


def read(tmp_path, text):
    (tmp_path / "task.yaml").write_text(text)
    return read_settings(tmp_path)[0]


def test_all_that_it_may_hold_is_read(tmp_path):
    settings = read(tmp_path, WHOLE)
    assert [(aim.name, aim.direction, aim.weight, aim.tolerance) for aim in settings.objectives] == [
        ("error", "minimize", 1.0, 0.0),
        ("params", "minimize", 0.5, 10.0),
    ]
    assert settings.bounds["params"].at_most == 200_000 and settings.training.steps == 200
    assert settings.rungs.factor == 4 and settings.limits.workers == 1 and settings.search == {"strategy": "random"}
    assert settings.measures() == {"params"}


def test_objectives_are_enough(tmp_path):
    settings = read(tmp_path, "objectives:\n  - error: minimize\n  - latency_ms: minimize\n")
    assert settings.selection == "product" and settings.rungs is None and settings.measures() == {"latency_ms"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"task\.yaml: objectives are missing.*- error: minimize"),
        ("objectives: []\n", r"task\.yaml:1: objectives"),
        ("objectives:\n  - error: minimise\n", r"task\.yaml:2: an objective is a name and a direc.*'minimise'"),
        ("objectives:\n  - error\n", r"task\.yaml:2: an objective is a name and a direction"),
        ("objectives: [{error: minimize}]\nobjectivs: 1\n", r"task\.yaml:2: unknown key 'objectivs'. Did you mean 'objec"),
        (
            "objectives: [{error: minimize}]\ntraining:\n  stesp: 3\n",
            r"task\.yaml:3: unknown key 'training\.stesp'. Did you mean 'training\.steps'",
        ),
        (
            "objectives: [{error: minimize}]\nbounds:\n  params: {at_mots: 3}\n",
            r"task\.yaml:3: unknown key 'bounds\.params\.at_mots'. Did you mean 'bounds\.params\.at_most'",
        ),
        ("objectives: [{error: minimize}]\ntraining: {steps: 0}\n", r"task\.yaml:2: training\.steps: .*greater than.*got 0"),
        ("objectives: [{error: minimize}]\ntraining: {steps: many}\n", r"task\.yaml:2: training\.steps: .*integer.*got 'many'"),
        ("objectives:\n  - error: minimize\n  - error: maximize\n", r"task\.yaml:3: objective 'error' is named twice"),
        ("objectives: [{error: minimize}]\nbounds:\n  params: {}\n", r"task\.yaml:3: a bound needs at_most or at_least"),
        (
            "objectives: [{error: minimize}]\nbounds:\n  params: {at_most: 1, at_least: 2}\n",
            r"task\.yaml:3: at_least \(2\) lies above at_most \(1\)",
        ),
        ("objectives: [{error: minimize}]\nselection: best\n", r"task\.yaml:2: selection: .*'product', 'weighted'.*got 'best'"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_would_be_right(tmp_path, text, reason):
    with pytest.raises(ConfigError, match=f"(?s){reason}"):
        read(tmp_path, text)


def test_a_folder_without_the_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no task\.yaml.*nasmith init"):
        read_settings(tmp_path)
