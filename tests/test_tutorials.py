"""The tutorials run as they stand: each block in order, in an empty folder; the pictures that they show are made by the run."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import pytest

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(?P<kind>\w+)(?P<file>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\((?P<path>images/[^)]+)\)")


def blocks(tutorial):
    return [(found["kind"], found["file"].strip(), found["text"]) for found in BLOCK.finditer(tutorial.read_text())]


def run(kind, text, folder, environment):
    command = {"sh": ["sh", "-e"], "python": [sys.executable, "-"]}[kind]
    return subprocess.run(command, input=text, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
@pytest.mark.lm
@pytest.mark.parametrize("tutorial", sorted(TUTORIALS.glob("*.md")), ids=lambda path: path.stem)
def test_a_tutorial_runs(tutorial, tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "80", "NO_COLOR": "1"}
    for kind, file, text in blocks(tutorial):
        if file:  # a file that the reader writes
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text)
        elif kind in {"sh", "python"}:
            ran = run(kind, text, tmp_path, environment)
            assert ran.returncode == 0, f"{text}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    for picture in PICTURE.finditer(tutorial.read_text()):
        name = Path(picture["path"]).name.removeprefix(f"{tutorial.stem}-")
        made = next(iter(tmp_path.rglob(name)), None)
        assert made is not None, f"the run makes no {name}"
        if os.environ.get("NASMITH_PICTURES"):
            (TUTORIALS / "images").mkdir(exist_ok=True)
            copyfile(made, TUTORIALS / picture["path"])


def test_every_picture_that_a_tutorial_shows_is_there():
    for tutorial in TUTORIALS.glob("*.md"):
        for picture in PICTURE.finditer(tutorial.read_text()):
            assert (TUTORIALS / picture["path"]).is_file(), f"{tutorial.name}: {picture['path']} (NASMITH_PICTURES=1 makes it)"
