from __future__ import annotations

from typing import Any

import pytest

from nasmith.errors import UsageError
from nasmith.lms.advice import advice
from nasmith.lms.exchange import Fault


def said(fault: Fault, *, held: str = "A_KEY", models: list[str] | None = None) -> str:
    error = advice(
        fault,
        name="lab/m",
        model="m",
        where="http://lab/v1",
        variables="A_KEY or B_KEY",
        held=held,
        models=lambda: models or [],
        clean=lambda text: text.replace("hunter22", "[A_KEY]"),
    )
    assert type(error) is UsageError
    return str(error)


@pytest.mark.parametrize(
    ("outcome", "facts", "words"),
    [
        ("connection", {"unreachable": True}, "nobody answers at http://lab/v1 (why): start the server, or"),
        ("failed", {"status": 503}, "lab/m does not answer at http://lab/v1 (why): try again later"),
        (
            "malformed",
            {},
            "http://lab/v1 does not answer as a server with OpenAI's interface (why): the address often ends in /v1",
        ),
        (
            "denied",
            {"code": "insufficient_quota", "status": 429},
            "no credit is left (why). Look at the provider's page for billing",
        ),
        ("denied", {"status": 401}, "does not take the key in A_KEY (why)"),
        ("denied", {"status": 403}, "the key in A_KEY may not use lab/m (why)"),
        ("denied", {"status": 307}, "http://lab/v1 is not the address any more (why)"),
        ("denied", {"status": 400}, "lab/m does not take the request (why). Change the option that this names"),
        ("denied", {"status": 404}, "http://lab/v1 has no 'm' (why): check the model's name, and the address"),
    ],
)
def test_it_says_what_happened_and_what_to_do(outcome: str, facts: dict[str, Any], words: str) -> None:
    assert words in said(Fault(outcome, "why", **facts))


def test_where_no_key_was_sent_it_says_which_to_set() -> None:
    assert "set the environment variable A_KEY or B_KEY" in said(Fault("denied", "why", status=401), held="")


def test_an_unknown_model_is_answered_with_the_nearest_ten() -> None:
    text = said(Fault("denied", "why", status=404), models=[f"other-{number:02}" for number in range(20)] + ["mm", "m-2"])
    assert "It has mm, m-2, other-00, " in text and text.endswith("other-07, ….")


def test_no_secret_is_told() -> None:
    assert "[A_KEY]" in said(Fault("denied", "Incorrect key hunter22", status=401))
