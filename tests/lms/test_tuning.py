from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nasmith.lms import tuning
from nasmith.lms.causal_decoder import load_model
from nasmith.lms.lora import LowRankTuning
from nasmith.lms.soft_prompt import SoftPrompt, first_vectors
from nasmith.lms.tuning import Adapter, Pair, Settings

SETTINGS = Settings(epochs=5, batch=4, learning_rate=0.1, examples=32, tokens=64, pack=96)
PAIRS = [Pair((7, 8, 9), (20, 21, 22, 23, 24)), Pair((7, 8, 9), (20, 21, 30)), Pair((5, 6), (20, 21, 22, 23))] * 3


@pytest.fixture
def model(tiny: Path) -> Any:
    return load_model(tiny, "float32", "cpu")


def soft(model: Any, seed: int = 0) -> SoftPrompt:
    return SoftPrompt(model, first_vectors(model.get_input_embeddings().weight, 4, seed))


def low_rank(model: Any, seed: int = 0) -> LowRankTuning:
    return LowRankTuning(model, None, rank=2, alpha=4.0, targets=None, seed=seed)


@pytest.fixture(params=["soft-prompt", "lora"])
def adapter(request: pytest.FixtureRequest, tiny: Path) -> Adapter:
    made = soft if request.param == "soft-prompt" else low_rank
    return made(load_model(tiny, "float32", "cpu"))


def copies(adapter: Adapter) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in adapter.parameters()]


def alone(adapter: Adapter, pairs: list[Pair]) -> float:
    """The mean loss of programs that are read one by one."""
    total, embed, prefix = 0.0, adapter.model.get_input_embeddings(), adapter.prefix()
    before = torch.empty(0, embed.weight.shape[1]) if prefix is None else prefix[0]
    for pair in pairs:
        with torch.no_grad():
            embedded = torch.cat([before, embed(torch.tensor(pair.prompt + pair.program))])
            logits = adapter.model(inputs_embeds=embedded[None]).logits[0]
        said = slice(len(before) + len(pair.prompt) - 1, -1)
        total += F.cross_entropy(logits[said], torch.tensor(pair.program), reduction="sum").item()
    return total / sum(len(pair.program) for pair in pairs)


def test_the_loss_of_packed_programs_is_that_of_each_alone(adapter: Adapter) -> None:
    wanted = alone(adapter, PAIRS)
    assert tuning.learn(adapter, PAIRS, SETTINGS, seed=0)[0] == pytest.approx(wanted, rel=1e-4)


def test_learning_lowers_the_loss_and_leaves_the_model_alone(adapter: Adapter) -> None:
    learned = {id(parameter) for parameter in adapter.parameters()}
    kept = [parameter for parameter in adapter.model.parameters() if id(parameter) not in learned]
    before, start, seen = [parameter.clone() for parameter in kept], copies(adapter), []
    losses = tuning.learn(adapter, PAIRS, replace(SETTINGS, learning_rate=0.05), 0, lambda *steps: seen.append(steps))
    assert losses[-1] < losses[0] - 0.2 and tuning.fell(losses)
    assert losses[-1] == pytest.approx(alone(adapter, PAIRS), rel=1e-4)
    assert len(losses) == SETTINGS.epochs + 2
    assert seen == [(step + 1, 15) for step in range(15)]
    assert not any(map(torch.equal, start, copies(adapter)))
    assert all(map(torch.equal, before, kept)) and len(kept) > 20


@pytest.mark.parametrize("make", [soft, low_rank])
def test_the_same_seed_learns_the_same(tiny: Path, make: Any) -> None:
    def learned(seed: int) -> tuple[list[Tensor], tuple[float, ...]]:
        adapter = make(load_model(tiny, "float32", "cpu"))
        losses = tuning.learn(adapter, PAIRS, SETTINGS, seed)
        return copies(adapter), losses

    first, losses = learned(3)
    torch.rand(5, generator=torch.Generator().manual_seed(1))
    again, same = learned(3)
    assert all(map(torch.equal, first, again)) and losses == same
    assert not all(map(torch.equal, first, learned(4)[0]))


def test_global_random_numbers_are_left_alone(model: Any) -> None:
    before = torch.get_rng_state()
    tuning.learn(low_rank(model), PAIRS[:2], replace(SETTINGS, epochs=1), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_learning_ends_where_the_loss_is_not_finite(model: Any) -> None:
    losses = tuning.learn(SoftPrompt(model, torch.full((4, 32), math.nan)), PAIRS, SETTINGS, seed=0)
    assert math.isnan(losses[-1]) and not tuning.fell(losses)
    assert len(losses) == 2


@pytest.mark.parametrize(("losses", "helped"), [((2.0, 1.9), True), ((2.0, 1.0, 2.0), False), ((2.0, math.nan), False)])
def test_only_a_finite_loss_that_fell_counts(losses: tuple[float, ...], helped: bool) -> None:
    assert tuning.fell(losses) is helped


@pytest.mark.parametrize("kind", ["mamba", "bloom"])
def test_a_model_that_would_mix_programs_reads_each_alone(kind: str) -> None:
    from transformers import AutoModelForCausalLM, BloomConfig, MambaConfig

    sizes: dict[str, Any] = {"vocab_size": 64, "hidden_size": 16, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    config = {
        "mamba": lambda: MambaConfig(num_hidden_layers=2, state_size=4, **sizes),
        "bloom": lambda: BloomConfig(n_layer=2, n_head=2, **sizes),
    }[kind]()
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        adapter = soft(AutoModelForCausalLM.from_config(config).eval().requires_grad_(False))
    wanted = alone(adapter, PAIRS)
    losses = tuning.learn(adapter, PAIRS, SETTINGS, seed=0)
    assert losses[0] == pytest.approx(wanted, rel=1e-4) and tuning.fell(losses)


def test_a_pack_that_does_not_fit_into_memory_is_halved_and_learns_the_same(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learned(most: int) -> tuple[list[Tensor], tuple[float, ...], list[int]]:
        sizes, whole = [], tuning._loss

        def loss(adapter: Adapter, pack: Any) -> Tensor:
            if len(pack.programs) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            sizes.append(len(pack.programs))
            return whole(adapter, pack)

        with monkeypatch.context() as patch:
            patch.setattr(tuning, "_loss", loss)
            adapter = low_rank(load_model(tiny, "float32", "cpu"))
            losses = tuning.learn(adapter, PAIRS, replace(SETTINGS, learning_rate=0.01), 0)
        return copies(adapter), losses, sizes

    whole, losses, sizes = learned(9)
    split, same, smaller = learned(2)
    assert max(sizes) > 2 == max(smaller)
    assert same == pytest.approx(losses, rel=1e-4)
    for one, other in zip(whole, split, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_one_program_that_does_not_fit_is_an_error(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(tuning, "_loss", full)
    with pytest.raises(torch.OutOfMemoryError):
        tuning.learn(soft(model), PAIRS, SETTINGS, 0)


def test_more_memory_holds_more_tokens_of_a_pack(model: Any) -> None:
    small, large = (tuning.tokens_within(limit, model.config) for limit in (10**6, 10**8))
    assert 1 <= small < large == pytest.approx(100 * small, rel=0.1)


def test_examples_are_bounded_and_prompts_cut_but_never_programs() -> None:
    long, settings = tuple(range(100)), replace(SETTINGS, examples=3)
    pairs = [Pair(long, (1,) * 10), Pair(long, (2,) * 20), Pair(long, (3,) * 65), Pair((9,), (4,) * 64), Pair((9,), ())]
    kept = tuning.select(pairs, settings, seed=0)
    # Both examples of the long prompt are cut alike, to the last 44 tokens; the program of 65 tokens is left out.
    assert kept == [Pair(long[56:], (1,) * 10), Pair(long[56:], (2,) * 20), Pair((), (4,) * 64)]
    many = [Pair((1,), (place,)) for place in range(1, 20)]
    chosen = tuning.select(many, settings, seed=0)
    assert len(chosen) == 3 and chosen == tuning.select(many, settings, seed=0)
    assert {tuple(tuning.select(many, settings, seed=seed)) for seed in range(5)} != {tuple(chosen)}


def test_packs_stay_within_their_limit_and_lose_nothing(model: Any) -> None:
    pairs = [Pair((1, 2, 3), (place,) * 30) for place in range(5)] + [Pair((4,), (9,) * 90)]
    packs = tuning._packed(pairs, SETTINGS, soft(model))
    assert [len(pack.programs) for pack in packs] == [2, 2, 1, 1]
    assert [program for pack in packs for program in pack.programs] == [pair.program for pair in pairs]


def test_a_program_with_nothing_before_it_is_learned_from_its_second_token_on(model: Any) -> None:
    with torch.no_grad():
        logits = model(torch.tensor([[20, 21, 22]])).logits[0, :2]
    wanted = F.cross_entropy(logits, torch.tensor([21, 22]), reduction="sum").item()
    pack = tuning._packed([Pair((), (20, 21, 22))], SETTINGS, low_rank(model))[0]
    assert tuning._loss(low_rank(model), pack).item() == pytest.approx(wanted, rel=1e-4)
