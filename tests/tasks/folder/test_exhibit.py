import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load, save

from nasmith.problems import Classification
from nasmith.tasks.folder import exhibit

MODEL = "import torch\nfrom torch import nn\n\n\ndef Model():\n    return nn.Linear(2, 2)\n"
X = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=np.float32)
Y = np.array([0, 1, 0, 0])


@pytest.fixture
def folder(tmp_path):
    for name, data in exhibit.companions(Classification(2), X, Y).items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "model.py").write_text(MODEL)
    weights = {"weight": np.eye(2, dtype=np.float32), "bias": np.zeros(2, dtype=np.float32)}
    (tmp_path / "weights.safetensors").write_bytes(save(weights))
    return tmp_path


def verified(folder, scores):
    (folder / "scores.json").write_text(scores)
    return subprocess.run([sys.executable, "verify.py"], cwd=folder, capture_output=True, text=True)


def test_the_script_reproduces_the_stored_score(folder):
    ran = verified(folder, '{"test_error": 0.25}')
    assert ran.returncode == 0, ran.stderr
    assert "test error: 0.25, 0.25 in the search" in ran.stdout and ran.stdout.endswith("reproduced\n")


def test_the_script_ends_with_an_error_where_the_score_is_another(folder):
    ran = verified(folder, '{"test_error": 0.95}')
    assert ran.returncode == 1 and "NOT reproduced" in ran.stdout


def test_the_script_needs_nothing_of_nasmith(folder):
    assert "nasmith" not in (folder / "verify.py").read_text()
    assert (load((folder / "test.safetensors").read_bytes())["x"] == X).all()


def test_a_score_of_ones_own_stands_in(tmp_path):
    own = "def score(outputs, targets):\n    return {'one': 1.0}\n"
    script = exhibit.companions(Classification(2), X, Y, own)["verify.py"].decode()
    compile(script, "verify.py", "exec")
    assert "return {'one': 1.0}" in script and "logits" not in script


def test_data_that_is_too_large_stays_out_and_the_script_says_so(folder, monkeypatch):
    monkeypatch.setattr(exhibit, "LARGEST", 10)
    assert set(exhibit.companions(Classification(2), X, Y)) == {"verify.py"}
    (folder / "test.safetensors").unlink()
    ran = verified(folder, '{"test_error": 0.25}')
    assert ran.returncode == 1 and "test.safetensors is missing: save the test data there" in ran.stdout


def test_a_score_that_nobody_stored_is_not_called_reproduced(folder):
    ran = verified(folder, '{"val_error": 0.25}')
    assert ran.returncode == 1 and ran.stdout.endswith("NOT reproduced\n")
