from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasmith.lms.exchange import Fault, HttpExchange, decoded, fault_of, retry_after
from nasmith.testing import EchoServer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_every_date_of_http_is_read(date: datetime) -> None:
    left = (date.replace(microsecond=0) - NOW) / timedelta(seconds=1)
    assert retry_after({"retry-after": format_datetime(date, usegmt=True)}, NOW) == max(0.0, left)


@given(st.text(), st.text())
def test_no_header_breaks_it(seconds: str, milliseconds: str) -> None:
    wait = retry_after({"retry-after": seconds, "retry-after-ms": milliseconds}, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (408, {}, "limited"),
        (409, {}, "limited"),
        (429, {"code": "rate_limit_exceeded"}, "limited"),
        (429, {"code": "insufficient_quota"}, "denied"),
        (429, {"type": "insufficient_quota", "code": "429"}, "denied"),
        (402, {}, "denied"),
        (500, {}, "failed"),
        (529, {}, "failed"),
        (400, {}, "denied"),
        (400, {"code": "content_filter"}, "refused"),
        (400, {"message": "Could not finish: max_tokens or model output limit was reached."}, "truncated"),
        (401, {}, "denied"),
        (404, {}, "denied"),
        (422, {}, "denied"),
        (307, {}, "denied"),
    ],
)
def test_a_status_says_whether_to_ask_again(status: int, error: dict[str, str], outcome: str) -> None:
    fault = fault_of(status, {}, json.dumps({"error": error}).encode())
    assert fault.outcome == outcome
    assert fault.passing == (outcome in ("limited", "failed"))


@pytest.mark.parametrize(
    ("stated", "message", "parameter"),
    [
        ({"error": {"message": "no seed", "param": "seed"}}, "HTTP 400: no seed", "seed"),
        ([{"error": {"message": "no seed", "code": 400}}], "HTTP 400: no seed", ""),
        ({"error": "no seed"}, "HTTP 400: no seed", ""),
        ({"message": "no seed"}, "HTTP 400: no seed", ""),
        ({"detail": "no seed"}, "HTTP 400: no seed", ""),
        (
            {"detail": [{"loc": ["body", "seed"], "msg": "extra"}]},
            'HTTP 400: [{"loc": ["body", "seed"], "msg": "extra"}]',
            "seed",
        ),
        ("no seed", "HTTP 400", ""),
        ([], "HTTP 400", ""),
    ],
)
def test_an_error_is_read_in_each_providers_shape(stated: Any, message: str, parameter: str) -> None:
    fault = fault_of(400, {}, json.dumps(stated).encode())
    assert (fault.message, fault.parameter) == (message, parameter)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"error": null}', b'{"error": {"code": []}}']
)
def test_any_body_of_an_error_is_taken(content: bytes) -> None:
    assert fault_of(500, {"retry-after": "2"}, content).wait_seconds == 2.0


def test_a_long_error_is_cut() -> None:
    assert len(fault_of(500, {}, json.dumps({"error": {"message": "x" * 10_000}}).encode()).message) < 600


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html", b"{}"),
        ("application/json", b"{"),
        ("application/json", b""),
        ("application/json", b'"\xff"'),
        ("application/json", b"[" * 100_000),
    ],
)
def test_what_is_no_json_is_malformed(kind: str, content: bytes) -> None:
    with pytest.raises(Fault) as caught:
        decoded(kind, content)
    assert caught.value.outcome == "malformed" and not caught.value.passing
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/problem+json", ""])
def test_json_is_decoded(kind: str) -> None:
    assert decoded(kind, b'{"a": 1}') == {"a": 1}


def exchange(server: EchoServer, **options: Any) -> HttpExchange:
    return HttpExchange(
        server.url, "sk-canary-0123456789", **{"timeout_seconds": 30, "max_reply_bytes": 10**6, "connections": 2, **options}
    )


def test_a_request_is_sent_as_the_sdk_forms_it_and_the_reply_comes_back() -> None:
    with EchoServer() as server:
        http = exchange(server)
        reply = http.send("chat", {"model": "echo", "messages": [{"role": "user", "content": "Grüße \ud800"}]})
        text = http.send("completions", {"model": "echo", "prompt": "go on"})
        http.close()

    assert reply["choices"][0]["message"]["content"] == "Grüße ?"
    assert text["choices"][0]["text"] == "go on"
    assert [received.path for received in server.requests] == ["/v1/chat/completions", "/v1/completions"]
    headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer sk-canary-0123456789"
    assert headers["user-agent"].startswith("OpenAI/Python")


def test_no_header_leaves_that_is_not_meant_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-account")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-another-account")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin-of-another-account")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer another\nX-Team: mine")
    with EchoServer() as server:
        for account in (False, True):
            http = exchange(server, account=account)
            http.send("completions", {"prompt": "x"})
            http.close()

    plain = {"accept", "authorization", "content-length", "content-type", "host", "user-agent"}
    assert set(server.requests[0].headers) == plain
    assert set(server.requests[1].headers) == plain | {"openai-organization", "openai-project"}
    assert server.requests[0].headers["authorization"] == "Bearer sk-canary-0123456789"


def test_models_are_listed_where_the_server_tells() -> None:
    with EchoServer(models=["a", "b"]) as server:
        http = exchange(server)
        assert http.models() == ["a", "b"]
        http.close()
    assert http.models() == []


def test_nobody_there_is_a_fault() -> None:
    with EchoServer() as server:
        http = exchange(server)
    with pytest.raises(Fault) as caught:
        http.send("completions", {"prompt": "x"})
    assert caught.value.unreachable and caught.value.outcome == "connection"
