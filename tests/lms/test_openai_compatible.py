from __future__ import annotations

import logging
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from llama_server import llama_server

from nasmith.errors import ConfigError, RunStoppedError, UnknownNameError, UsageError
from nasmith.lms.openai_compatible import OpenAICompatible
from nasmith.protocols import HostedLanguageModel, LanguageModel
from nasmith.seeding import generator
from nasmith.testing import EchoServer
from nasmith.testing.server import Charged
from nasmith.types import Call, Completion, Message, Request, Traits

CANARY = "sk-canary-7f3a9c51d2e8b604"
OUTCOMES = {
    **{"429": "limited", "500": "failed", "503": "failed", "hang": "timeout", "drip": "timeout", "cut": "connection"},
    **{"half": "malformed", "html": "malformed", "huge": "malformed", "empty": "empty", "blank": "empty"},
    **{"refused": "refused", "truncated": "truncated"},
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASMITH_API_KEY", "")
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")


@pytest.fixture
def model() -> Iterator[Callable[..., OpenAICompatible]]:
    """Make models that wait for nothing between tries; all are closed in the end."""
    made: list[OpenAICompatible] = []

    def make(server: EchoServer, name: str = "vllm/echo", **options: Any) -> OpenAICompatible:
        made.append(OpenAICompatible(f"{name}@{server.url}", **{"longest_wait_seconds": 0.0, **options}))
        return made[-1]

    yield make
    for lm in made:
        lm.close()
        lm.close()


Make = Callable[..., OpenAICompatible]


def total(items: Sequence[Completion | Call]) -> tuple[int, int]:
    return sum(item.tokens_in for item in items), sum(item.tokens_out for item in items)


def test_it_is_a_hosted_language_model() -> None:
    lm = OpenAICompatible("openai/gpt-5-mini")
    assert isinstance(lm, LanguageModel) and isinstance(lm, HostedLanguageModel)
    assert lm.name == "openai/gpt-5-mini" and OpenAICompatible.shorthand == "model"
    assert lm.traits == Traits(chat=True, batch=8, concurrency=8, free=False, exact=False)
    assert lm.operators == {"crossover": 1.0, "edit": 1.0, "draft": 0.1}


def test_how_it_is_used_depends_on_the_provider() -> None:
    local = OpenAICompatible("local/m@http://127.0.0.1:9/v1", batch=4)
    assert local.traits == Traits(chat=False, batch=4, concurrency=8, free=True, exact=False)
    assert local.operators == {"crossover": 1.0, "infill": 1.0}
    assert OpenAICompatible("anthropic/claude-sonnet-4-5").traits.batch == 1
    assert OpenAICompatible("local/m@http://127.0.0.1:9/v1", endpoint="chat").traits.chat
    assert not OpenAICompatible("vllm/m", price_in=1, price_out=2).traits.free


def test_its_options_are_kept_and_it_does_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from nasmith import registry

    monkeypatch.delenv("OPENAI_API_KEY")
    described = registry.describe("lms", OpenAICompatible("openai/gpt-5-mini", tries=2, name="mini"))
    assert described["options"]["tries"] == 2 and described["options"]["name"] == "mini"


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "responses"},
        {"temperatures": []},
        {"operators": {"crossover": 0.0}},
        {"concurrency": 0},
        {"batch": 0},
        {"max_tokens": 0},
        {"timeout_seconds": 0},
        {"tries": 0},
        {"longest_wait_seconds": -1},
        {"rejections": -1},
        {"max_reply_bytes": 0},
        {"price_in": -1, "price_out": 1},
        {"price_out": 1},
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(reversed(options))} of openai/m must be|price_in of"):
        OpenAICompatible("openai/m", **options)


def test_an_unknown_provider_is_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'openai'"):
        OpenAICompatible("openay/gpt-5-mini")


def test_prices_come_from_the_list_or_from_the_user() -> None:
    assert OpenAICompatible("openai/gpt-4.1-mini").price(10**6, 10**6) == pytest.approx(2.0)
    assert OpenAICompatible("openai/no-such-model").price(1, 1) is None
    assert OpenAICompatible("ollama/m").price(10**6, 10**6) == 0.0
    assert OpenAICompatible("openai/gpt-4.1-mini", price_in=1, price_out=3).price(10**6, 10**6) == pytest.approx(4.0)


def test_a_missing_key_is_said_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY.*\.env"):
        OpenAICompatible("openai/gpt-5-mini").warm()


def test_a_reply_costs_what_the_list_says(model: Make) -> None:
    with EchoServer() as server:
        lm = model(server, "openai/gpt-4.1-mini")
        completions = lm.complete(Request("one two three", n=2))
    assert [completion.text for completion in completions] == ["one two three"] * 2
    assert {completion.model for completion in completions} == {"openai/gpt-4.1-mini"}
    assert sum(completion.cost for completion in completions) == pytest.approx(lm.price(3, 6))
    assert "prompt_cache_key" in server.requests[0].body
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert server.requests[0].headers["openai-organization"] == "org-of-mine"


def test_a_server_of_ones_own_is_asked_without_a_key(model: Make) -> None:
    with EchoServer() as server:
        model(server).complete(Request("x"))
    assert server.requests[0].headers["authorization"] == "Bearer none"
    assert "openai-organization" not in server.requests[0].headers


@pytest.mark.parametrize("fault", sorted(OUTCOMES))
def test_each_fault_is_survived_and_on_record(fault: str, model: Make) -> None:
    calls: list[Call] = []
    with EchoServer(lambda body: "a program END", faults=[fault]) as server:
        lm = model(server, timeout_seconds=1.0 if fault in ("hang", "drip") else 60.0, max_reply_bytes=10_000)
        completions = lm.complete(Request("a prompt", n=2, stop=end, record=calls.append, place=(5, 6)))

    assert [completion.text for completion in completions] == ["a program "] * 2
    assert {(call.outcome, call.step, call.index) for call in calls} == {(OUTCOMES[fault], 5, 6)}
    assert len(calls) == (2 if fault in ("blank", "refused", "truncated") else 1)
    assert Charged(*total([*completions, *calls]), server.charged.replies) == server.charged


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "does not take the key in OPENAI_API_KEY"),
        ("404", "has no model 'gpt-4.1-mini'.*It has gpt-4.1, tiny"),
        ("out-of-credit", "no credit is left"),
        ("moved", "is not the address any more"),
        ("refuses:model", "does not take the request .*'model'"),
    ],
)
def test_what_stays_is_an_error_that_says_what_to_do(fault: str, words: str, model: Make) -> None:
    calls: list[Call] = []
    with EchoServer(faults=[fault] * 2, models=["tiny", "gpt-4.1"]) as server:
        lm = model(server, "openai/gpt-4.1-mini")
        with pytest.raises(UsageError, match=words):
            lm.complete(Request("x", record=calls.append))
    assert len(calls) == 1


def end(text: str) -> int | None:
    place = text.find("END")
    return None if place < 0 else place


def test_whatever_goes_wrong_nothing_is_lost_or_charged_twice(model: Make) -> None:
    met: Counter[str] = Counter()
    weights = {fault: 1 if fault in ("hang", "drip", "huge") else 6 for fault in OUTCOMES}

    def faults(number: int, body: Mapping[str, Any]) -> str | None:
        draw = generator(0, "fault", number)
        fault = draw.choices(list(weights), list(weights.values()))[0] if draw.random() < 0.35 else None
        if fault:
            met[OUTCOMES[fault]] += body.get("n", 1) if fault in ("blank", "refused", "truncated") else 1
        return fault

    calls: list[Call] = []
    with EchoServer(lambda body: "a program of some words END", faults=faults) as server:
        lm = model(server, timeout_seconds=4.0, max_reply_bytes=10_000, batch=3)

        def complete(number: int) -> list[Completion]:
            request = Request("p " * (number % 7), n=number % 5, seed=number, stop=end, record=calls.append)
            return lm.complete(request)

        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(complete, range(200)))

    assert [len(completions) for completions in replies] == [number % 5 for number in range(200)]
    completions = [completion for reply in replies for completion in reply]
    told = Counter(call.outcome for call in calls)
    taken = sum(completion.finish == "length" for completion in completions)
    assert told + Counter(truncated=taken) == met
    assert min(told[outcome] for outcome in set(OUTCOMES.values())) > 0
    assert Charged(*total([*completions, *calls]), server.charged.replies) == server.charged
    assert all(len(call.text) <= 10_000 for call in calls)


def test_a_dead_server_stops_the_run(model: Make) -> None:
    with EchoServer() as server:
        lm = model(server, tries=2)
        lm.complete(Request("x"))
    assert [lm.complete(Request("x"))[0].finish for _ in range(2)] == ["failed"] * 2
    with pytest.raises(RunStoppedError, match=r"vllm/echo does not answer.*resume the run when it does"):
        lm.complete(Request("x"))


@pytest.mark.parametrize("fault", ["401", "404", "500", "cut", "html", "refuses:n", "out-of-credit", None])
def test_the_key_is_nowhere(fault: str | None, model: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[object] = []
    with EchoServer(lambda body: f"the key is {CANARY}", faults=[fault] * 9) as server:
        lm = model(server, "openai/gpt-4.1-mini", tries=2)
        complete = partial(lm.complete, Request("x", n=2, record=seen.append))
        for ask in (partial(lm.check, seen.append), complete):
            try:
                seen.append(ask())
            except (UsageError, RunStoppedError) as error:
                seen += [*traceback.format_exception(error), *_chain(error)]
        seen += [lm, lm.__dict__, caplog.text, server.charged]
        assert any(CANARY in received.headers["authorization"] for received in server.requests)

    assert CANARY not in repr(seen)
    if fault == "401":
        assert "[OPENAI_API_KEY]" in repr(seen)
    elif fault is None:
        assert "the key is [OPENAI_API_KEY]" in repr(seen)


def _chain(error: BaseException | None) -> list[object]:
    facts: list[object] = []
    while error is not None:
        facts += [str(error), repr(error), error.args, error.__dict__]
        error = error.__context__ or error.__cause__
    return facts


def test_the_check_learns_what_the_server_takes(model: Make) -> None:
    refused = {"temperature", "max_tokens", "seed"}
    calls: list[Call] = []

    def faults(number: int, body: Mapping[str, Any]) -> str | None:
        return next((f"refuses:{name}" for name in sorted(refused) if name in body), "single")

    with EchoServer(faults=faults) as server:
        lm = model(server)
        lm.check(calls.append)
        asked = len(server.requests)
        lm.complete(Request("x", n=2))

    assert [call.outcome for call in calls] == ["failed"] * 3 + ["checked"]
    assert calls[-1].message == "answers; is asked without max_tokens, n, seed, temperature"
    assert lm.traits.batch == 1
    assert [received.body.keys() for received in server.requests[asked:]] == [
        {"model", "messages", "max_completion_tokens"}
    ] * 2


def test_the_check_says_what_is_wrong(model: Make) -> None:
    calls: list[Call] = []
    server = EchoServer(faults=["404"], models=["echo-large"])
    with server, pytest.raises(UsageError, match=r"has no model 'echo'.*It has echo-large"):
        model(server).check(calls.append)
    with pytest.raises(UsageError, match=r"nobody answers at http://127\.0\.0\.1.*start the server"):
        model(server, longest_wait_seconds=1000.0).check(calls.append)
    assert [call.outcome for call in calls] == ["failed", "connection"]


def test_the_check_waits_for_a_server_that_is_loading(model: Make) -> None:
    calls: list[Call] = []
    with EchoServer(faults=["503"] * 3) as server:
        model(server).check(calls.append)
    assert [call.outcome for call in calls] == ["failed"] * 3 + ["checked"]


def test_closing_ends_what_waits_and_the_next_request_begins_anew(model: Make) -> None:
    arrived = threading.Event()

    def faults(number: int, body: object) -> str | None:
        arrived.set()
        return None if number else "hang"

    with EchoServer(faults=faults) as server, ThreadPoolExecutor(1) as pool:
        lm = model(server, longest_wait_seconds=1000.0)
        waiting = pool.submit(lm.complete, Request("x"))
        arrived.wait()
        lm.close()
        with pytest.raises(RunStoppedError, match="closed"):
            waiting.result()
        assert lm.complete(Request("x"))[0].text == "x"


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.mark.lm
@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_a_real_server_is_asked_and_its_uncounted_tokens_are_noticed(llama: str, endpoint: Any) -> None:
    calls: list[Call] = []
    lm = OpenAICompatible(f"local/smollm2@{llama}", endpoint=endpoint)
    lm.check(calls.append)
    request = Request(
        "def area(width, height):\n    return",
        n=3,
        temperature=0.8,
        seed=7,
        max_tokens=12,
        stop_texts=("\n\n",),
        messages=(Message("user", "Say hello."),) if endpoint == "chat" else (),
    )
    first, again = lm.complete(request), lm.complete(request)
    lm.close()

    assert [call.outcome for call in calls] == ["checked"] and calls[0].message == "answers; is asked without n"
    assert lm.traits.batch == 1
    assert len(first) == 3 and len({completion.text for completion in first}) > 1
    assert [completion.text for completion in first] == [completion.text for completion in again]
    assert all(completion.tokens_in > 0 and 0 < completion.tokens_out <= 12 for completion in first)
    assert not any("\n\n" in completion.text for completion in first)


@pytest.mark.lm
def test_a_real_server_continues_a_program(llama: str) -> None:
    lm = OpenAICompatible("local/smollm2", base_url=llama, batch=2)
    completions = lm.complete(Request("1, 2, 3, 4, 5, 6, 7,", n=2, temperature=0.01, max_tokens=6))
    lm.close()
    assert [completion.text.startswith(" 8") for completion in completions] == [True, True]
    assert {completion.finish for completion in completions} == {"length"}
