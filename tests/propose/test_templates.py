from __future__ import annotations

import pytest
from briefs import CNN, DESCRIPTION, framed

from framed import FRAMED
from nasmith.errors import ConfigError
from nasmith.propose import Templates
from nasmith.propose.templates import VARIABLES
from nasmith.source import definitions
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.testing import ToyTask
from nasmith.types import Description


def folder_with(tmp_path, **texts):
    for name, text in texts.items():
        (tmp_path / f"{name}.jinja").write_text(text, encoding="utf-8")
    return Templates(tmp_path)


def test_nasmiths_own_templates_are_in_order():
    Templates().check(DESCRIPTION)
    Templates().check(Description("bare", "def f():"))
    Templates().check(Description("of no entry", ""))


@pytest.mark.parametrize("name", FRAMED)
def test_nasmiths_own_templates_are_in_order_where_parts_are_fixed(tmp_path, name):
    description, _ = framed(name)
    Templates().check(description)
    templates = folder_with(tmp_path, draft="{{ marks | length }}\n{{ outline }}")
    text = templates.render("draft", description, target={})
    assert text.startswith("4" if name == "two" else "2") and "...\n" in text
    assert templates.render("draft", DESCRIPTION, target={}) == "0\n"


@pytest.mark.parametrize("name", VARIABLES)
def test_a_users_file_stands_in_for_one_of_ours(tmp_path, name):
    templates = folder_with(tmp_path, **{name: "{{ title }} of mine\n"})
    templates.check(DESCRIPTION)
    assert templates.render(name, DESCRIPTION) == "toy of mine\n"
    metrics = {"a": "1"}
    other = "target" if name == "draft" else "draft"
    assert templates.render(other, DESCRIPTION, target=metrics) == Templates().render(other, DESCRIPTION, target=metrics)


def test_values_are_text_and_never_templates():
    text = Templates().render("example", DESCRIPTION, metrics={"a": "{{ 7 * 7 }}"}, program="{% if x %} <b> & '")
    assert text == '"""Metrics:\n{\'a\': \'{{ 7 * 7 }}\'}\n"""\n{% if x %} <b> & \'\n'


def test_a_template_has_filters_for_blocks_and_metrics(tmp_path):
    templates = folder_with(tmp_path, edit='{{ program | fenced("python") }}\n{{ metrics | listed }}')
    text = templates.render("edit", DESCRIPTION, program=CNN, metrics={"a": "1", "b": "2"})
    assert text == f"```python\n{CNN}```\na = 1, b = 2"


def test_a_template_can_include_another(tmp_path):
    templates = folder_with(tmp_path, draft='{% include "target.jinja" %}Go.', target="{{ target.num_params }}!\n")
    templates.check(DESCRIPTION)
    assert templates.render("draft", DESCRIPTION, target={"num_params": "7"}) == "7!\nGo."


def test_files_of_the_system_are_overlooked(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"\xff\x00")
    Templates(tmp_path).check(DESCRIPTION)
    Templates(str(tmp_path)).check(DESCRIPTION)


def test_making_templates_reads_nothing(tmp_path):
    templates = Templates(tmp_path / "later")
    (tmp_path / "later").mkdir()
    templates.check(DESCRIPTION)


@pytest.mark.parametrize("folder", ["", 3, ["a"]])
def test_what_is_no_path_is_refused(folder):
    with pytest.raises(ConfigError, match="prompts must be the path of a folder"):
        Templates(folder)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"prompts: .*gone cannot be read: No such file"):
        Templates(tmp_path / "gone").check(DESCRIPTION)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"prompts: .*file cannot be read: Not a directory"):
        Templates(tmp_path / "file").check(DESCRIPTION)


@pytest.mark.parametrize("name", ["crossovr.jinja", "edit.jinja~", "README.md", "edit"])
def test_a_file_that_is_no_prompt_is_refused(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match=rf"{name}: no prompt has this name. Valid: crossover.jinja, design_feedback.jinja"):
        Templates(tmp_path).check(DESCRIPTION)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "draft.jinja").write_bytes(b"caf\xe9")
    with pytest.raises(ConfigError, match=r"draft\.jinja is not UTF-8: .* at byte 3"):
        Templates(tmp_path).check(DESCRIPTION)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a\n{% for x in %}", 2, "Expected an expression"),
        ("a\n\n{{ target", 3, "unexpected end of template"),
        ("{% if target %}\n{{ taget }}\n{% endif %}", 2, "there is no variable 'taget'"),
        ("{% if false %}\n{{ program }}\n{% endif %}", 2, "there is no variable 'program'"),
        ("\n{{ target.num_parms }}", 2, "has no attribute 'num_parms'"),
        ("\n{{ target | lsted }}", 2, "No filter named 'lsted'"),
        ("\n\n{{ 1 / 0 }}", 3, "division by zero"),
        ("\n{{ target + 1 }}", 2, "unsupported operand"),
        ('\n{% include "edti.jinja" %}', 2, "edti.jinja"),
        ("\n{{ target.__class__.__mro__ }}", 2, "unsafe"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_with_file_and_line(tmp_path, text, line, reason):
    with pytest.raises(ConfigError) as caught:
        folder_with(tmp_path, draft=text).check(DESCRIPTION)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'draft.jinja'}, line {line}: ")
    assert reason in message
    assert message.endswith("Variables of this prompt: target, title, statement, entry, first_line, preamble, outline, marks.")


def test_metrics_of_other_names_can_be_checked(tmp_path):
    templates = folder_with(tmp_path, draft="{{ target.flops }}")
    with pytest.raises(ConfigError, match="flops"):
        templates.check(DESCRIPTION)
    templates.check(DESCRIPTION, metrics=["flops"])


def test_a_value_that_fails_later_is_the_users_mistake_too(tmp_path):
    templates = folder_with(tmp_path, fix="{{ 1 / (error | length) }}")
    templates.check(DESCRIPTION)
    with pytest.raises(ConfigError, match=r"fix\.jinja, line 1: division by zero"):
        templates.render("fix", DESCRIPTION, error="")


def test_the_tasks_that_come_with_nasmith_state_what_counts():
    system = Templates().render("system", Mnist1d(max_params=12_345, steps=777).describe())
    said = "(batch, 40)", "(batch, 10)", "Lazy layers", "12,345 parameters", "lower is better", "777 steps"
    for part in said:
        assert part in system
    assert "lower is better" in Templates().render("system", ToyTask().describe())


def test_every_helper_of_the_preamble_is_explained():
    description = Mnist1d().describe()
    assert all(f"`{name}(" in description.statement for name in definitions(description.preamble))
