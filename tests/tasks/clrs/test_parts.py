from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from clrs_toys import needs_clrs, tiny
from nasmith.errors import UsageError
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES, load_part


def test_the_built_in_part_is_found_by_its_place():
    assert load_part("nasmith.tasks.clrs.parts:TRIPLET_MESSAGES") is TRIPLET_MESSAGES


@pytest.mark.parametrize("place", ["nasmith.tasks.clrs.parts:NOTHING", "no_such_module:PART", "", "nasmith:"])
def test_a_part_that_is_not_there_is_said(place):
    with pytest.raises(UsageError, match=r"package\.module:NAME"):
        load_part(place)


def test_something_else_is_no_part():
    with pytest.raises(UsageError, match="not a nasmith"):
        load_part("nasmith.tasks.clrs.parts:load_part")


def test_there_are_nine_seeds_that_define_the_function():
    assert list(TRIPLET_MESSAGES.seeds) == [f"v{number}" for number in range(1, 10)]
    for text in TRIPLET_MESSAGES.seeds.values():
        (function,) = ast.parse(text).body
        assert isinstance(function, ast.FunctionDef) and text.startswith(TRIPLET_MESSAGES.first_line)


def test_shapes_are_those_of_the_network():
    takes, returns = TRIPLET_MESSAGES.shapes(2, 5, 32, 8)
    assert takes == ((2, 5, 64), (2, 5, 5, 32), (2, 32), 8, 32) and returns == (2, 5, 5, 32)


@needs_clrs
def test_the_part_of_the_documentation_trains(tmp_path, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "clrs.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "own_part.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    task = tiny(part="own_part:PROCESSOR")
    workload, data = task.workload(), task.data()
    sizes = {name: workload.screen(text)["part_params"] for name, text in task.seeds().items()}
    assert sizes["sum"] > sizes["gated"] > 0
    arrays, facts = workload.fit(task.seeds()["gated"], 0, {split: data[split] for split in ("train", "val")})
    assert facts["steps"] == 6 and arrays["predictions/val/pi"].shape == (2, 16, 16)
    assert task.describe().first_line.startswith("def process(node_fts,") and not task.companions()


def test_the_seed_of_the_documentation_is_the_standard_one():
    page = (Path(__file__).parents[3] / "docs" / "clrs.md").read_text()
    indented = "".join(f"    {line}\n" for line in TRIPLET_MESSAGES.seeds["v1"].splitlines())
    assert indented in page
