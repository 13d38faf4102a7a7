from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app

runner = CliRunner()


@pytest.mark.parametrize(
    ("command", "name", "option"),
    [
        ("tasks", "mnist1d", "steps"),
        ("lms", "scripted", "file"),
        ("strategies", "evoprompting", "rounds"),
        ("executors", "processes", "workers"),
    ],
)
def test_components_are_listed_with_a_line_each_and_their_options(command: str, name: str, option: str) -> None:
    shown = runner.invoke(app, [command])
    assert shown.exit_code == 0 and name in shown.output and option in shown.output
    listed = json.loads(runner.invoke(app, [command, "--json"]).output)
    entry = next(item for item in listed if item["name"] == name)
    assert entry["summary"].endswith(".")
    described = next(item for item in entry["options"] if item["name"] == option)
    assert described["help"] and "default" in described


def test_one_component_alone_can_be_listed() -> None:
    listed = json.loads(runner.invoke(app, ["strategies", "few-shot", "--json"]).output)
    assert [entry["name"] for entry in listed] == ["few-shot"]


def test_a_longer_name_shows_the_options_of_what_it_means() -> None:
    (entry,) = json.loads(runner.invoke(app, ["lms", "openai/gpt-5-mini", "--json"]).output)
    assert entry["name"] == "openai-compatible" and "timeout_seconds" in {option["name"] for option in entry["options"]}


def test_defaults_keep_their_type() -> None:
    (entry,) = json.loads(runner.invoke(app, ["tasks", "mnist1d", "--json"]).output)
    defaults = {option["name"]: option["default"] for option in entry["options"]}
    assert defaults["steps"] == 8000 and defaults["learning_rate"] == 0.01 and defaults["early_stopping"] is False


def test_an_unknown_component_names_the_nearest() -> None:
    result = runner.invoke(app, ["strategies", "evoprompt"])
    assert result.exit_code == 2 and "Did you mean 'evoprompting'?" in result.stderr


def test_options_that_several_have_are_listed_once_and_explained_where_they_are_inherited() -> None:
    shown = runner.invoke(app, ["tasks"]).output
    assert shown.count("flops_max") == 1 and "options as those of channelbench-mobilenet" in shown
    (entry,) = json.loads(runner.invoke(app, ["tasks", "nasbench201-cifar10", "--json"]).output)
    assert all(option["help"] for option in entry["options"])
