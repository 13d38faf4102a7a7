from __future__ import annotations

from typing import Any

import pytest
from scripted_exchange import asker, reply

from nasmith.errors import UsageError
from nasmith.lms.asking import Asker
from nasmith.lms.checking import check
from nasmith.lms.exchange import Fault
from nasmith.types import Call


def checked(asked: Asker) -> list[Call]:
    calls: list[Call] = []
    check(asked, 0.7, calls.append)
    return calls


def test_one_cheap_request_uses_every_parameter_and_is_accounted_for() -> None:
    asked = asker([reply("four", "four", tokens=(12, 4), cached=2)])
    (call,) = checked(asked)

    ((endpoint, body),) = asked.exchange.sent  # type: ignore[attr-defined]
    assert endpoint == "chat" and body.keys() == {"model", "messages", "n", "temperature", "seed", "stop", "max_tokens"}
    assert (body["n"], body["temperature"]) == (2, 0.7) and body["max_tokens"] <= 16
    assert (call.outcome, call.message, call.step) == ("checked", "answers", -1)
    assert (call.tokens_in, call.tokens_out, call.tokens_cached) == (12, 4, 2)
    assert call.cost == pytest.approx(0.14)
    assert asked.batch == 8


def test_parameters_are_found_out_one_after_the_other() -> None:
    names = ["temperature", "seed", "max_tokens", "stop"]
    asked = asker([*(Fault("denied", f"HTTP 400: {n}", status=400, parameter=n) for n in names), reply("four", "four")])
    calls = checked(asked)

    assert [call.outcome for call in calls] == ["failed"] * 4 + ["checked"]
    assert calls[-1].message == "answers; is asked without max_tokens, seed, stop, temperature"
    (_, body) = asked.exchange.sent[-1]  # type: ignore[attr-defined]
    assert body.keys() == {"model", "messages", "n", "max_completion_tokens"}


@pytest.mark.parametrize(
    "answer",
    [
        reply("four"),
        reply("four", "four", tokens=(9, 1)),
        reply("four five", "four five", tokens=(9, 16), finish="length"),
    ],
)
def test_n_is_not_used_where_replies_are_missing_or_not_counted(answer: Any) -> None:
    asked = asker([answer])
    (call,) = checked(asked)
    assert asked.batch == 1 and call.message == "answers; is asked without n"


@pytest.mark.parametrize(
    "answer", [reply("four", "four", tokens=(9, 32), finish="length"), reply("", ""), reply("four", "five", tokens=None)]
)
def test_n_is_used_where_nothing_speaks_against_it(answer: Any) -> None:
    asked = asker([answer])
    checked(asked)
    assert asked.batch == 8


def test_a_model_that_is_known_to_give_one_is_asked_for_one() -> None:
    asked = asker([reply("four")], refused=["n"])
    checked(asked)
    assert "n" not in asked.exchange.sent[0][1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (Fault("denied", "HTTP 401", status=401), 1),
        (Fault("malformed", "no JSON"), 1),
        (Fault("connection", "refused", unreachable=True), 1),
        (Fault("failed", "HTTP 503"), 2),
    ],
)
def test_what_cannot_be_asked_is_an_error_with_advice(fault: Fault, sent: int) -> None:
    asked, calls = asker([fault] * 2), []
    with pytest.raises(UsageError, match=f"advice on {fault.message}"):
        check(asked, 0.7, calls.append)
    assert len(calls) == sent


def test_a_model_that_will_not_count_is_there_all_the_same() -> None:
    (call,) = checked(asker([Fault("refused", "HTTP 400: filtered", status=400)]))
    assert call.outcome == "refused"
