from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from nasmith.errors import UsageError
from nasmith.lms import soft_prompt
from nasmith.lms.soft_prompt import Pair, Settings

SETTINGS = Settings(virtual_tokens=4, epochs=5, batch=4, learning_rate=0.1, examples=32, tokens=64, pack=96)
PAIRS = [Pair((7, 8, 9), (20, 21, 22, 23, 24)), Pair((7, 8, 9), (20, 21, 30)), Pair((5, 6), (20, 21, 22, 23))] * 3


@pytest.fixture
def model(tiny: Path) -> Any:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(str(tiny), dtype=torch.float32)
    return loaded.eval().requires_grad_(False)


def start(model: Any, seed: int = 0) -> torch.Tensor:
    return soft_prompt.first_vectors(model.get_input_embeddings().weight, 4, seed)


def test_the_loss_of_packed_programs_is_that_of_each_alone(model: Any) -> None:
    vectors = start(model)
    total, tokens = 0.0, 0
    embed = model.get_input_embeddings()
    for pair in PAIRS:
        line = torch.tensor(pair.prompt + pair.program)
        with torch.no_grad():
            logits = model(inputs_embeds=torch.cat([vectors, embed(line)])[None]).logits[0]
        said = slice(len(vectors) + len(pair.prompt) - 1, -1)
        total += F.cross_entropy(logits[said], torch.tensor(pair.program), reduction="sum").item()
        tokens += len(pair.program)
    _, losses = soft_prompt.learn(model, vectors, PAIRS, SETTINGS, seed=0)
    assert losses[0] == pytest.approx(total / tokens, rel=1e-4)


def test_the_soft_prompt_acts_as_in_peft(model: Any, tiny: Path) -> None:
    from nasmith.lms.llama_decoder import LlamaDecoder

    vectors, prompt = start(model), [5, 6, 7, 8]
    wrapped = soft_prompt._wrapped(model, vectors)
    with torch.no_grad():
        wanted = wrapped(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, 4, dtype=torch.long)).logits[:, -1]
    got = LlamaDecoder(tiny, "float32").begin(prompt, vectors)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_learning_lowers_the_loss_and_leaves_the_model_alone(model: Any) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seen: list[tuple[int, int]] = []
    begin = start(model)
    vectors, losses = soft_prompt.learn(model, begin, PAIRS, SETTINGS, 0, lambda done, total: seen.append((done, total)))
    assert losses[-1] < losses[0] - 0.3
    assert len(losses) == SETTINGS.epochs + 2
    assert seen == [(step + 1, 15) for step in range(15)]
    assert vectors.shape == begin.shape and not torch.equal(vectors, begin)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_same_seed_learns_the_same(model: Any, tiny: Path) -> None:
    first, losses = soft_prompt.learn(model, start(model), PAIRS, SETTINGS, seed=3)
    torch.rand(5, generator=torch.Generator().manual_seed(1))
    again, same = soft_prompt.learn(model, start(model), PAIRS, SETTINGS, seed=3)
    assert torch.equal(first, again) and losses == same
    assert not torch.equal(first, soft_prompt.learn(model, start(model), PAIRS, SETTINGS, seed=4)[0])


def test_global_random_numbers_are_left_alone(model: Any) -> None:
    before = torch.get_rng_state()
    soft_prompt.learn(model, start(model), PAIRS[:2], replace(SETTINGS, epochs=1), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_learning_ends_where_the_loss_is_not_finite(model: Any) -> None:
    _, losses = soft_prompt.learn(model, torch.full((4, 32), math.nan), PAIRS, SETTINGS, seed=0)
    assert math.isnan(losses[-1])
    assert len(losses) == 2


def test_first_vectors_are_words_of_the_vocabulary(model: Any) -> None:
    embeddings = model.get_input_embeddings().weight
    vectors = start(model)
    assert all((embeddings == vector).all(dim=1).any() for vector in vectors)
    assert torch.equal(vectors, start(model))
    assert not torch.equal(vectors, start(model, seed=1))


def test_examples_are_bounded_and_prompts_cut_but_never_programs() -> None:
    long, settings = tuple(range(100)), replace(SETTINGS, examples=3)
    pairs = [Pair(long, (1,) * 10), Pair(long, (2,) * 20), Pair(long, (3,) * 65), Pair((9,), (4,) * 64), Pair((9,), ())]
    kept = soft_prompt.select(pairs, settings, seed=0)
    # Both examples of the long prompt are cut alike, to the last 44 tokens; the program of 65 tokens is left out.
    assert kept == [Pair(long[56:], (1,) * 10), Pair(long[56:], (2,) * 20), Pair((), (4,) * 64)]
    many = [Pair((1,), (place,)) for place in range(1, 20)]
    chosen = soft_prompt.select(many, settings, seed=0)
    assert len(chosen) == 3 and chosen == soft_prompt.select(many, settings, seed=0)
    assert {tuple(soft_prompt.select(many, settings, seed=seed)) for seed in range(5)} != {tuple(chosen)}


def test_packs_stay_within_their_limit_and_lose_nothing() -> None:
    pairs = [Pair((1, 2, 3), (place,) * 30) for place in range(5)] + [Pair((4,), (9,) * 90)]
    packs = soft_prompt._packed(pairs, SETTINGS)
    assert [len(pack.programs) for pack in packs] == [2, 2, 1, 1]
    assert [program for pack in packs for program in pack.programs] == [pair.program for pair in pairs]


def test_a_written_soft_prompt_is_read_back(tmp_path: Path) -> None:
    vectors = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "new" / "adapter.safetensors"
    soft_prompt.write(path, vectors, "tiny")
    assert torch.equal(soft_prompt.read(path, 8), vectors)
    assert [file.name for file in path.parent.iterdir()] == ["adapter.safetensors"]


def test_a_failed_write_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "adapter.safetensors"
    soft_prompt.write(path, torch.zeros(4, 8), "tiny")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        soft_prompt.write(path, torch.ones(4, 8), "tiny")
    assert torch.equal(soft_prompt.read(path, 8), torch.zeros(4, 8))
    assert [file.name for file in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_a_file_that_is_no_soft_prompt_of_this_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    with pytest.raises(UsageError, match="cannot read"):
        soft_prompt.read(path, 8)
    path.write_bytes(b"not safetensors")
    with pytest.raises(UsageError, match="cannot read"):
        soft_prompt.read(path, 8)
    soft_prompt.write(path, torch.zeros(4, 8), "tiny")
    with pytest.raises(UsageError, match="width 16"):
        soft_prompt.read(path, 16)
