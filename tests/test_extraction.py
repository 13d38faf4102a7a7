import subprocess
import sys

import pytest

from nasmith.errors import UsageError
from nasmith.extraction import extract, load_object
from nasmith.frames import Frame

LAYERS = "from torch import nn\n\n\nclass Block(nn.Sequential):\n    pass\n"
MODELS = '''\
"""Models of a project."""

from __future__ import annotations

import math
import torch
from torch import nn

from .layers import Block
from . import layers as own_layers

try:
    import einops_that_is_not_there as einops
except ImportError:
    einops = None

WIDTH = 16  # of the body
UNUSED = "nothing"


def scaled(x):
    return x / math.sqrt(WIDTH)


# What it is for.
@torch.no_grad
def odd(x):
    return x


class Unused(nn.Module):
    pass


class Net(nn.Module):
    # nasmith: begin
    def __init__(self, classes, depth=1):
        super().__init__()
        self.body = Block(nn.LazyLinear(WIDTH),   nn.ReLU())
    # nasmith: end
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, x):
        return self.head(scaled(self.body(odd(x))))


class Fixed(Net):
    def __init__(self):
        super().__init__(3)


def build(width=4):
    return nn.Linear(width, 2)


def tries(x=1):
    return einops


not_a_model = 3
'''
ODD = """\
from __future__ import annotations

import pathlib
import xml.dom
import xml.sax
from typing import TYPE_CHECKING

from torch import nn

from .layers import *

if TYPE_CHECKING:
    from a_package_that_is_not_there import Tensor

SIZES = [2]
SIZES.append(4)
SIZES[0] += 1
A = 1; B = 2
HERE = pathlib.Path(__file__).name
x = str("not to be taken: forward() has an x of its own")
page = "a\fb"


class Changed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


Changed.note = "kept"
Changed = type("Changed", (Changed,), {"more": HERE})


# EVOLVE-BLOCK-START
class Marked(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.body = Block(nn.Linear(SIZES[0], width), nn.Linear(width, A + B))

    def forward(self, x):
        return self.body(x)
# EVOLVE-BLOCK-END


class Late(nn.Module):
    def forward(self, x):
        from .layers import Block
        return Block()(x)


class Placed(nn.Module):
    where = __file__


class Model(nn.Module):
    pass


class Child(Model):
    pass


def two_imports():
    return nn.Linear(len(xml.dom.__name__), len(xml.sax.__name__))


if SIZES:
    class Inside(nn.Module):
        pass


if __name__ == "__main__":
    Marked = None
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    package = tmp_path / "their_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "layers.py").write_text(LAYERS)
    (package / "models.py").write_text(MODELS)
    (package / "odd.py").write_text(ODD)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("their_package")]:
        del sys.modules[name]


def taken(project, name, arguments=""):
    return extract(f"their_package.models:{name}", project, arguments)


def test_a_class_comes_with_what_it_needs_of_its_module_and_nothing_else(project):
    found = taken(project, "Net", "classes=3")
    for part in ("WIDTH = 16", "def scaled(x):", "# What it is for.\n@torch.no_grad\ndef odd(x):", "class Net(nn.Module):"):
        assert part in found.seed
    assert "UNUSED" not in found.seed and "Unused" not in found.seed and "class Fixed" not in found.seed
    assert found.seed.endswith("\n\n\ndef Model():\n    return Net(classes=3)\n")
    assert "Block(nn.LazyLinear(WIDTH),   nn.ReLU())" in found.seed  # byte for byte
    assert "# nasmith: begin" in found.seed


def test_imports_become_absolute_and_only_those_that_are_needed(project):
    lines = taken(project, "Net", "classes=3").preamble.splitlines()
    assert "from their_package.layers import Block" in lines and "import math" in lines
    assert lines[1:4] == ["import torch", "import torch.nn.functional as F", "from torch import nn"]
    assert lines[0] == "from __future__ import annotations"  # as in their module; it must stand first
    assert not any("own_layers" in line or "einops" in line for line in lines) and lines.count("from torch import nn") == 1


def test_the_seed_runs_below_the_preamble(project):
    found = taken(project, "Net", "classes=3")
    program = f"{found.preamble}\n{found.seed}\nprint(Model()(torch.zeros(2, 5)).shape[1])\n"
    ran = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True)
    assert ran.stdout.strip() == "3", ran.stderr


def outcome(project, found, expression):
    """Run a seed below its preamble, and return what an expression is then."""
    program = f"{found.preamble}\n{found.seed}\nprint({expression})\n"
    ran = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def odd(project, name, arguments=""):
    return extract(f"their_package.odd:{name}", project, arguments)


def test_statements_that_change_a_name_later_come_along(project):
    found = odd(project, "Changed")
    assert outcome(project, found, "(Model().note, Model().more)") == "('kept', 'odd.py')"
    assert found.left == ("HERE",)  # where the module lies is known to the module alone
    assert "not to be taken" not in found.seed and "a_package_that_is_not_there" not in found.preamble
    assert "SIZES = [2]\nSIZES.append(4)\nSIZES[0] += 1\n" in odd(project, "Marked").seed


def test_marks_around_a_class_come_in_pairs(project):
    found = odd(project, "Marked", "width=B")
    frame = Frame.of(found.seed)
    assert frame.marks == ("# EVOLVE-BLOCK-START", "# EVOLVE-BLOCK-END")
    assert frame.parts(found.seed)[0].startswith("class Marked(nn.Module):\n")
    assert "\nA = 1\nB = 2\n" in found.seed  # also of one line, each once
    assert outcome(project, found, "Model()(torch.zeros(1, 3)).shape[1]") == "3"


def test_what_a_star_import_brings_is_named(project):
    assert "from their_package.layers import Block\n" in odd(project, "Marked").preamble


def test_two_imports_that_bind_one_name_both_stay(project):
    found = odd(project, "two_imports")
    assert found.preamble.endswith("import xml.dom\nimport xml.sax\n") and outcome(project, found, "Model().in_features") == "7"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Late", r"odd\.py:46: a relative import inside of a function or class means nothing"),
        ("Placed", r"odd\.py:51: a use of __file__ means nothing"),
        ("Child", "'Child' needs something that is called Model"),
        ("Inside", r"odd\.py:66: 'Inside' is not simply defined at the top level"),
    ],
)
def test_what_would_mean_something_else_elsewhere_is_refused(project, name, reason):
    with pytest.raises(UsageError, match=reason):
        odd(project, name)


def test_a_script_that_ends_when_it_is_imported_is_told(project):
    (project / "their_package" / "script.py").write_text("import sys\n\nsys.exit('usage: train')\n")
    with pytest.raises(UsageError, match=r"importing 'their_package\.script' ends the process \(usage: train\): it is"):
        extract("their_package.script:Net", project)


def test_a_base_class_of_the_same_module_comes_along(project):
    assert "class Net(nn.Module)" in taken(project, "Fixed").seed


def test_a_function_that_makes_a_model_will_do(project):
    assert taken(project, "build", "width=8").seed.endswith("def Model():\n    return build(width=8)\n")


def test_what_a_try_binds_is_imported_from_the_module(project):
    found = taken(project, "tries")
    assert found.left == ("einops",) and "from their_package.models import einops" in found.preamble


@pytest.mark.parametrize(
    ("path", "arguments", "reason"),
    [
        ("their_package.models", "", "--from is package.module:name, such as my_package.models:Net"),
        ("their_package.nothing:Net", "", r"cannot import 'their_package\.nothing'.*run the command in the folder"),
        ("their_package.models:Nett", "", "has no 'Nett'. Did you mean 'Net'"),
        ("their_package.models:Qqqqq", "", "has no 'Qqqqq'. It defines scaled, odd, Unused, Net"),
        ("their_package.models:not_a_model", "", "is a value of type int; a subclass of torch.nn.Module"),
        ("their_package.models:Net", "", r"missing a required argument: 'classes'.*--args \"classes=…"),
        ("their_package.models:Net", "classes=3, width=4", r"unexpected keyword argument 'width'"),
        ("their_package.models:Net", "classes=", "is not written as arguments of a call"),
        ("torch.nn:Linear", "3, 4, 5, 6, 7, 8, 9", "too many positional arguments"),
        ("collections:OrderedDict", "", "is a class, but no subclass of torch.nn.Module"),
    ],
)
def test_what_cannot_be_taken_out_says_why_and_what_to_do(project, path, arguments, reason):
    with pytest.raises(UsageError, match=f"(?s){reason}"):
        extract(path, project, arguments)


def test_a_class_without_a_file_says_so(project):
    import types

    module = types.ModuleType("their_package_in_a_notebook")
    exec("from torch import nn\nclass Net(nn.Module):\n    pass\n", module.__dict__)
    module.Net.__module__ = module.__name__
    sys.modules[module.__name__] = module
    try:
        with pytest.raises(
            UsageError, match=r"the source of .*Net' cannot be found.*notebook or a C extension. Put the class into"
        ):
            extract(f"{module.__name__}:Net", project)
    finally:
        del sys.modules[module.__name__]


def test_a_module_that_raises_is_told(project):
    (project / "their_package" / "broken.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match=r"importing 'their_package\.broken' raised ZeroDivisionError"):
        load_object("their_package.broken:x", project, "--data")
