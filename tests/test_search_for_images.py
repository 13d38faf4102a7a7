"""A search that trains networks on images, by its command line: killed in the middle of trainings and resumed, exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasmith.api import open_storage

NASMITH = [sys.executable, "-c", "from nasmith.cli import main; main()"]
STEM = [1, 0, 0, 0, 0, 0]
DESIGNS = [[*STEM, *[0] * 24], [*STEM, 1, 0, 0, 0, 0, 0, *[0] * 18], [2, 0, 0, 0, 0, 0, *[0] * 24]]
TOO_LARGE, EQUAL = [6] * 30, [1, *[0] * 29]
REPLIES = [
    f"Principles:\n1. Begin small.\n\nI propose {DESIGNS[0]}.",
    f"Larger: {TOO_LARGE}",
    f"Smaller, then: {DESIGNS[1]}",
    f"Once more: {EQUAL}",
    f"Stage 1: {DESIGNS[2][:6]}\nThe rest: {DESIGNS[2][6:]}",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    from nasmith.tasks.imagenet.sample_images import write_sample

    folder = tmp_path_factory.mktemp("search")
    write_sample(folder / "images", classes=3, train=20, test=6, size=40, seed=1)
    (folder / "replies.json").write_text(json.dumps(REPLIES))
    return folder


def command(folder: Path, name: str) -> list[str]:
    options = {
        "preset": "tiny", "epochs": 12, "resolution": 32, "batch_size": 16, "flops": "40..60", "device": "cpu",
        "checkpoint_steps": 1, "strategy.designs": 3,
    }  # fmt: skip
    settings = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    where = ["--data", str(folder / "images"), "--storage", str(folder / f"{name}.db"), "--name", name]
    return [*NASMITH, "search", "imagenet-mobile", "--lm", "scripted:replies.json", *where, *settings]


def evaluations(folder: Path, name: str) -> list[tuple]:
    storage = open_storage(folder / f"{name}.db", read_only=True)
    found = [(e.candidate, e.status, e.purpose, dict(e.metrics), e.message) for e in storage.evaluations(name)]
    storage.close()
    return found


@pytest.fixture(scope="module")
def left_alone(folder) -> list[tuple]:
    subprocess.run(command(folder, "alone"), cwd=folder, check=True, capture_output=True, text=True)
    return evaluations(folder, "alone")


def test_every_answer_is_a_row_with_its_reason(left_alone):
    search = [row for row in left_alone if row[2] == "search"]
    assert [str(row[1]) for row in search] == ["ok", "invalid", "ok", "duplicate", "ok"]
    assert search[1][4] == "fails the constraint: 883 M FLOPs, 823 M FLOPs above the upper bound of 60 M FLOPs"
    assert search[3][4] == "the same design as candidate 1"
    (verified,) = [row for row in left_alone if row[2] == "verify"]
    assert {"val_accuracy", "test_accuracy", "params", "flops", "unreadable_images"} <= set(verified[3])


def test_a_search_that_is_killed_while_it_trains_ends_as_one_left_alone(folder, left_alone):
    begin, resume = command(folder, "killed"), ["resume", "killed", "--storage", str(folder / "killed.db")]
    kills = 0
    for attempt in range(5):
        arguments = begin if attempt == 0 else [*NASMITH, *resume]
        process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True)
        seen = _checkpoints(folder)
        while process.poll() is None and _checkpoints(folder) in (seen, set()):
            time.sleep(0.02)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        if kills == 3:
            break
    done = subprocess.run([*NASMITH, *resume], cwd=folder, check=True, capture_output=True, text=True)
    assert kills == 3 and "Traceback" not in done.stderr
    assert evaluations(folder, "killed") == left_alone
    assert _checkpoints(folder) == set()


def _checkpoints(folder: Path) -> set[tuple[str, int]]:
    """Trainings with a checkpoint or a result."""
    return {(str(path), path.stat().st_ino) for path in folder.glob("killed*/**/trainings/*/*.pt")}


def test_the_model_that_was_found_runs_without_nasmith(folder, left_alone):
    where = ["--storage", str(folder / "alone.db"), "-o", str(folder / "model")]
    subprocess.run([*NASMITH, "export", "alone", *where], cwd=folder, check=True, capture_output=True)
    names = {path.name for path in (folder / "model").iterdir()}
    assert {"model.py", "weights.safetensors", "predict.py", "scores.json", "README.md", "model.onnx"} <= names
    image = sorted((folder / "images" / "val").rglob("*.jpg"))[0]
    code = f"import sys, runpy; sys.argv = ['predict.py', {str(image)!r}]; sys.path.insert(0, '.')\n"
    code += "runpy.run_path('predict.py', run_name='__main__')\n"
    code += "assert not any(name.split('.')[0] in ('nasmith', 'kornia') for name in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder / "model", check=True, capture_output=True, text=True)
    assert done.stdout.count("%") == 3
    card = (folder / "model" / "README.md").read_text()
    assert "the code is nasmith's own" in card and "Written by a language model" not in card
