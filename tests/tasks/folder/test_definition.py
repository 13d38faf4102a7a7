import pytest

from folder_toys import SMALL, TASK, YAML, write_folder
from nasmith.errors import ConfigError, SeedError
from nasmith.tasks.folder.definition import Definition


def definition(tmp_path, **parts):
    return Definition(write_folder(tmp_path / "t", **parts))


def test_the_plan_says_what_workers_must_know_and_holds_no_data(tmp_path):
    plan = definition(tmp_path, yaml=YAML + "bounds: {params: {at_most: 900}, flops: {at_most: 5000}}\nhide: [sklearn]\n").plan
    assert (plan.input_shape, plan.input_type, plan.output_shape) == ((4,), "float32", (3,))
    assert (plan.max_params, plan.max_flops, plan.hide, plan.own_fit) == (900, 5000, ("sklearn",), False)
    assert plan.problem.classes == 3 and plan.recipe.steps == 40 and plan.measures == frozenset()


def test_steps_and_device_of_the_task_win_over_those_of_the_file(tmp_path):
    recipe = Definition(write_folder(tmp_path / "t"), steps=7, device="cpu").plan.recipe
    assert (recipe.steps, recipe.device) == (7, "cpu")


def test_a_batch_is_never_larger_than_the_data(tmp_path):
    assert definition(tmp_path, yaml=YAML.replace("batch_size: 32", "batch_size: 4096")).plan.recipe.batch_size == 180


def test_the_largest_token_is_known(tmp_path):
    task = TASK.replace("x = random.normal(size=(300, 4)) + np.eye(3, 4)[y] * 2", "x = random.integers(0, 50, (300, 4))")
    plan = definition(tmp_path, task=task).plan
    assert plan.input_type == "int64" and plan.highest_token == 49


def test_a_preamble_of_ones_own_stands_above_programs(tmp_path):
    folder = write_folder(tmp_path / "t")
    assert "from torch import nn" in Definition(folder).preamble()
    (folder / "preamble.py").write_text("from torch import nn\nWIDTH = 3\n")
    assert Definition(folder).plan.preamble == "from torch import nn\nWIDTH = 3\n"


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (TASK.replace("problem = Classification()", "problem = 3"), "`problem` must be a problem of nasmith.problems.*got int"),
        (TASK.replace("problem = Classification()\n", ""), "defines no `problem`"),
        (TASK.replace("Splits.random(x, y, val=0.2, test=0.2)", "x, y"), r":8: data\(\) must return a .*Splits, got tuple"),
    ],
)
def test_what_task_py_must_define(tmp_path, task, reason):
    with pytest.raises(ConfigError, match=reason):
        assert definition(tmp_path, task=task).plan


def test_a_folder_of_imports_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"task\.yaml:7: there is no folder '\.\./lib'. It is relative to"):
        assert definition(tmp_path, yaml=YAML + "import_from: [../lib]\n").code


def test_a_seed_keeps_its_line_ends_and_must_be_utf_8(tmp_path):
    folder = write_folder(tmp_path / "t")
    (folder / "seeds" / "small.py").write_bytes(SMALL.replace("\n", "\r\n").encode())
    assert "\r\n" in Definition(folder).seeds["small"]
    (folder / "seeds" / "odd.py").write_bytes(b"# \xff\n")
    with pytest.raises(SeedError, match=r"odd\.py cannot be read.*Save it as UTF-8"):
        assert Definition(folder).seeds
