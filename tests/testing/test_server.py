from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from nasmith.testing.server import FAULTS, Charged, EchoServer

HELLO = {"model": "echo", "messages": [{"role": "user", "content": "hello there"}]}


def post(server: EchoServer, body: dict[str, Any] = HELLO, path: str = "/chat/completions") -> httpx2.Response:
    return httpx2.post(server.url + path, json=body, headers={"Authorization": "Bearer secret"}, timeout=10)


def test_it_echoes_and_counts_what_it_charges() -> None:
    with EchoServer() as server:
        chat = post(server, {**HELLO, "n": 2}).json()
        text = post(server, {"model": "echo", "prompt": "one two three"}, "/completions").json()

    assert [choice["message"]["content"] for choice in chat["choices"]] == ["hello there"] * 2
    assert chat["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    assert text["choices"][0]["text"] == "one two three"
    assert server.charged == Charged(tokens_in=5, tokens_out=7, replies=3)


def test_it_says_what_it_is_told_to_and_keeps_what_came() -> None:
    with EchoServer(lambda body: f"model {body['model']}") as server:
        assert post(server).json()["choices"][0]["message"]["content"] == "model echo"

    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].body == HELLO
    assert server.requests[0].headers["authorization"] == "Bearer secret"


def test_it_lists_its_models() -> None:
    with EchoServer(models=["a", "b"]) as server:
        assert [entry["id"] for entry in httpx2.get(server.url + "/models").json()["data"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("fault", "status"), [("401", 401), ("404", 404), ("429", 429), ("500", 500), ("503", 503), ("moved", 307)]
)
def test_a_status_comes_once_and_then_a_reply(fault: str, status: int) -> None:
    with EchoServer(faults=[fault], retry_after="7") as server:
        first, second = post(server), post(server)

    assert (first.status_code, second.status_code) == (status, 200)
    assert first.headers.get("retry-after") == ("7" if status == 429 else None)
    assert server.charged.replies == 1


@pytest.mark.parametrize(
    ("fault", "choices", "charged"),
    [
        ("empty", [], Charged(2, 1, 0)),
        ("blank", [("", "stop")] * 2, Charged(2, 4, 2)),
        ("refused", [(None, "content_filter")] * 2, Charged(2, 4, 2)),
        ("truncated", [("hello", "length")] * 2, Charged(2, 4, 2)),
        ("single", [("hello there", "stop")], Charged(2, 2, 1)),
        ("undercounted", [("hello there", "stop")] * 2, Charged(2, 2, 2)),
        ("uncounted", [("hello there", "stop")] * 2, Charged()),
    ],
)
def test_a_reply_is_spoilt_as_asked(fault: str, choices: list[tuple[str | None, str]], charged: Charged) -> None:
    with EchoServer(faults=[fault]) as server:
        reply = post(server, {**HELLO, "n": 2}).json()

    assert [(choice["message"]["content"], choice["finish_reason"]) for choice in reply["choices"]] == choices
    assert server.charged == charged


@pytest.mark.parametrize("fault", ["cut", "half", "html", "huge"])
def test_what_is_no_reply_is_not_charged(fault: str) -> None:
    with EchoServer(faults=[fault]) as server:
        if fault == "cut":
            with pytest.raises(httpx2.RemoteProtocolError):
                post(server)
        else:
            content = post(server).content
            assert len(content) == 40 * 2**20 if fault == "huge" else len(content) < 200
            with pytest.raises(json.JSONDecodeError):
                json.loads(content)

    assert server.charged == Charged()


def test_a_parameter_is_refused_where_it_is_sent() -> None:
    with EchoServer(faults=lambda number, body: "refuses:seed") as server:
        refusal, reply = post(server, {**HELLO, "seed": 1}), post(server)

    assert refusal.status_code == 400 and refusal.json()["error"]["param"] == "seed"
    assert reply.status_code == 200


def test_it_drips_to_the_end() -> None:
    with EchoServer(faults=["drip"], drip_seconds=0) as server:
        assert post(server).json()["choices"][0]["message"]["content"] == "hello there"
    assert server.charged.replies == 1


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_it_closes_while_requests_wait(fault: str) -> None:
    arrived = threading.Event()

    def faults(number: int, body: object) -> str:
        arrived.set()
        return fault

    with ThreadPoolExecutor(1) as pool:
        with EchoServer(faults=faults, drip_seconds=1000) as server:
            waiting = pool.submit(post, server)
            arrived.wait()
        with pytest.raises(httpx2.TransportError):
            waiting.result()


def test_it_serves_64_at_a_time() -> None:
    together = threading.Barrier(64)

    def reply(body: object) -> str:
        together.wait(timeout=60)
        return "all here"

    with EchoServer(reply) as server, ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(lambda _: post(server).json(), range(64)))

    assert len(replies) == server.charged.replies == 64


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: '418'"):
        EchoServer(faults=["500", "418"])
    EchoServer(faults=[*FAULTS, "refuses:n", None])


def test_it_has_an_address_only_while_it_runs() -> None:
    with pytest.raises(RuntimeError, match="with"):
        _ = EchoServer().url
