from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasmith.errors import UsageError
from nasmith.lms import soft_prompt
from nasmith.lms.soft_prompt import SoftPrompt


@pytest.fixture
def model(tiny: Path) -> Any:
    from nasmith.lms.causal_decoder import load_model

    return load_model(tiny, "float32", "cpu")


def start(model: Any, seed: int = 0) -> torch.Tensor:
    return soft_prompt.first_vectors(model.get_input_embeddings().weight, 4, seed)


def test_the_soft_prompt_acts_as_in_peft(model: Any, tiny: Path) -> None:
    from nasmith.lms.llama_decoder import LlamaDecoder

    vectors, prompt = start(model), [5, 6, 7, 8]
    wrapped = SoftPrompt(model, vectors)._wrapped
    with torch.no_grad():
        wanted = wrapped(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, 4, dtype=torch.long)).logits[:, -1]
    got = LlamaDecoder(tiny, "float32").begin(prompt, vectors)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_first_vectors_are_words_of_the_vocabulary(model: Any) -> None:
    embeddings = model.get_input_embeddings().weight
    vectors = start(model)
    assert all((embeddings == vector).all(dim=1).any() for vector in vectors)
    assert torch.equal(vectors, start(model))
    assert not torch.equal(vectors, start(model, seed=1))


def test_its_vectors_are_what_stands_before_a_prompt(model: Any) -> None:
    vectors = start(model)
    prompt = SoftPrompt(model, vectors)
    assert torch.equal(prompt.prefix()[0], vectors) and torch.equal(prompt.vectors, vectors)
    assert [parameter.shape for parameter in prompt.parameters()] == [vectors.shape]


def test_a_written_soft_prompt_is_read_back(model: Any, tmp_path: Path) -> None:
    vectors, path = start(model), tmp_path / "new" / "adapter.safetensors"
    SoftPrompt(model, vectors).write(path, "tiny")
    assert torch.equal(soft_prompt.read(path, "tiny", 32), vectors)


def test_a_file_that_is_no_soft_prompt_of_this_model_is_refused(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    SoftPrompt(model, start(model)).write(path, "tiny")
    with pytest.raises(UsageError, match="width 16"):
        soft_prompt.read(path, "tiny", 16)
    with pytest.raises(UsageError, match="tuned for the model tiny"):
        soft_prompt.read(path, "other", 32)
