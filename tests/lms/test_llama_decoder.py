from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nasmith.errors import UsageError
from nasmith.lms.causal_decoder import CausalDecoder
from nasmith.lms.llama_decoder import CHUNK, LlamaDecoder, can_decode
from nasmith.lms.lora import LowRank, LowRankTuning


def reference(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()


def tokens(count: int, seed: int = 0) -> list[int]:
    return torch.randint(1, 300, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.fixture(params=["llama", "general"])
def decoder(request: pytest.FixtureRequest, tiny: Path) -> Any:
    return LlamaDecoder(tiny, "float32") if request.param == "llama" else CausalDecoder(reference(tiny))


def test_logits_of_prompt_and_continuations_are_those_of_transformers(decoder: Any, tiny: Path) -> None:
    model, prompt = reference(tiny), tokens(CHUNK + 40)
    logits = [decoder.begin(prompt)]
    lines = [[*prompt, 5], [*prompt, 6], [*prompt, 7]]
    logits.append(decoder.step([0, 0, 0], [5, 6, 7]))
    # The second line ends, the third goes on twice.
    lines = [[*lines[2], 8], [*lines[0], 9], [*lines[2], 10]]
    logits.append(decoder.step([2, 0, 2], [8, 9, 10]))
    lines = [[*line, 11] for line in lines]
    logits.append(decoder.step([0, 1, 2], [11, 11, 11]))
    with torch.no_grad():
        wanted = model(torch.tensor([prompt])).logits[:, -1]
        torch.testing.assert_close(logits[0], wanted, rtol=1e-4, atol=1e-4)
        wanted = model(torch.tensor(lines)).logits[:, -1]
    torch.testing.assert_close(logits[3], wanted, rtol=1e-4, atol=1e-4)


def test_a_long_continuation_outgrows_its_first_block_of_memory(tiny: Path) -> None:
    decoder, prompt, line = LlamaDecoder(tiny, "float32"), tokens(10), tokens(150, seed=1)
    logits = decoder.begin(prompt)
    for place, token in enumerate(line):
        logits = decoder.step([0, 0] if place == 0 else [0, 1], [token, token])
    with torch.no_grad():
        wanted = reference(tiny)(torch.tensor([prompt + line])).logits[:, -1]
    torch.testing.assert_close(logits, wanted.expand(2, -1), rtol=1e-4, atol=1e-4)


def test_vectors_before_the_prompt_act_as_embeddings(decoder: Any, tiny: Path) -> None:
    model, prompt = reference(tiny), tokens(30)
    soft = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        embedded = torch.cat([soft, model.get_input_embeddings()(torch.tensor(prompt))])[None]
        wanted = model(inputs_embeds=embedded).logits[:, -1]
    torch.testing.assert_close(decoder.begin(prompt, soft), wanted, rtol=1e-4, atol=1e-4)


def test_a_reused_prefix_has_the_same_bits_as_a_fresh_one(tiny: Path) -> None:
    shared, decoder = tokens(2 * CHUNK), LlamaDecoder(tiny, "float32")
    decoder.begin(shared + tokens(90, seed=1))
    prompt = shared + tokens(50, seed=2)
    reused = decoder.begin(prompt)
    fresh = LlamaDecoder(tiny, "float32").begin(prompt)
    assert torch.equal(reused, fresh)


def test_a_reused_prefix_is_not_computed_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, read = LlamaDecoder(tiny, "float32"), []
    whole = decoder._read_chunk
    monkeypatch.setattr(decoder, "_read_chunk", lambda hidden, first: read.append(first) or whole(hidden, first))
    prompt = tokens(2 * CHUNK + 10)
    decoder.begin(prompt)
    decoder.begin([*prompt[:-1], 5])
    assert read == [0, CHUNK, 2 * CHUNK, 2 * CHUNK]


def test_other_vectors_before_the_same_prompt_are_noticed(tiny: Path) -> None:
    decoder, prompt = LlamaDecoder(tiny, "float32"), tokens(CHUNK + 10)
    one, other = torch.zeros(4, 32), torch.ones(4, 32)
    first = decoder.begin(prompt, one)
    assert not torch.allclose(first, decoder.begin(prompt, other))
    assert torch.equal(first, decoder.begin(prompt, one))


def test_forgetting_leaves_no_trace(decoder: Any) -> None:
    prompt = tokens(40)
    first = decoder.begin(prompt)
    decoder.step([0], [5])
    decoder.forget()
    assert torch.equal(decoder.begin(prompt), first)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_change_little(tiny: Path, dtype: str) -> None:
    prompt = tokens(50)
    exact = LlamaDecoder(tiny, "float32").begin(prompt)
    near = LlamaDecoder(tiny, dtype).begin(prompt)
    assert (near - exact).norm() < 0.05 * exact.norm()
    assert not torch.equal(near, exact)


def test_changed_weights_act_as_pefts_own_forward_pass(tiny: Path) -> None:
    adapter = LowRankTuning(reference(tiny), None, rank=2, alpha=6.0, targets=None, seed=0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draw))
        wanted = adapter.model(torch.tensor([tokens(30)])).logits[:, -1]
    changed = LlamaDecoder(tiny, "float32", changes=adapter.state).begin(tokens(30))
    torch.testing.assert_close(changed, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(changed, LlamaDecoder(tiny, "float32").begin(tokens(30)), atol=1e-2)


def test_changes_of_another_model_are_refused(tiny: Path) -> None:
    factors = {f"base_model.model.h.0.attn.lora_{half}.weight": torch.zeros(2, 2) for half in "AB"}
    with pytest.raises(UsageError, match=r"h\.0\.attn"):
        LlamaDecoder(tiny, "float32", changes=LowRank(factors, 2, 1.0))


def test_reading_that_is_broken_off_leaves_no_wrong_prefix(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, shared = LlamaDecoder(tiny, "float32"), tokens(CHUNK)
    prompt = shared + tokens(CHUNK + 20, seed=1)
    wanted, whole = decoder.begin(prompt), decoder._read_chunk

    def broken(hidden: torch.Tensor, first: int) -> torch.Tensor:
        if first > CHUNK:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(hidden, first)

    with monkeypatch.context() as patch:
        patch.setattr(decoder, "_read_chunk", broken)
        with pytest.raises(torch.OutOfMemoryError):
            decoder.begin(shared + tokens(CHUNK + 20, seed=2))
    assert torch.equal(decoder.begin(prompt), wanted)


def test_the_memory_of_rows_is_that_of_one_prompt_and_their_own_keys_and_values(tiny: Path) -> None:
    decoder = LlamaDecoder(tiny, "float32")
    decoder.begin(tokens(20))
    position = 2 * 3 * 2 * 8 * 4  # keys and values, layers, heads, width, bytes
    assert decoder.key_value_bytes(3, 10) == (20 + 3 * 10) * position


def test_only_plain_llamas_are_claimed(tiny: Path, tiny_gpt2: Path) -> None:
    config = json.loads((tiny / "config.json").read_text())
    assert can_decode(config)
    assert not can_decode(json.loads((tiny_gpt2 / "config.json").read_text()))
    assert not can_decode(config | {"attention_bias": True})
    assert not can_decode(config | {"rope_parameters": {"rope_type": "llama3"}})
    assert not can_decode(config | {"hidden_act": "gelu"})
