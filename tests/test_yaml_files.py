import pytest

from nasmith.errors import ConfigError
from nasmith.yaml_files import YamlFile


def test_remembers_the_line_of_every_key_and_item(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("one: 1\nsome:\n  - first: {deep: 2}\n  - second\n")
    file = YamlFile.read(path)
    assert file.values == {"one": 1, "some": [{"first": {"deep": 2}}, "second"]}
    assert {key: file.lines[key] for key in ("one", "some", "some.0.first.deep", "some.1")} == {
        "one": 1, "some": 2, "some.0.first.deep": 3, "some.1": 4,
    }  # fmt: skip
    assert file.at("some.0.first.missing") == f"{path}:3: "
    assert file.at("nothing") == ""


def test_an_empty_file_is_an_empty_mapping(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("")
    assert YamlFile.read(path).values == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [1\n", r"a\.yaml:2: not valid YAML"),
        (b"- 1\n", r"a\.yaml:1: a task is a mapping of keys to values, got list"),
        (b"a: \xff\n", r"a\.yaml is not UTF-8.*Save it as UTF-8"),
    ],
)
def test_what_is_no_mapping_is_refused_with_its_line(tmp_path, content, reason):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        YamlFile.read(path, "task")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.yaml: No such file"):
        YamlFile.read(tmp_path / "none.yaml")
