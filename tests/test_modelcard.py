from dataclasses import replace

import pytest

from nasmith import analysis
from nasmith.modelcard import BEGINNING, front_matter, model_card, own_imports
from nasmith.tasks.mnist1d import Mnist1d

FILES = {"model.py": b"import torch\n", "weights.safetensors": b""}


@pytest.fixture
def records(recorded_storage):
    return analysis.read(recorded_storage, "quiet-otter")


@pytest.fixture
def item(records):
    return next(item for item in analysis.verified(records, Mnist1d()) if item.candidate.operator != "seed")


def card_of(records, item, files=FILES, why="", **changes):
    item = replace(item, **changes)
    return model_card(records, Mnist1d(), item, item.evaluations[0], files, why)


def test_the_card_says_what_it_is_how_it_was_found_and_what_was_measured(records, item):
    card = card_of(records, item)
    assert card.startswith(BEGINNING)
    for part in (
        "| `model.py` |",
        "Written by a language model: read it before you run it.",
        "| test | 1,000 | 40 float32 |",
        "| run | `quiet-otter`, begun 2026-01-01, finished 2026-01-01 |",
        "| strategy | `evoprompting` |",
        f"| parents | {item.candidate.parents[0]} (",
        "| programs | 40 written, ",
        "Ancestors:",
        "## Licence",
        "## Limits",
    ):
        assert part in card
    assert "ONNX" not in card and "model.onnx" not in card
    assert "There is no ONNX file: it is odd." in card_of(records, item, why="it is odd.")


@pytest.mark.parametrize(
    ("source", "library"),
    [
        (b"import torch\n\n# import jax\n", "pytorch"),
        (b"", "pytorch"),
        (b"import numpy as np\nimport jax.numpy as jnp\n", "jax"),
        (b"from haiku import Linear\n", "jax"),
    ],
)
def test_the_card_names_the_library_of_the_program(source, library):
    assert front_matter({"model.py": source}).endswith(f"\nlibrary_name: {library}\n---\n")


def test_each_mean_has_its_interval_and_the_value_of_these_weights(records, item):
    card = card_of(records, item)
    half = item.intervals["val_error"]
    these = item.evaluations[0].metrics["val_error"]
    spread = item.spreads["val_error"]
    assert f"| validation error | {item.metrics['val_error']:.6g} | ± {half:.3g} | {spread:.3g} | {these:.6g} |" in card
    assert "fitness" not in card


def test_a_single_training_has_no_interval(records, item):
    card = card_of(records, item, evaluations=item.evaluations[:1], intervals={})
    assert "on 1 training with new seeds" in card and "±" not in card and "One training says nothing" in card


def test_latency_comes_with_its_noise(records, item):
    fast = tuple(replace(e, metrics={**e.metrics, "latency_ms": 2.5, "latency_noise_ms": 0.125}) for e in item.evaluations)
    metrics = {**item.metrics, "latency_ms": 2.5, "latency_noise_ms": 0.125}
    spreads = {**item.spreads, "latency_ms": 0.0, "latency_noise_ms": 0.0}
    card = card_of(records, item, evaluations=fast, metrics=metrics, spreads=spreads)
    assert "| latency (ms) | 2.5 |" in card and "quartiles was 0.125 ms" in card and "| latency noise" not in card


def test_a_seed_is_not_said_to_be_a_language_models(records):
    seed = next(item for item in analysis.verified(records, Mnist1d()) if item.candidate.operator == "seed")
    card = card_of(records, seed)
    assert "The seed program 'reference_cnn' of the task." in card and "Written by a language model" not in card


def test_where_a_users_folder_lies_is_not_told(records, item):
    config = {**records.run.config, "task": {"name": "folder", "options": {"path": "/home/someone/mine", "steps": None}}}
    run = replace(records.run, config=config, environment={"task": "abc123"})
    card = card_of(replace(records, run=run), item)
    assert "From the task `folder`, path `mine`; fingerprint of the task's files: `abc123`." in card and "someone" not in card


def test_what_the_files_import_is_named_with_where_it_comes_from(records, item):
    files = {
        "model.py": b"import torch, math\nimport yaml\nfrom my_layers.blocks import Block\n",
        "verify.py": b"import numpy\nfrom safetensors.torch import load_file\nfrom model import Model\n",
    }
    card = card_of(records, item, files)
    assert "`model.py` imports `yaml` (PyYAML " in card
    assert "`model.py` imports `my_layers`: from no package" in card
    assert "`verify.py` imports" not in card
    assert own_imports("import einops, json\nfrom . import beside\nfrom nasmith import analysis\n") == ["einops", "nasmith"]
