from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasmith.errors import ConfigError, UsageError
from nasmith.lms.huggingface import HuggingFace
from nasmith.protocols import TunableLanguageModel
from nasmith.types import Example, Message, Request, Traits, Tune

PROMPT = "{'num_params': '5210', 'val_accuracy': '0.865'}\ndef Model():\n"
PROGRAM = "    return nn.Sequential(nn.ReLU())\n"
EXAMPLES = [Example(PROMPT, PROGRAM)] * 4
OPTIONS: dict[str, Any] = {"dtype": "float32", "device": "cpu", "virtual_tokens": 4, "tuning_batch": 2}
TALK = (Message("system", "Be short."), Message("user", "A program?"))


@pytest.fixture
def lm(tiny: Path) -> HuggingFace:
    return HuggingFace(tiny, **OPTIONS)


def texts(lm: HuggingFace, **changes: Any) -> list[str]:
    options: dict[str, Any] = {"n": 6, "temperature": 1.0, "max_tokens": 12, **changes}
    return [completion.text for completion in lm.complete(Request(PROMPT, **options))]


@pytest.mark.parametrize("which", ["tiny", "tiny_gpt2"])
def test_greedy_replies_are_those_of_transformers(which: str, request: pytest.FixtureRequest) -> None:
    from transformers import AutoModelForCausalLM

    folder = request.getfixturevalue(which)
    lm = HuggingFace(folder, dtype="float32")
    said = lm.complete(Request(PROMPT, n=2, temperature=0, max_tokens=30))
    ids = lm._tokens.prompt(PROMPT)
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    wanted = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=30, pad_token_id=0)[0, len(ids) :].tolist()
    assert said[0].text == said[1].text == lm._tokenizer.decode(wanted)


def test_the_same_request_gives_the_same_replies_whatever_was_asked_before(lm: HuggingFace, tiny: Path) -> None:
    first = texts(lm, seed=1)
    others = texts(lm, seed=2)
    lm.complete(Request("something else", n=3, max_tokens=5))
    assert texts(lm, seed=1) == first != others
    assert texts(HuggingFace(tiny, **OPTIONS), seed=1) == first


def test_completions_say_what_they_cost(lm: HuggingFace) -> None:
    completions = lm.complete(Request(PROMPT, n=3, max_tokens=7, temperature=1.0))
    assert [completion.tokens_in for completion in completions] == [len(lm._tokens.prompt(PROMPT)), 0, 0]
    assert all(0 < completion.tokens_out <= 7 for completion in completions)
    assert all(completion.model == lm.name == "llama" and completion.prompt == PROMPT for completion in completions)
    assert all(completion.seconds > 0 for completion in completions)


def test_stop_cuts_a_reply(lm: HuggingFace) -> None:
    completions = lm.complete(
        Request(PROMPT, n=8, max_tokens=40, temperature=2.0, stop=lambda said: said.find(")") if ")" in said else None)
    )
    assert any(completion.finish == "stop" for completion in completions)
    assert all(")" not in completion.text for completion in completions)


def test_a_prompt_that_does_not_fit_is_refused_and_never_cut(tiny: Path) -> None:
    lm = HuggingFace(tiny, context=20)
    with pytest.raises(UsageError, match="holds 1 to 19"):
        lm.complete(Request(PROMPT * 3))
    with pytest.raises(UsageError, match="0 tokens"):
        lm.complete(Request(""))


def test_a_reply_ends_with_the_context(tiny: Path) -> None:
    lm = HuggingFace(tiny, context=50)
    completions = lm.complete(Request(PROMPT, n=4, temperature=1.0, max_tokens=400))
    used = [completion.tokens_out + completions[0].tokens_in for completion in completions]
    assert max(used) == 50


@pytest.fixture(params=["soft-prompt", "lora"])
def tunable(request: pytest.FixtureRequest, tiny: Path) -> HuggingFace:
    return adapted(tiny, request.param)


def adapted(folder: Path, adapter: str, **options: Any) -> HuggingFace:
    rates = {"learning_rate": 0.01} if adapter == "lora" else {}
    return HuggingFace(folder, adapter=adapter, **{**OPTIONS, **rates, **options})


def test_tuning_lowers_the_loss_and_is_used_stored_and_loaded(tunable: HuggingFace, tiny: Path, tmp_path: Path) -> None:
    lm = tunable
    assert isinstance(lm, TunableLanguageModel)
    path, seen = tmp_path / "adapter-0.safetensors", []
    before = texts(lm)
    tuning = lm.tune(Tune(0, (1, 2, 3, 4), 7), EXAMPLES, path, lambda done, total: seen.append((done, total)))
    assert tuning.accepted and tuning.losses[-1] < tuning.losses[0]
    assert (tuning.examples, tuning.weights, tuning.round) == (4, path.name, 0)
    assert seen[-1] == (10, 10)
    tuned = lm.complete(Request(PROMPT, n=6, temperature=1.0, max_tokens=12))
    assert [completion.text for completion in tuned] != before
    assert tuned[0].model == "llama+adapter-0"

    fresh = adapted(tiny, lm.adapter)
    fresh.load(path)
    assert texts(fresh) == [completion.text for completion in tuned]
    fresh.load(None)
    assert texts(fresh) == before
    fresh.load(path)
    assert texts(fresh) == [completion.text for completion in tuned]


def test_a_second_round_goes_on_from_the_first(tunable: HuggingFace, tiny: Path, tmp_path: Path) -> None:
    first = tunable.tune(Tune(0, (), 0), EXAMPLES, tmp_path / "a.safetensors")
    second = tunable.tune(Tune(1, (), 0), EXAMPLES, tmp_path / "b.safetensors")
    assert second.losses[0] == pytest.approx(first.losses[-1], rel=1e-4) and second.accepted
    resumed = adapted(tiny, tunable.adapter)
    resumed.load(tmp_path / "a.safetensors")
    assert resumed.tune(Tune(1, (), 0), EXAMPLES, tmp_path / "c.safetensors").losses == second.losses


@pytest.mark.parametrize("which", ["tiny", "tiny_gpt2"])
def test_greedy_replies_with_low_rank_changes_are_those_of_peft(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from nasmith.lms import lora
    from nasmith.lms.causal_decoder import load_model

    folder, path = request.getfixturevalue(which), tmp_path / "adapter.safetensors"
    lm = adapted(folder, "lora", learning_rate=0.03)
    before = texts(lm, temperature=0, max_tokens=30)
    assert lm.tune(Tune(0, (), 0), EXAMPLES, path).accepted
    options: dict[str, Any] = {"rank": 1, "alpha": 1.0, "targets": None, "seed": 0}
    peft = lora.LowRankTuning(load_model(folder, "float32", "cpu"), lora.read(path, lm.name), **options)
    ids = lm._tokens.prompt(PROMPT)
    wanted = peft.model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=30, pad_token_id=0)[0, len(ids) :]
    assert texts(lm, temperature=0, max_tokens=30) == [lm._tokenizer.decode(wanted.tolist())] * 6 != before


def test_a_general_model_is_tuned_by_a_soft_prompt_too(tiny_gpt2: Path, tmp_path: Path) -> None:
    lm, path = HuggingFace(tiny_gpt2, **OPTIONS), tmp_path / "adapter.safetensors"
    assert lm.tune(Tune(0, (), 0), EXAMPLES, path).accepted
    fresh = HuggingFace(tiny_gpt2, **OPTIONS)
    fresh.load(path)
    assert texts(fresh) == texts(lm)


def test_an_adapter_of_another_kind_or_model_is_refused_and_the_present_one_stays(
    tunable: HuggingFace, tiny: Path, tmp_path: Path
) -> None:
    other = adapted(tiny, "lora" if tunable.adapter == "soft-prompt" else "soft-prompt")
    wrong, renamed = tmp_path / "wrong.safetensors", tmp_path / "renamed.safetensors"
    other.tune(Tune(0, (), 0), EXAMPLES, wrong)
    adapted(tiny, tunable.adapter, name="another").tune(Tune(0, (), 0), EXAMPLES, renamed)
    tunable.tune(Tune(0, (), 0), EXAMPLES, tmp_path / "right.safetensors")
    before = texts(tunable)
    for path, reason in ((wrong, "set adapter="), (renamed, "tuned for the model another")):
        with pytest.raises(UsageError, match=reason):
            tunable.load(path)
        assert texts(tunable) == before
        unopened = adapted(tiny, tunable.adapter)
        unopened.load(path)
        with pytest.raises(UsageError, match=reason):
            unopened.warm()


@pytest.mark.parametrize("learning_rate", [1e6, 1e30])
def test_a_tuning_that_fails_keeps_the_former_adapter(
    tunable: HuggingFace, tiny: Path, tmp_path: Path, learning_rate: float
) -> None:
    good = tmp_path / "good.safetensors"
    tunable.tune(Tune(0, (), 0), EXAMPLES, good)
    before = texts(tunable)
    bad = adapted(tiny, tunable.adapter, learning_rate=learning_rate)
    bad.load(good)
    tuning = bad.tune(Tune(1, (), 0), EXAMPLES, tmp_path / "bad.safetensors")
    assert not tuning.accepted and tuning.weights == "" and "did not fall" in tuning.message
    assert not (tmp_path / "bad.safetensors").exists()
    assert texts(bad) == before


def test_nothing_to_learn_from_is_said(lm: HuggingFace, tmp_path: Path) -> None:
    tuning = lm.tune(Tune(0, (), 0), [], tmp_path / "adapter.safetensors")
    assert not tuning.accepted and "nothing to learn from" in tuning.message


def test_closing_twice_is_fine_and_the_model_loads_again(lm: HuggingFace) -> None:
    first = texts(lm)
    lm.close()
    lm.close()
    assert texts(lm) == first


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("dtype", "int8"),
        ("context", 1),
        ("threads", 0),
        ("learning_rate", 0.0),
        ("virtual_tokens", 0),
        ("tuning_examples", 0),
        ("adapter", "qlora"),
        ("lora_rank", 0),
        ("lora_alpha", 0.0),
        ("lora_targets", ()),
        ("memory_mb", 0),
        ("temperatures", ()),
        ("temperatures", (-0.1,)),
        ("operators", {}),
        ("operators", {"infill": 0.0}),
    ],
)
def test_an_option_that_breaks_a_rule_is_refused_at_once(option: str, value: Any) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ConfigError, match=option):
        HuggingFace("anywhere", **options)


def test_a_folder_without_a_model_is_refused_with_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json"):
        HuggingFace(tmp_path).warm()


def test_the_number_of_threads_is_kept_and_given_back(tiny: Path) -> None:
    before = torch.get_num_threads()
    texts(HuggingFace(tiny, threads=1))
    assert torch.get_num_threads() == before


def test_the_learning_rate_is_that_of_the_adapter_unless_one_is_given() -> None:
    rates = [HuggingFace("anywhere", adapter=adapter).learning_rate for adapter in ("soft-prompt", "lora")]
    assert rates == [0.1, 0.001]
    assert HuggingFace("anywhere", adapter="lora", learning_rate=0.5).learning_rate == 0.5


def test_a_name_on_the_hub_is_asked_for_there(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasmith.lms.hub._cached", lambda name: tiny if name == "maker/model" else None)
    lm = HuggingFace("maker/model", dtype="float32")
    assert lm.name == "model"
    assert texts(lm, seed=1) == texts(HuggingFace(tiny, **OPTIONS), seed=1)


def test_a_device_that_is_missing_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cuda:99"):
        HuggingFace(tmp_path, device="cuda:99").warm()


@pytest.mark.parametrize("which", ["tiny", "tiny_gpt2"])
def test_a_limit_of_memory_splits_a_request_and_changes_no_reply(which: str, request: pytest.FixtureRequest) -> None:
    folder, asked = request.getfixturevalue(which), {"n": 16, "max_tokens": 250, "temperature": 1.5}
    lm = HuggingFace(folder, **OPTIONS, memory_mb=1)
    whole = HuggingFace(folder, **OPTIONS)
    lm.warm()
    steps, step = [], lm._decoder.step

    def counted(origins: list[int], tokens: list[int]) -> torch.Tensor:
        steps.append(len(tokens))
        return step(origins, tokens)

    lm._decoder.step = counted
    assert texts(lm, **asked) == texts(whole, **asked)
    assert 1 < max(steps) < 16


def test_a_limit_of_memory_makes_the_packs_of_a_tuning_smaller(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasmith.lms import tuning

    sizes, whole = [], tuning._loss

    def loss(adapter: Any, pack: Any) -> Any:
        sizes.append(len(pack.programs))
        return whole(adapter, pack)

    monkeypatch.setattr(tuning, "_loss", loss)
    for limit in (None, 1):
        sizes.clear()
        lm = HuggingFace(tiny, **{**OPTIONS, "tuning_batch": 4, "memory_mb": limit})
        lm.tune(Tune(0, (), 0), EXAMPLES, tmp_path / "adapter.safetensors")
        assert max(sizes) == (4 if limit is None else 2)


def test_a_prompt_that_memory_does_not_hold_is_said_in_words(lm: HuggingFace, monkeypatch: pytest.MonkeyPatch) -> None:
    lm.warm()

    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patch:
        patch.setattr(lm._decoder, "begin", full)
        with pytest.raises(UsageError, match="does not fit into the memory of cpu"):
            texts(lm)
    assert texts(lm) == texts(lm)


def test_messages_are_answered_after_the_template(tiny_chat: Path) -> None:
    lm = HuggingFace(tiny_chat, **OPTIONS, chat=True)
    assert lm.traits == Traits(chat=True, exact=True, constrained=True)
    assert lm.operators == {"crossover": 1.0, "edit": 1.0, "draft": 0.1}
    asked = lm.complete(Request("transcript", n=3, seed=1, max_tokens=8, messages=TALK))
    written = "[system]Be short.<end>[user]A program?<end>[assistant]"  # the tokenizer puts "!" before it itself
    continued = lm.complete(Request(written, n=3, seed=1, max_tokens=8))
    assert [one.text for one in asked] == [one.text for one in continued]
    assert {one.prompt for one in asked} == {"transcript"} and asked[0].tokens_in == continued[0].tokens_in


def test_conversations_are_learned_from(tiny_chat: Path, tmp_path: Path) -> None:
    lm = HuggingFace(tiny_chat, **OPTIONS, chat=True)
    said = [Example("transcript", PROGRAM, TALK)] * 4
    tuning = lm.tune(Tune(0, (), 0), said, tmp_path / "a.safetensors")
    assert tuning.accepted and tuning.losses[0] != lm.tune(Tune(0, (), 0), EXAMPLES, tmp_path / "b.safetensors").losses[0]


def test_a_model_without_a_template_is_refused_when_asked_and_at_once_when_meant_to_chat(lm: HuggingFace, tiny: Path) -> None:
    assert lm.traits == Traits(chat=False, exact=True, constrained=True) and lm.operators == {"crossover": 1.0}
    with pytest.raises(ConfigError, match="no chat template"):
        lm.complete(Request("transcript", messages=TALK))
    with pytest.raises(ConfigError, match="no chat template"):
        HuggingFace(tiny, chat=True).warm()


def test_a_reply_ends_before_a_stop_text(lm: HuggingFace) -> None:
    whole = texts(lm, max_tokens=40, temperature=1.5)
    cut = texts(lm, max_tokens=40, temperature=1.5, stop_texts=("e", "("))
    assert cut == [text[: min((text + "e(").index(sign) for sign in "e(")] for text in whole] != whole


def test_a_component_is_made_again_from_its_description(tiny: Path) -> None:
    from nasmith import registry

    lm = HuggingFace(tiny, chat=True, adapter="lora", lora_targets=["q_proj"])
    described = registry.describe("lms", lm)
    again = registry.create("lms", described["name"], described["options"])
    assert registry.describe("lms", again) == described
    assert registry.create("lms", f"huggingface:{tiny}").folder == str(tiny)
