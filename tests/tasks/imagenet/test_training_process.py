from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from nasmith.errors import UsageError
from nasmith.tasks.imagenet import training_process
from nasmith.tasks.imagenet.recipes import recipe
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder
from nasmith.tasks.imagenet.training_process import run


@pytest.fixture
def folder(images, tmp_path) -> TrainingFolder:
    found = TrainingFolder(tmp_path / "t")
    values = {"epochs": 1, "resolution": 32, "batch_size": 16, "held_out": 0.1}
    found.begin(Training((1, *(0,) * 29), str(images), recipe("tiny", values), device="cpu"))
    return found


@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_is_done_elsewhere_and_what_it_says_is_kept(folder, processes):
    lines: list[str] = []
    run(folder, processes, lines.append)
    assert folder.result()["facts"]["steps"] == 3
    assert folder.result()["predictions"]["val"].min() >= 0
    said = [line for line in lines if line.startswith("epoch 1/1, step 3/3")]
    assert len(said) == 1 and said[0] in folder.log.read_text()
    run(folder, processes, pytest.fail)  # it is done


def test_what_went_wrong_there_is_raised_here(folder):
    broken = replace(folder.training(), start="/nowhere.safetensors")
    folder.path.joinpath("training.json").unlink()
    folder.begin(broken)
    with pytest.raises(UsageError, match=r"the weights /nowhere\.safetensors cannot be read"):
        run(folder, 1, lambda line: None)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("folder.fail('training', 'the loss'); sys.exit(2)", ValueError, "the loss"),
        ("folder.fail('memory', 'out of memory'); sys.exit(3)", MemoryError, "out of memory"),
        ("os.kill(os.getpid(), 9)", MemoryError, "killed, probably because the memory ran out"),
        ("print('what a pity'); sys.exit(7)", RuntimeError, "exit code 7: what a pity"),
    ],
)
def test_each_way_to_end_has_its_error(folder, tmp_path, monkeypatch, code, error, message):
    (tmp_path / "fake_training.py").write_text(
        "import os, sys; from pathlib import Path\n"
        "from nasmith.tasks.imagenet.training_files import TrainingFolder\n"
        f"folder = TrainingFolder(Path(sys.argv[1])); {code}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(training_process, "_MODULE", "fake_training")
    with pytest.raises(error, match=message):
        run(folder, 1, lambda line: None)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends it, and only Linux does")
def test_it_does_not_outlive_its_parent(folder, tmp_path):
    (tmp_path / "endless.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    code = (
        "import sys; from pathlib import Path; from nasmith.tasks.imagenet import training_process as t\n"
        "from nasmith.tasks.imagenet.training_files import TrainingFolder\n"
        f"t._MODULE = 'endless'; t.run(TrainingFolder(Path({str(folder.path)!r})), 1, lambda line: print(line, flush=True))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout.readline() == "begun\n"
        (child,) = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
