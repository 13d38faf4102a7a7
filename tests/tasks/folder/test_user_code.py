import pickle

import pytest

from nasmith.errors import ConfigError, UsageError
from nasmith.tasks.folder.user_code import UserCode


def code(tmp_path, text, folders=()):
    path = tmp_path / "task.py"
    path.write_text(text)
    return UserCode(path, folders)


def test_functions_are_called_and_values_found(tmp_path):
    own = code(tmp_path, "problem = 3\n\ndef double(x):\n    return 2 * x\n")
    assert own.call("double", 4) == 8 and own.value("problem", "a number") == 3
    assert own.defines("double") and not own.defines("problem") and not own.defines("fit")
    assert own.line("double") == f"{tmp_path / 'task.py'}:3: " and own.line("nothing") == f"{tmp_path / 'task.py'}: "


def test_it_is_loaded_once(tmp_path):
    log = tmp_path / "log"
    text = f"with open({str(log)!r}, 'a') as stream:\n    stream.write('x')\n\n\ndef f():\n    return 1\n"
    own = code(tmp_path, text)
    assert own.call("f") == own.call("f") == 1
    assert log.read_text() == "x"


def test_modules_beside_it_and_in_named_folders_can_be_imported(tmp_path):
    (tmp_path / "beside_it.py").write_text("X = 1\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "far_from_it.py").write_text("Y = 2\n")
    own = code(tmp_path, "import beside_it, far_from_it\nZ = beside_it.X + far_from_it.Y\n", [tmp_path / "more"])
    assert own.value("Z", "a number") == 3


def test_what_it_defines_can_travel_even_where_another_folder_was_loaded_since(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = code(tmp_path / "a", "def loss(x):\n    return 'a'\n")
    other = code(tmp_path / "b", "def loss(x):\n    return 'b'\n")
    assert first.module is not other.module
    first.register()
    assert pickle.loads(pickle.dumps(first.module.loss))(1) == "a"


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("def data(:\n    pass\n", "data", r"task\.py:1: loading it raised SyntaxError: invalid syntax"),
        ("import not_there_at_all\n", "data", r"task\.py:1: .*ModuleNotFoundError.*Install not_there_at_all, or"),
        (
            "def data():\n    return open('/not/there.csv')\n",
            "data",
            r"task\.py:2: data\(\) raised FileNotFoundError.*not/there\.csv.*Put the data there, or change the path",
        ),
        ("def inner():\n    1 / 0\n\ndef data():\n    inner()\n", "data", r"task\.py:2: data\(\) raised ZeroDivisionError"),
    ],
)
def test_what_it_raises_is_told_as_file_line_and_what_to_do(tmp_path, text, name, reason):
    with pytest.raises(ConfigError, match=reason):
        own = code(tmp_path, text)
        assert own.module and own.call(name)


def test_nasmiths_own_errors_pass_as_they_are(tmp_path):
    own = code(tmp_path, "from nasmith.errors import UsageError\n\ndef data():\n    raise UsageError('as it is')\n")
    with pytest.raises(UsageError, match=r"^as it is$"):
        own.call("data")


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"task\.py is missing"):
        assert UserCode(tmp_path / "task.py").module
    with pytest.raises(ConfigError, match=r"task\.py: defines no `problem`: the kind of problem"):
        code(tmp_path, "x = 1\n").value("problem", "the kind of problem")


def test_a_function_is_taken_out_with_what_the_file_has_besides(tmp_path):
    text = """import numpy as np
from nasmith.problems import Classification

problem = Classification()
HALF = 0.5


def data():
    return None


def clip(x):
    return np.minimum(x, HALF)


def score(outputs, targets):
    return {"mean": float(clip(outputs).mean())}
"""
    taken = code(tmp_path, text).extract("score")
    assert "nasmith" not in taken and "def data" not in taken and "problem" not in taken
    namespace = {}
    exec(taken, namespace)
    assert namespace["score"](namespace["np"].ones(3), None) == {"mean": 0.5}
