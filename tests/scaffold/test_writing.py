import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import yaml

from nasmith.errors import ConfigError, UsageError
from nasmith.executors.inline import Inline
from nasmith.files import write_whole
from nasmith.scaffold import Wanted, write_folder
from nasmith.tasks.folder import Folder
from nasmith.types import Job, Status
from scaffold_data import write_images, write_series, write_table, write_text_folder, write_texts, write_waves

PROJECT = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, x):
        return self.body(x)


def loaders():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 4, generator=generator)
    data = TensorDataset(x, (x[:, 0] > 0).long())
    parts = torch.utils.data.random_split(data, [80, 20, 20], generator)
    return [DataLoader(part, batch_size=16) for part in parts]
"""


def wanted(template, tmp_path):
    if template == "images":
        return Wanted("images", str(write_images(tmp_path / "digits")))
    if template == "series":
        return Wanted("series", str(write_series(tmp_path / "s.csv")))
    if template == "series-classification":
        return Wanted("series", str(write_waves(tmp_path / "w.csv")), kind="classification")
    if template == "text":
        return Wanted("text", str(write_texts(tmp_path / "t.csv")))
    if template == "text-folder":
        return Wanted("text", str(write_text_folder(tmp_path / "texts")))
    if template == "module":
        (tmp_path / "their_project.py").write_text(PROJECT)
        return Wanted("module", "their_project:loaders", source="their_project:Net", arguments="width=8", root=tmp_path)
    kind = template.partition("-")[2]
    return Wanted("table", str(write_table(tmp_path / f"{kind}.csv", kind)))


LARGEST_ERROR = {  # after 60 steps; chance is 0.67, 0.67, 1, 1, 0.5, 0.5, 0.5, 0.5
    "images": 0.4,
    "table-classification": 0.3,
    "table-regression": 0.8,
    "series": 0.1,
    "series-classification": 0.2,
    "text": 0.4,
    "text-folder": 0.4,
    "module": 0.3,
}


@pytest.mark.parametrize("template", LARGEST_ERROR)
def test_what_is_written_checks_and_trains(template, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    write_folder(tmp_path / "task", wanted(template, tmp_path))
    task = Folder(str(tmp_path / "task"), steps=60)
    task.check()
    executor = Inline()
    executor.start(task.workload(), task.data)
    assert len(task.seeds()) == {"images": 2, "module": 1}.get(template, 3)
    for number, (label, text) in enumerate(task.seeds().items(), start=1):
        outcome = executor.submit(Job(number, text, 0)).result()
        assert outcome.status is Status.OK, f"{label}: {outcome.message}"
        examined = executor.submit(Job(number, text, 0, ("val", "test"), "examine", task.best_state(outcome))).result()
        assert task.score(outcome, examined, "verify")["val_error"] <= LARGEST_ERROR[template]
    sys.modules.pop("their_project", None)


def test_a_column_of_words_that_is_predicted_makes_classes(tmp_path):
    write_folder(tmp_path / "task", Wanted("table", str(write_table(tmp_path / "w.csv")), target="shop"))
    assert "problem = Classification()" in (tmp_path / "task" / "task.py").read_text()
    with pytest.raises(UsageError, match="the column 'shop' holds words; a regression predicts numbers"):
        write_folder(tmp_path / "other", Wanted("table", str(tmp_path / "w.csv"), target="shop", kind="regression"))
    assert not (tmp_path / "other").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"exists and is not empty.*nothing is overwritten"):
        write_folder(tmp_path / "task", Wanted("table", str(write_table(tmp_path / "w.csv"))))
    assert [path.name for path in (tmp_path / "task").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Wanted("table", ""), "name the data: --data PATH"),
        (Wanted("module", "m:f"), "name the model: --from my_package.models:Net"),
    ],
)
def test_what_is_missing_is_named(tmp_path, given, reason):
    with pytest.raises(UsageError, match=reason):
        write_folder(tmp_path / "task", given)


@pytest.mark.parametrize(
    "template", ["images", "table-classification", "series", "series-classification", "text", "text-folder"]
)
def test_the_code_that_is_written_is_formatted_as_its_own(template, tmp_path):
    write_folder(tmp_path / "task", wanted(template, tmp_path))
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "128", "--diff", str(tmp_path / "task")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    for path in (tmp_path / "task").rglob("*.py"):
        assert "{{" not in path.read_text() and "{%" not in path.read_text()


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("images", "no images in .*: it should hold a folder of images for each class"),
        ("table-classification", r"\.csv is missing: a CSV file with a line of column names, 'quality' among them"),
        ("series", r"s\.csv is missing: a CSV file with a row for each point in time, and the column 'warmth'"),
        ("series-classification", r"w\.csv is missing: a CSV file with a row for each series, its class in 'wave'"),
        ("text", r"t\.csv is missing: a CSV file with the columns 'review' and 'mood'"),
        ("text-folder", r"no texts in .*: it should hold a folder of \.txt files for each class"),
    ],
)
def test_data_that_has_gone_is_missed_by_name(template, reason, tmp_path):
    given = wanted(template, tmp_path)
    write_folder(tmp_path / "task", given)
    (tmp_path / "data").mkdir()
    Path(given.data).rename(tmp_path / "data" / "moved")
    with pytest.raises(ConfigError, match=rf"task\.py:\d+: data\(\) raised FileNotFoundError: .*{reason}\. Put the data there"):
        Folder(str(tmp_path / "task")).check()


def test_a_table_as_it_comes_is_read(tmp_path):
    lines = ["name;size;town;one;price: EUR"]
    sizes = ["" if n % 9 == 0 else " " if n % 8 == 0 else str(n) for n in range(60)]
    lines += [f"Name {n};{size};town {n % 3};x;{n * 1.5 + 0.25}" for n, size in enumerate(sizes)]
    (tmp_path / "t.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    write_folder(tmp_path / "task", Wanted("table", str(tmp_path / "t.csv")))
    settings = yaml.safe_load((tmp_path / "task" / "task.yaml").read_text())
    assert settings["title"] == "price: EUR, a quantity, from a table of 60 rows"
    code = (tmp_path / "task" / "task.py").read_text()
    assert 'CATEGORIES = ["town"]' in code and 'IGNORED = ["name", "one"]' in code
    task = Folder(str(tmp_path / "task"), steps=5)
    task.check()
    assert task.splits.train[0].shape[1] == 4  # size and three towns
    assert np.isfinite(task.splits.train[0]).all()


def test_a_folder_without_images_is_no_class(tmp_path):
    images = write_images(tmp_path / "digits", classes=2)
    (images / "0-empty").mkdir()
    (images / ".hidden").mkdir()
    copyfile(images / "digit-0" / "0.png", images / ".hidden" / "0.png")
    write_folder(tmp_path / "task", Wanted("images", str(images)))
    task = Folder(str(tmp_path / "task"))
    task.check()
    assert set(task.splits.train[1]) == {0, 1}


def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path, monkeypatch):
    taken = []

    def full(path, data):
        if len(taken) == 3:
            raise OSError(28, "No space left on device")
        taken.append(path.name)
        write_whole(path, data)

    monkeypatch.setattr("nasmith.scaffold.writing.write_whole", full)
    given = Wanted("table", str(write_table(tmp_path / "w.csv")))
    with pytest.raises(ConfigError, match=r"cannot write into .*: No space left on device"):
        write_folder(tmp_path / "deep" / "task", given)
    assert [path.name for path in tmp_path.iterdir()] == ["w.csv"]
    assert "task.yaml" not in taken  # what makes it a task comes last


@pytest.mark.parametrize(
    ("lines", "given", "reason"),
    [
        ("b\n1.5", {"target": "b"}, "holds one value alone; two classes"),
        ("b\nx{n}", {"target": "b"}, "holds 30 different values in 30 rows; these are no classes"),
        ("b\n{n}.5", {"target": "b", "kind": "classification"}, "30 different values in 30 rows; these are no classes"),
        ("b\n{gap}", {"target": "b", "kind": "regression"}, r"t\.csv:9: the column 'b' has no value"),
        ("b\n{n}.5", {"target": "a", "text": "b"}, "--text means nothing for the template 'table'"),
    ],
)
def test_a_column_that_cannot_be_predicted_says_why(lines, given, reason, tmp_path):
    header, row = lines.split("\n")
    rows = [f"{n % 7},{row.format(n=n, gap='' if n == 7 else n)}" for n in range(30)]
    (tmp_path / "t.csv").write_text("\n".join([f"a,{header}", *rows]) + "\n")
    with pytest.raises(UsageError, match=reason):
        write_folder(tmp_path / "task", Wanted("table", str(tmp_path / "t.csv"), **given))
    assert not (tmp_path / "task").exists()


def test_a_series_with_a_gap_names_the_line(tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n" + "".join(f"{n},{'' if n == 5 else n}\n" for n in range(40)))
    with pytest.raises(UsageError, match=r"s\.csv:7: the column 'b' has no value"):
        write_folder(tmp_path / "task", Wanted("series", str(tmp_path / "s.csv"), target="a"))
