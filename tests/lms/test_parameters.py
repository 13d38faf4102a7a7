from __future__ import annotations

from typing import Any

import pytest

from nasmith.lms.exchange import Fault
from nasmith.lms.parameters import Parameters, named

SENT = {"model": "m", "prompt": "p", "n": 2, "temperature": 0.5, "seed": 1, "stop": ["x"], "max_tokens": 9}


def test_what_was_refused_is_not_sent_again() -> None:
    parameters = Parameters(["n"])
    parameters.refuse("seed")

    assert parameters.accepted({"n": 2, "seed": 1, "temperature": 0.5, "stop": []}) == {"temperature": 0.5}
    assert parameters.refused == {"n", "seed"}


def test_the_limit_is_sent_by_its_newer_name_and_then_not_at_all() -> None:
    parameters = Parameters()
    parameters.refuse("max_tokens")
    assert parameters.accepted({"max_tokens": 9}) == {"max_completion_tokens": 9}
    parameters.refuse("max_completion_tokens")
    assert parameters.accepted({"max_tokens": 9}) == {}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"parameter": "seed"}, "seed"),
        ({"parameter": "messages"}, ""),
        ({"message": "Unsupported value: 'temperature' does not support 0.2 with this model."}, "temperature"),
        ({"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}, "max_tokens"),
        ({"message": 'Unknown name "n": Cannot find field.'}, "n"),
        ({"message": "n must be exactly 1"}, "n"),
        ({"message": "`stop` is not supported"}, "stop"),
        ({"message": "Stop: a person in need"}, ""),
        ({"message": "the prompt needs n more tokens than there are"}, ""),
        ({"message": "'max_tokens' is too large: the context holds 4096 tokens"}, ""),
        ({"message": "something else"}, ""),
        ({"parameter": "seed", "status": 404}, ""),
        ({"parameter": "seed", "outcome": "refused"}, ""),
    ],
)
def test_a_refusal_names_a_parameter_that_was_sent(facts: dict[str, Any], name: str) -> None:
    fault = Fault(facts.pop("outcome", "denied"), facts.pop("message", ""), **{"status": 400, **facts})
    assert named(fault, SENT) == name
    assert named(fault, {"model": "m", "prompt": "p"}) == ""
