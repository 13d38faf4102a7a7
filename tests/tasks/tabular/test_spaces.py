import pickle

import numpy as np
import pytest

from nasmith.space import Disguise
from nasmith.tasks.tabular import cells, counting, spaces

SPACES = {
    "nas-bench-macro_cifar10.json": spaces.macro(),
    "Results_ResNet.json": spaces.channel_resnet(),
    "Results_MobileNet.json": spaces.channel_mobilenet(),
    "nasbench201_cifar10.json": spaces.nasbench201(10, 32),
}


@pytest.mark.parametrize("file", SPACES)
def test_every_key_of_the_table_is_a_design_written_in_the_same_way(table, file):
    space, keys = SPACES[file], list(table(file))
    designs = [space.read(key) for key in keys]
    assert len(set(designs)) == len(keys) == space.size
    assert [space.write(design) for design in designs] == keys


@pytest.mark.parametrize("file", [file for file in SPACES if "201" not in file])
def test_sizes_are_those_of_the_table_for_every_design(table, file):
    space, entries = SPACES[file], table(file)
    measured = space.measure(np.array([space.read(key) for key in entries]))
    for name in ("params", "flops"):
        assert (measured[:, space.measures.index(name)] == [entry[name] for entry in entries.values()]).all()


def test_flops_of_a_cell_depend_on_the_images_and_parameters_on_the_classes():
    designs = np.array([[3, 3, 3, 1, 3, 3]])
    params, flops, _ = counting.nasbench201(designs, 120, 16)
    found = spaces.nasbench201(120, 16).measure(designs)[0]
    assert found[:2].tolist() == [params[0], flops[0]] and found[1] < spaces.nasbench201(10, 32).measure(designs)[0, 1]
    assert dict(zip(spaces.nasbench201(10, 32).measures[3:], found[3:], strict=True)) == {
        name: float(values[0]) for name, values in cells.paths(designs).items()
    }


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda space: space.name)
def test_a_canonical_design_stands_for_itself_and_spaces_travel(space):
    travelled = pickle.loads(pickle.dumps(Disguise(space, 2).space))
    for design in list(space.designs())[::997]:
        assert space.canonical(space.canonical(design)) == space.canonical(design)
        assert travelled.canonical(design) == Disguise(space, 2).space.canonical(design)
    assert (travelled.measure(np.array([design])) == Disguise(space, 2).space.measure(np.array([design]))).all()


def test_equal_cells_and_layers_are_one():
    cell, macro = SPACES["nasbench201_cifar10.json"], SPACES["nas-bench-macro_cifar10.json"]
    assert cell.canonical(cell.read("[3, 0, 0, 0, 3, 0]")) == cell.canonical(cell.read("[3, 0, 1, 0, 0, 3]"))
    assert macro.canonical(macro.read("22212220")) == macro.canonical(macro.read("22212202")) != macro.read("22212222")
