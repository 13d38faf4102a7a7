from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasmith.errors import ConfigError, UsageError
from nasmith.lms import adapters, lora
from nasmith.lms.causal_decoder import load_model
from nasmith.lms.lora import LowRank, LowRankTuning


@pytest.fixture(params=["tiny", "tiny_gpt2"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def started(folder: Path, **changes: Any) -> LowRankTuning:
    """Changes that are not nothing, as after some steps."""
    options: dict[str, Any] = {"rank": 2, "alpha": 6.0, "targets": None, "seed": 0, **changes}
    adapter = LowRankTuning(load_model(folder, "float32", "cpu"), None, **options)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draw))
    return adapter


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([[5, 6, 7, 8]])).logits


def test_fresh_changes_change_nothing_and_a_seed_fixes_them(tiny: Path) -> None:
    plain = load_model(tiny, "float32", "cpu")
    options: dict[str, Any] = {"rank": 2, "alpha": 6.0, "targets": None}
    first, again, other = (LowRankTuning(load_model(tiny, "float32", "cpu"), None, seed=seed, **options) for seed in (0, 0, 1))
    assert torch.equal(logits(first.model), logits(plain))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not all(map(torch.equal, first.parameters(), other.parameters()))


def test_all_linear_layers_of_attention_and_mlp_are_changed_but_not_the_output(tiny: Path) -> None:
    ends = {name.rpartition(".")[2] for name in started(tiny).state.modules}
    assert ends == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert {name.rpartition(".")[2] for name in started(tiny, targets=["q_proj", "v_proj"]).state.modules} == {
        "q_proj",
        "v_proj",
    }


def test_merged_weights_act_as_pefts_own_forward_pass(folder: Path) -> None:
    adapter = started(folder)
    merged = load_model(folder, "float32", "cpu")
    before = logits(merged)
    lora.merge(merged, adapter.state)
    torch.testing.assert_close(logits(merged), logits(adapter.model), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, logits(merged), atol=1e-2)


def test_written_changes_are_read_back_and_go_on(folder: Path, tmp_path: Path) -> None:
    path, adapter = tmp_path / "adapter.safetensors", started(folder)
    adapter.write(path, "tiny")
    read = lora.read(path, "tiny")
    assert (read.rank, read.alpha, read.modules) == (2, 6.0, adapter.state.modules)
    # Rank, scale and modules of the file win over the options.
    later = LowRankTuning(load_model(folder, "float32", "cpu"), read, rank=5, alpha=1.0, targets=["none"], seed=9)
    assert torch.equal(logits(later.model), logits(adapter.model))


@pytest.mark.parametrize("targets", [["nothing"], ["lm_head"], ["embed_tokens"], ["q_proj", "lm_head"]])
def test_targets_that_are_no_inner_linear_layer_are_refused(tiny: Path, targets: list[str]) -> None:
    with pytest.raises(ConfigError, match="lora_targets"):
        started(tiny, targets=targets)


def test_changes_of_another_model_are_refused(tiny: Path, tiny_gpt2: Path) -> None:
    changes = started(tiny).state
    with pytest.raises(UsageError, match="which this model lacks"):
        lora.merge(load_model(tiny_gpt2, "float32", "cpu"), changes)
    wide = LowRank({name: torch.zeros(7, 7) for name in changes.factors}, 7, 1.0)
    with pytest.raises(UsageError, match="another model"):
        lora.merge(load_model(tiny, "float32", "cpu"), wide)


def test_a_file_without_its_scale_is_refused(tmp_path: Path) -> None:
    adapters.write(tmp_path / "a", "lora", "tiny", {"x": torch.zeros(2)})
    with pytest.raises(UsageError, match="rank and alpha"):
        lora.read(tmp_path / "a", "tiny")
