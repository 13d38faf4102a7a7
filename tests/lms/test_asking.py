from __future__ import annotations

from typing import Any

import pytest
from scripted_exchange import asker, reply

from nasmith.errors import RunStoppedError, UsageError
from nasmith.lms.asking import Asker
from nasmith.lms.exchange import Fault
from nasmith.types import Call, Completion, Message, Request

MESSAGES = (Message("system", "be brief"), Message("user", "write"))


def complete(asked: Asker, **options: Any) -> tuple[list[Completion], list[Call]]:
    calls: list[Call] = []
    completions = asked.complete(Request("the prompt", **{"record": calls.append, "place": (3, 4), **options}))
    return completions, calls


def bodies(asked: Asker) -> list[dict[str, Any]]:
    return [body for _, body in asked.exchange.sent]  # type: ignore[attr-defined]


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def test_a_request_becomes_one_exchange_and_its_tokens_and_cost_are_shared() -> None:
    asked = asker([reply("aaa", "b", tokens=(10, 9), cached=4)])
    completions, calls = complete(asked, n=2)

    assert texts(completions) == ["aaa", "b"] and calls == []
    assert [(c.tokens_in, c.tokens_cached, c.tokens_out) for c in completions] == [(10, 4, 7), (0, 0, 2)]
    assert [c.cost for c in completions] == pytest.approx([0.13, 0.02])
    assert {(c.prompt, c.model, c.finish) for c in completions} == {("the prompt", "n", "stop")}


def test_what_is_sent_is_what_was_asked_for() -> None:
    asked = asker([reply("x")])
    complete(asked, messages=MESSAGES, temperature=0.3, seed=2**31 + 5, max_tokens=77, stop_texts=("a", "b", "c", "d", "e"))

    assert asked.exchange.sent == [  # type: ignore[attr-defined]
        (
            "chat",
            {
                "model": "m",
                "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "write"}],
                "n": 1,
                "temperature": 0.3,
                "seed": 5,
                "stop": ["a", "b", "c", "d"],
                "max_tokens": 77,
            },
        )
    ]


@pytest.mark.parametrize(
    ("chat", "messages", "endpoint", "field"),
    [
        (True, (), "chat", {"messages": [{"role": "user", "content": "the prompt"}]}),
        (False, (), "completions", {"prompt": "the prompt"}),
        (False, MESSAGES[1:], "chat", {"messages": [{"role": "user", "content": "write"}]}),
    ],
)
def test_messages_are_asked_and_a_prompt_is_continued(chat: bool, messages: Any, endpoint: str, field: dict[str, Any]) -> None:
    asked = asker([{"choices": [{"text": "x", "message": {"content": "x"}}]}], chat=chat)
    complete(asked, messages=messages)
    ((where, body),) = asked.exchange.sent  # type: ignore[attr-defined]
    assert where == endpoint and field.items() <= body.items()


def test_the_models_own_limit_goes_before_the_requests() -> None:
    asked = asker([reply("x")], max_tokens=5000)
    complete(asked, max_tokens=77)
    assert bodies(asked)[0]["max_tokens"] == 5000


def test_a_cache_is_helped_where_there_is_one() -> None:
    keyed, marked = asker([reply("x")] * 2, cache_key=True), asker([reply("x")] * 2, cache_mark=True)
    for asked in (keyed, marked):
        complete(asked, messages=MESSAGES)
        complete(asked, messages=MESSAGES[1:])

    first, second = (body["prompt_cache_key"] for body in bodies(keyed))
    assert first != second and len(first) == 32
    part = {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}
    assert bodies(marked)[0]["messages"] == [{"role": "system", "content": [part]}, {"role": "user", "content": "write"}]
    assert bodies(marked)[1]["messages"] == [{"role": "user", "content": "write"}]


def test_more_than_a_batch_is_asked_for_in_parts_with_other_seeds() -> None:
    asked = asker([reply("a", "b"), reply("c", "d"), reply("e")], batch=2)
    completions, _ = complete(asked, n=5, seed=9)

    assert texts(completions) == list("abcde")
    assert [body["n"] for body in bodies(asked)] == [2, 2, 1]
    assert len({body["seed"] for body in bodies(asked)}) == 3
    assert bodies(asked)[0]["seed"] == 9


def test_the_same_request_is_sent_with_the_same_seeds() -> None:
    sent = []
    for _ in range(2):
        asked = asker([reply("a"), reply(""), reply("b")], batch=1)
        complete(asked, n=2, seed=9)
        sent.append(bodies(asked))
    assert sent[0] == sent[1]


def test_stop_cuts_a_reply() -> None:
    asked = asker([reply("one) two", tokens=(1, 5))])
    (completion,), _ = complete(asked, stop=lambda text: text.index(")") + 1)
    assert (completion.text, completion.finish, completion.tokens_out) == ("one)", "stop", 5)


def test_tokens_that_a_server_does_not_count_are_guessed() -> None:
    asked = asker([reply("12345", "1", tokens=None)])
    completions, _ = complete(asked, n=2, messages=MESSAGES)
    assert [(c.tokens_in, c.tokens_out) for c in completions] == [(4, 2), (0, 1)]  # "be brief" and "write" have 13 characters


def test_a_surplus_reply_is_dropped_and_its_tokens_are_not() -> None:
    (completion,), _ = complete(asker([reply("a", "b", tokens=(1, 6))]))
    assert (completion.text, completion.tokens_out) == ("a", 6)


def test_only_the_replies_that_are_of_no_use_are_asked_for_again() -> None:
    asked = asker([reply("good", "", " \n", tokens=(10, 4)), reply("better", "best", tokens=(10, 10))])
    completions, calls = complete(asked, n=3)

    assert texts(completions) == ["good", "better", "best"]
    assert [body["n"] for body in bodies(asked)] == [3, 2]
    assert [(call.outcome, call.step, call.index, call.text) for call in calls] == [("empty", 3, 4, ""), ("empty", 3, 4, " \n")]
    assert sum(item.tokens_out for item in [*completions, *calls]) == 14
    assert sum(item.tokens_in for item in [*completions, *calls]) == 20
    assert sum(item.cost for item in [*completions, *calls]) == pytest.approx(0.34)


REFUSED = {"choices": [{"message": {"content": None, "refusal": "I will not."}}], "usage": reply()["usage"]}
NOTHING = {"choices": [], "usage": reply()["usage"]}


@pytest.mark.parametrize(
    ("answer", "outcome", "why", "tokens"),
    [
        (REFUSED, "refused", "the reply was refused: I will not.", (10, 8)),
        (NOTHING, "empty", "the reply is empty", (10, 8)),
        (reply(""), "empty", "the reply is empty", (10, 8)),
        (reply("", finish="length"), "truncated", "the reply is cut at its limit of tokens: raise max_tokens", (10, 8)),
        ({"error": "?"}, "malformed", "the reply's JSON holds no choices", (0, 0)),
        ([], "malformed", "the reply's JSON holds no choices", (0, 0)),
        (Fault("malformed", "no JSON", text="<html>"), "malformed", "no JSON", (0, 0)),
        (Fault("refused", "HTTP 400: filtered", status=400), "refused", "HTTP 400: filtered", (0, 0)),
    ],
)
def test_what_is_of_no_use_is_recorded_and_asked_for_again_and_then_given_up(
    answer: Any, outcome: str, why: str, tokens: tuple[int, int]
) -> None:
    (completion,), calls = complete(asker([answer] * 2 + [reply("x")]))
    assert completion.text == "x" and len(calls) == 2

    (completion,), calls = complete(asker([answer] * 3))
    assert (completion.finish, completion.text, completion.message) == ("failed", "", f"no usable reply: {why}")
    assert (completion.tokens_in, completion.tokens_out, completion.cost) == (0, 0, 0.0)
    assert [(call.outcome, call.message, call.tokens_in, call.tokens_out) for call in calls] == [(outcome, why, *tokens)] * 3
    assert calls[0].cost == pytest.approx(0.01 * sum(tokens))


def test_what_came_instead_of_a_reply_is_kept() -> None:
    _, calls = complete(asker([{"error": "overloaded"}, reply("x")]))
    assert calls[0].text == '{"error": "overloaded"}'


def test_a_reply_that_is_cut_is_asked_for_with_more_room_and_taken_in_the_end() -> None:
    asked = asker([reply("half", finish="length")] * 3)
    (completion,), calls = complete(asked, stop=lambda text: None, max_tokens=100)

    assert (completion.text, completion.finish, completion.tokens_out) == ("half", "length", 8)
    assert [call.outcome for call in calls] == ["truncated"] * 2
    assert [body["max_tokens"] for body in bodies(asked)] == [100, 200, 400]


@pytest.mark.parametrize(
    ("chat", "options"), [(True, {}), (True, {"stop": lambda text: 2}), (False, {"stop": lambda text: None})]
)
def test_a_cut_reply_is_taken_where_nothing_is_missed(chat: bool, options: dict[str, Any]) -> None:
    answer = {"choices": [{"text": "half", "message": {"content": "half"}, "finish_reason": "length"}]}
    (completion,), calls = complete(asker([answer], chat=chat), **options)
    assert completion.text in ("half", "ha") and calls == []


def test_a_fault_that_passes_is_recorded_and_met_by_asking_again() -> None:
    faults = [Fault(outcome, f"a {outcome}", text="body") for outcome in ("limited", "failed", "timeout", "connection")]
    (completion,), calls = complete(asker([*faults, reply("x")], tries=5))
    assert completion.text == "x"
    assert [(call.outcome, call.message, call.text) for call in calls] == [
        (fault.outcome, fault.message, "body") for fault in faults
    ]


def test_a_request_without_an_answer_fails_and_the_third_in_a_row_stops_the_run() -> None:
    asked = asker([Fault("failed", "HTTP 500")] * 6)
    for _ in range(2):
        completions, calls = complete(asked, n=2)
        assert [(c.finish, c.message) for c in completions] == [("failed", "no reply after 2 tries: HTTP 500")] * 2
        assert len(calls) == 2
    with pytest.raises(RunStoppedError, match=r"n does not answer .*HTTP 500.*resume the run when it does"):
        complete(asked)


@pytest.mark.parametrize("answer", [reply("x"), Fault("refused", "HTTP 400")])
def test_an_answer_in_between_lets_the_run_go_on(answer: Any) -> None:
    dead = [Fault("failed", "HTTP 500")] * 4
    asked = asker([*dead, answer, *dead], rejections=0)
    for _ in range(5):
        complete(asked)
    assert asked.exchange.answers == []  # type: ignore[attr-defined]


def test_a_server_that_only_talks_nonsense_stops_the_run_too() -> None:
    asked = asker([{}] * 9)
    complete(asked)
    complete(asked)
    with pytest.raises(RunStoppedError, match="holds no choices"):
        complete(asked)


def test_what_stays_is_an_error_for_the_user() -> None:
    calls: list[Call] = []
    with pytest.raises(UsageError, match="advice on HTTP 401") as caught:
        asker([Fault("denied", "HTTP 401", status=401)]).complete(Request("x", record=calls.append))
    assert caught.value.__context__ is None
    assert [(call.outcome, call.message) for call in calls] == [("failed", "HTTP 401")]


def test_a_parameter_that_is_refused_in_the_run_is_left_out_from_then_on() -> None:
    asked = asker([Fault("denied", "HTTP 400: no seed", status=400, parameter="seed"), reply("x"), reply("y")])
    _, calls = complete(asked)
    complete(asked)
    assert ["seed" in body for body in bodies(asked)] == [True, False, False]
    assert [call.message for call in calls] == ["HTTP 400: no seed"]


def test_a_server_that_refuses_everything_is_not_asked_for_ever() -> None:
    names = ["temperature", "n", "seed", "max_tokens", "max_completion_tokens"]
    asked = asker([Fault("denied", f"HTTP 400: '{name}'", status=400, parameter=name) for name in [*names, "model"]])
    with pytest.raises(UsageError):
        complete(asked)
    assert bodies(asked)[-1].keys() == {"model", "messages"}


def test_a_server_that_gives_fewer_is_asked_for_one_at_a_time() -> None:
    asked = asker([reply("a"), reply("b"), reply("c")])
    completions, calls = complete(asked, n=3)
    assert texts(completions) == ["a", "b", "c"] and calls == [] and asked.batch == 1
    assert [body.get("n") for body in bodies(asked)] == [3, None, None]


def test_no_secret_is_kept_and_no_long_text() -> None:
    fault = Fault("failed", "HTTP 500: hunter22", text="hunter22" + "x" * 20_000)
    (completion,), calls = complete(asker([fault, fault]))
    assert completion.message == "no reply after 2 tries: HTTP 500: [KEY]"
    assert calls[0].message == "HTTP 500: [KEY]" and calls[0].text.startswith("[KEY]x") and len(calls[0].text) <= 10_000

    (completion,), _ = complete(asker([reply("the key is hunter22")]))
    assert completion.text == "the key is [KEY]"


def test_a_request_that_records_nothing_is_answered_all_the_same() -> None:
    asked = asker([Fault("failed", "HTTP 500"), reply(""), reply("x")])
    assert texts(asked.complete(Request("p"))) == ["x"]


@pytest.mark.parametrize("fault", [Fault("denied", "no credit"), Fault("failed", "HTTP 500")])
def test_what_has_arrived_is_given_before_the_run_stops(fault: Fault) -> None:
    """Two requests had no answer already. The third brings one reply of two, and then the server fails for good."""
    asked = asker([reply("good", ""), *[fault] * 4], tries=1)
    asked.retries.unanswered()
    asked.retries.unanswered()
    asked.retries.answered = lambda: None  # type: ignore[method-assign]
    completions, _ = complete(asked, n=2)
    assert [(completion.text, completion.finish) for completion in completions] == [("good", "stop"), ("", "failed")]
    with pytest.raises((RunStoppedError, UsageError)):
        complete(asked)
