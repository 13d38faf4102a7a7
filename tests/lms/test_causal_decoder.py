from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasmith.errors import ConfigError
from nasmith.lms.causal_decoder import CausalDecoder, load_model

SIZES: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
ATTENTION = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "num_hidden_layers": 2}


def made(kind: str) -> Any:
    """A random model of a few thousand weights."""
    import transformers
    from transformers import AutoModelForCausalLM

    options: dict[str, dict[str, Any]] = {
        "GPT2": {"n_layer": 2, "n_head": 4},
        "Qwen2": ATTENTION,
        "Gemma2": ATTENTION | {"head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 8},
        "Bloom": {"n_layer": 2, "n_head": 4},
        "Mamba": {"num_hidden_layers": 2, "state_size": 4},
    }
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(**SIZES, **options[kind])
        return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["GPT2", "Qwen2", "Gemma2", "Bloom", "Mamba"])
def test_rows_that_split_and_end_keep_their_own_past_in_a_model_that_is_no_llama(kind: str) -> None:
    model = made(kind)
    decoder = CausalDecoder(model)
    assert decoder.hidden_size == 32
    decoder.begin([5, 6, 7, 8, 9])
    decoder.step([0, 0], [9, 10])
    logits = decoder.step([1, 1, 0], [11, 12, 13])
    with torch.no_grad():
        lines = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [5, 6, 7, 8, 9, 10, 12], [5, 6, 7, 8, 9, 9, 13]])
        wanted = model(lines).logits[:, -1]
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)


def test_the_memory_of_rows_is_that_of_their_keys_and_values() -> None:
    decoder = CausalDecoder(made("Qwen2"))
    decoder.begin([5, 6, 7, 8])
    position = 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, width, bytes
    assert decoder.key_value_bytes(3, 10) == 3 * (4 + 10) * position


def test_a_model_without_a_memory_that_rows_share_is_refused() -> None:
    class Oblivious(torch.nn.Module):
        config = type("Config", (), {"model_type": "oblivious"})

        def get_input_embeddings(self) -> Any:
            return torch.nn.Embedding(2, 2)

        def forward(self, input_ids: Any) -> None: ...

    with pytest.raises(ConfigError, match="oblivious"):
        CausalDecoder(Oblivious())


def test_a_loaded_model_is_for_reading_alone(tiny: Path) -> None:
    model = load_model(tiny, "bfloat16", "cpu")
    assert not model.training and model.dtype == torch.bfloat16
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_folder_that_is_no_causal_lm_or_brings_its_own_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ConfigError, match="cannot load"):
        load_model(tmp_path, "float32", "cpu")
    (tmp_path / "own.py").write_text("raise SystemExit")
    mapped = '{"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}'
    (tmp_path / "config.json").write_text(mapped)
    with pytest.raises(ConfigError, match="cannot load"):
        load_model(tmp_path, "float32", "cpu")
