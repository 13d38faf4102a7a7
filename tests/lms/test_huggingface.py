from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasmith.errors import ConfigError, UsageError
from nasmith.lms.huggingface import HuggingFace
from nasmith.protocols import TunableLanguageModel
from nasmith.types import Example, Request, Tune

PROMPT = "{'num_params': '5210', 'val_accuracy': '0.865'}\ndef Model():\n"
PROGRAM = "    return nn.Sequential(nn.ReLU())\n"
EXAMPLES = [Example(PROMPT, PROGRAM)] * 4
OPTIONS: dict[str, Any] = {"dtype": "float32", "virtual_tokens": 4, "tuning_batch": 2}


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
    ids = lm._tokens(PROMPT)
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
    assert [completion.tokens_in for completion in completions] == [len(lm._tokens(PROMPT)), 0, 0]
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


def test_tuning_lowers_the_loss_and_is_used_stored_and_loaded(lm: HuggingFace, tiny: Path, tmp_path: Path) -> None:
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

    fresh = HuggingFace(tiny, **OPTIONS)
    fresh.load(path)
    assert texts(fresh) == [completion.text for completion in tuned]
    fresh.load(None)
    assert texts(fresh) == before


def test_a_second_round_goes_on_from_the_first(lm: HuggingFace, tmp_path: Path) -> None:
    first = lm.tune(Tune(0, (), 0), EXAMPLES, tmp_path / "a.safetensors")
    second = lm.tune(Tune(1, (), 0), EXAMPLES, tmp_path / "b.safetensors")
    assert second.losses[0] == pytest.approx(first.losses[-1], rel=1e-4)


@pytest.mark.parametrize(("learning_rate", "cause"), [(1e6, "did not fall"), (1e38, "did not fall")])
def test_a_tuning_that_fails_keeps_the_former_soft_prompt(tiny: Path, tmp_path: Path, learning_rate: float, cause: str) -> None:
    lm = HuggingFace(tiny, **OPTIONS)
    good = tmp_path / "good.safetensors"
    lm.tune(Tune(0, (), 0), EXAMPLES, good)
    before = texts(lm)
    bad = HuggingFace(tiny, **OPTIONS, learning_rate=learning_rate)
    bad.load(good)
    tuning = bad.tune(Tune(1, (), 0), EXAMPLES, tmp_path / "bad.safetensors")
    assert not tuning.accepted and tuning.weights == "" and cause in tuning.message
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
