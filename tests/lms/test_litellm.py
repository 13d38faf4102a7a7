from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import httpx2
import openai
import pytest
from scripted_exchange import reply

from nasmith.errors import ConfigError, MissingDependencyError, UsageError
from nasmith.lms.litellm import LiteLLM
from nasmith.protocols import HostedLanguageModel
from nasmith.types import Call, Message, Request, Traits

CANARY = "sk-canary-7f3a9c51d2e8b604"
MODEL = "bedrock/some-model"


class Dumped:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def model_dump(self) -> dict[str, Any]:
        return self.data


class FakeLiteLLM(ModuleType):
    """The part of the package that is used; answers from a list and keeps what it was asked."""

    def __init__(self, answers: list[Any]) -> None:
        super().__init__("litellm")
        self.__spec__ = ModuleSpec("litellm", None)
        self.answers, self.asked = answers, []
        self.model_cost = {"some-model": {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}}

    def completion(self, **body: Any) -> Dumped:
        self.asked.append(body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Dumped(answer)

    text_completion = completion


def broken(status: int, message: str = "it broke", **headers: str) -> openai.APIStatusError:
    """Return what LiteLLM raises: an error of the SDK, which holds the request."""
    request = httpx2.Request("POST", "https://provider.example", headers={"Authorization": f"Bearer {CANARY}"})
    response = httpx2.Response(status, headers=headers, request=request)
    return openai.APIStatusError(f"litellm: {message}", response=response, body=None)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeLiteLLM:
    module = FakeLiteLLM([])
    monkeypatch.setitem(sys.modules, "litellm", module)
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    return module


def test_it_is_a_hosted_language_model() -> None:
    lm = LiteLLM(MODEL, batch=4)
    assert isinstance(lm, HostedLanguageModel) and lm.name == MODEL and LiteLLM.shorthand == "model"
    assert lm.traits == Traits(chat=True, batch=4, concurrency=8, free=False, exact=False)
    assert LiteLLM(MODEL, price_in=0, price_out=0).traits.free


def test_an_option_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="tries of bedrock/some-model must be above 0; got 0"):
        LiteLLM(MODEL, tries=0)


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasmith.lms.litellm.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "nasmith\[litellm\]"'):
        LiteLLM(MODEL).warm()


def test_it_is_asked_once_for_each_exchange_and_its_prices_count(fake: FakeLiteLLM) -> None:
    fake.answers = [reply("a", "b", tokens=(10, 20))]
    lm = LiteLLM(MODEL, timeout_seconds=9)
    completions = lm.complete(Request("p", n=2, messages=(Message("user", "hello"),)))
    lm.close()

    assert [completion.text for completion in completions] == ["a", "b"]
    assert sum(completion.cost for completion in completions) == pytest.approx(10e-6 + 80e-6) == lm.price(10, 20)
    (body,) = fake.asked
    assert body["model"] == MODEL and body["messages"] == [{"role": "user", "content": "hello"}]
    assert (body["num_retries"], body["max_retries"], body["timeout"]) == (0, 0, 9)


def test_a_prompt_can_be_continued(fake: FakeLiteLLM) -> None:
    fake.answers = [{"choices": [{"text": "x"}]}]
    lm = LiteLLM(MODEL, endpoint="completions")
    assert lm.complete(Request("p"))[0].text == "x" and fake.asked[0]["prompt"] == "p"


def test_prices_are_the_lists_or_the_users(fake: FakeLiteLLM) -> None:
    assert LiteLLM("bedrock/another").price(1, 1) is None
    assert LiteLLM(MODEL, price_in=1, price_out=1).price(10**6, 0) == pytest.approx(1.0)
    fake.model_cost[MODEL] = {**fake.model_cost["some-model"], "cache_read_input_token_cost": 1e-7}
    fake.answers = [reply("a", tokens=(10, 0), cached=10)]
    assert LiteLLM(MODEL).complete(Request("p"))[0].cost == pytest.approx(1e-6)


REQUEST = httpx2.Request("POST", "https://provider.example")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (broken(429, **{"retry-after": "0"}), "limited"),
        (broken(503), "failed"),
        (openai.APITimeoutError(REQUEST), "timeout"),
        (openai.APIConnectionError(request=REQUEST), "connection"),
        (
            type("ContentPolicyViolationError", (openai.BadRequestError,), {})("no", response=broken(400).response, body=None),
            "refused",
        ),
    ],
)
def test_its_errors_are_met_as_those_of_any_server(fake: FakeLiteLLM, error: Exception, outcome: str) -> None:
    calls: list[Call] = []
    fake.answers = [error, reply("a")]
    assert LiteLLM(MODEL, longest_wait_seconds=0).complete(Request("p", record=calls.append))[0].text == "a"
    assert [call.outcome for call in calls] == [outcome]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (broken(401), "wants a key"),
        (broken(500, "Missing credentials. Please pass an `api_key`"), "wants a key"),
        (broken(404), "has no 'bedrock/some-model'"),
        (broken(400, "LLM Provider NOT provided"), "LLM Provider NOT provided"),
    ],
)
def test_what_stays_is_an_error_that_says_what_to_do(fake: FakeLiteLLM, error: Exception, words: str) -> None:
    fake.answers = [error]
    with pytest.raises(UsageError, match=words):
        LiteLLM(MODEL).check(lambda call: None)


def test_the_key_is_nowhere(fake: FakeLiteLLM) -> None:
    calls: list[Call] = []
    fake.answers = [broken(500, f"the key {CANARY}"), reply(f"the key {CANARY}"), broken(401, f"the key {CANARY}")]
    lm = LiteLLM(MODEL, longest_wait_seconds=0)
    completions = lm.complete(Request("p", record=calls.append))
    with pytest.raises(UsageError) as caught:
        lm.complete(Request("p", record=calls.append))

    assert CANARY not in repr([completions, calls, caught.value, caught.value.__dict__])
    assert "the key [AWS_SECRET_ACCESS_KEY]" in str(caught.value)
    assert caught.value.__context__ is None


def test_the_check_learns_what_it_takes(fake: FakeLiteLLM) -> None:
    calls: list[Call] = []
    fake.answers = [broken(400, "bedrock does not support parameters: ['seed']"), reply("a", "b")]
    LiteLLM(MODEL).check(calls.append)
    assert calls[-1].message == "answers; is asked without seed"
