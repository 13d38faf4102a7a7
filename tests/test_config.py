import pytest

from nasmith.config import resolve
from nasmith.errors import ConfigError, UnknownNameError

TOY = {"task": "nasmith.testing:ToyTask", "lm": "nasmith.testing:ToyLM"}


def test_flags_win_over_settings_and_settings_over_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "task: nasmith.testing:ToyTask\nlm: nasmith.testing:ToyLM\nseed: 4\n"
        "strategy: {name: evoprompting, options: {rounds: 2, prompts: 3}}\n"
    )
    config = resolve(
        file=file, settings=["rounds=5", "strategy.samples=7"], flags={"strategy.samples": 8, "task.delay_seconds": None}
    )
    assert config.strategy.options == {"rounds": 5, "prompts": 3, "samples": 8}
    assert config.seed == 4


def test_settings_reach_budget_and_verification():
    config = resolve(**TOY, settings=["budget.minutes=2.5", "verify.best=0", "temperatures=[0.1, 0.2]", "tuning=false"])
    assert (config.budget.minutes, config.verify.best) == (2.5, 0)
    assert config.strategy.options == {"temperatures": [0.1, 0.2], "tuning": False}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "task: nasmith.testing:ToyTask\nstrategi: x\n",
            r"run.yaml:2: unknown configuration key 'strategi'. Did you mean 'strategy'\?",
        ),
        ("task: nasmith.testing:ToyTask\nbudget:\n  minutes: soon\n", r"run.yaml:3: budget.minutes: .*got 'soon'"),
        ("task: nasmith.testing:ToyTask\nbudget:\n  hours: 1\n", r"run.yaml:3: unknown configuration key 'budget.hours'"),
        ("task: [\n", r"run.yaml:2: not valid YAML"),
        ("- a\n", r"run.yaml:1: a configuration is a mapping"),
        (
            "task: nasmith.testing:ToyTask\nlm: nasmith.testing:ToyLM\n"
            "strategy:\n  name: evoprompting\n  options: {round: 3}\n",
            r"run.yaml:3: unknown option of strategy 'evoprompting' 'round'",
        ),
    ],
)
def test_a_broken_file_is_refused_with_line_key_and_rule(tmp_path, text, message):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        resolve(file=file)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        resolve(file=tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rounds", "KEY=VALUE"),
        ("rouns=3", "Did you mean 'rounds'"),
        ("strategy.rouns=3", "Did you mean 'rounds'"),
        ("delay_seconds=1", "ambiguous: say task.delay_seconds or lm.delay_seconds"),
    ],
)
def test_a_broken_setting_is_refused(setting, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        resolve(**TOY, settings=[setting])


def test_the_strategys_option_wins_over_the_language_models_of_the_same_name():
    assert resolve(**TOY, settings=["temperatures=[0.1]"]).strategy.options == {"temperatures": [0.1]}


def test_no_task_is_said_with_the_valid_ones():
    with pytest.raises(ConfigError, match=r"no task was named.*mnist1d"):
        resolve()


def test_several_language_models_make_an_ensemble():
    config = resolve(task="nasmith.testing:ToyTask", lm=["scripted:a.json", "nasmith.testing:ToyLM"])
    assert config.lm.name == "ensemble"
    assert [member["name"] for member in config.lm.options["members"]] == ["scripted", "nasmith.testing:ToyLM"]
    assert config.lm.options["members"][0]["options"] == {"file": "a.json"}
    assert resolve(task="nasmith.testing:ToyTask", lm=["nasmith.testing:ToyLM"]).lm.name == "nasmith.testing:ToyLM"


def test_a_longer_name_is_written_out_and_keeps_its_options(tmp_path):
    config = resolve(task="nasmith.testing:ToyTask", lm="scripted:a.json", settings=["lm.temperatures=[0.5]"])
    assert (config.lm.name, config.lm.options) == ("scripted", {"file": "a.json", "temperatures": [0.5]})
    file = tmp_path / "run.yaml"
    file.write_text("task: nasmith.testing:ToyTask\nlm: {name: 'scripted:a.json', options: {temperatures: [0.5]}}\n")
    assert resolve(file=file).lm == config.lm


def test_a_recorded_configuration_holds_where_nothing_else_is_said(tmp_path):
    base = resolve(**TOY, seed=5, settings=["rounds=3", "budget.tokens=1000"]).model_dump()
    again = resolve(lm="replay:run", base=base)
    assert (again.task.name, again.seed, again.strategy.options["rounds"]) == ("nasmith.testing:ToyTask", 5, 3)
    assert (again.lm.name, again.lm.options, again.budget.tokens) == ("replay", {"run": "run"}, 1000)
    assert resolve(lm="replay:run", base=base, seed=6).seed == 6


@pytest.mark.parametrize(
    ("setting", "message"),
    [("choice.by=luck", "choice.by"), ("choice.bye=auto", "Did you mean 'choice.by'"), ("choice.window=0", "at least 1")],
)
def test_a_broken_choice_is_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        resolve(**TOY, settings=[setting])
