import pytest

from nasmith.errors import ConfigError
from nasmith.tasks.foreign.openevolve_config import read_config


def test_without_the_file_defaults_hold(tmp_path):
    config = read_config(tmp_path)
    assert config.timeout_seconds == 300 and tuple(config.thresholds) == (0.5, 0.75, 0.9)


def test_what_is_used_is_read(tmp_path):
    (tmp_path / "config.yaml").write_text("evaluator: {timeout: 7, cascade_thresholds: [0.1]}\nmax_iterations: 9\n")
    config = read_config(tmp_path)
    assert config.timeout_seconds == 7 and tuple(config.thresholds) == (0.1,) and config.iterations == 9


@pytest.mark.parametrize("text", ["evaluator: {timeout: soon}\n", "max_iterations: many\n"])
def test_a_value_of_another_kind_is_told_with_its_line(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml:1"):
        read_config(tmp_path)
