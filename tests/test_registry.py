import inspect

import pytest

from nasmith import registry
from nasmith.errors import ConfigError, UnknownNameError, UsageError
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyTask


def test_the_built_in_components_are_found_by_entry_point():
    assert "mnist1d" in registry.names("tasks")
    assert {"evoprompting", "few-shot"} <= set(registry.names("strategies"))


def test_an_unknown_name_lists_the_valid_ones_and_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'evopromting'. Did you mean 'evoprompting'\?.*few-shot"):
        registry.load("strategies", "evopromting")


def test_a_component_can_be_named_by_module_and_class():
    assert isinstance(registry.create("tasks", "nasmith.testing:ToyTask", {"delay_seconds": 1}), ToyTask)
    with pytest.raises(UsageError, match=r"cannot load task 'nasmith.testing:Nothing'"):
        registry.load("tasks", "nasmith.testing:Nothing")


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown option of strategy 'evoprompting' 'round'. Did you mean 'rounds'"):
        registry.create("strategies", "evoprompting", {"round": 3})


def test_an_option_of_the_wrong_type_is_refused_with_what_came():
    with pytest.raises(ConfigError, match=r"option 'rounds' of strategy 'evoprompting'.*got 'two'"):
        registry.create("strategies", "evoprompting", {"rounds": "two"})


def test_describe_and_create_are_inverse():
    made = EvoPrompting(rounds=3, temperatures=(0.1, 0.2), operators={"infill": 1.0})
    described = registry.describe("strategies", made)
    assert described["name"] == "evoprompting"
    again = registry.create("strategies", described["name"], described["options"])
    assert registry.describe("strategies", again) == described


def test_options_show_defaults():
    assert registry.options("strategies", "evoprompting")["rounds"][1] == 10
    assert registry.options("strategies", "evoprompting")["operators"][1] is None
    assert inspect.Parameter.empty not in [default for _, default in registry.options("strategies", "few-shot").values()]


def test_a_longer_name_holds_the_option_that_the_class_says():
    assert registry.expand("lms", "scripted:replies.json") == ("scripted", {"file": "replies.json"})
    assert registry.expand("lms", "replay:run-1") == ("replay", {"run": "run-1"})
    assert registry.create("lms", "replay:run-1").run == "run-1"


def test_a_name_with_a_slash_is_a_model_of_a_provider():
    name = "local/my/model@http://127.0.0.1:8080/v1"
    assert registry.expand("lms", name) == ("openai-compatible", {"model": name})
    assert registry.expand("lms", "litellm/groq/llama-3") == ("litellm", {"model": "groq/llama-3"})
    assert registry.create("lms", name).model == name


@pytest.mark.parametrize("name", ["smollm2", "nasmith.testing:ToyLM", "none", "my.module:Thing"])
def test_other_names_are_left_as_they_are(name):
    assert registry.expand("lms", name) == (name, {})
    assert registry.expand("tasks", "mnist1d") == ("mnist1d", {})


def test_a_folder_is_the_task_that_it_holds(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "task.yaml").write_text("objectives: [{error: minimize}]\n")
    assert registry.expand("tasks", str(tmp_path / "mine")) == ("folder", {"path": str(tmp_path / "mine")})
    monkeypatch.chdir(tmp_path)
    assert registry.expand("tasks", "mine") == ("folder", {"path": str(tmp_path / "mine")})
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"the folder 'empty' holds no task: no task\.yaml \(nasmith init"):
        registry.expand("tasks", "empty")
    with pytest.raises(UsageError, match=r"there is no folder './none'. Make a task folder with: nasmith init ./none"):
        registry.expand("tasks", "./none")


def test_a_component_that_takes_nothing_in_its_name_says_so():
    with pytest.raises(UsageError, match="strategy 'evoprompting' takes no ':' in its name"):
        registry.expand("strategies", "evoprompting:3")


def test_language_models_can_be_options_of_one():
    made = registry.create(
        "lms", "ensemble", {"members": ["scripted:a.json", {"name": "nasmith.testing:ToyLM", "options": {"broken": 0.5}}]}
    )
    assert [member.name for member in made.members] == ["scripted", "toy"]
    described = registry.describe("lms", made)
    assert described["options"]["members"][1]["options"]["broken"] == 0.5
    assert registry.describe("lms", registry.create("lms", **{"name": "ensemble", "values": described["options"]})) == described
