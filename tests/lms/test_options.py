from __future__ import annotations

import pytest

from nasmith.lms.openai_compatible import OpenAICompatible
from nasmith.lms.options import broken_rules, default_operators, secrets
from nasmith.redaction import redacted


def test_operators_suit_how_a_model_is_asked() -> None:
    assert default_operators(chat=True) == {"crossover": 1.0, "edit": 1.0, "draft": 0.1}
    assert default_operators(chat=False) == {"crossover": 1.0, "infill": 1.0}


def test_a_secret_stays_known_when_the_environment_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "tok-0123456789")
    monkeypatch.setenv("HOME", "/home/somebody-who-lives-here")
    known = secrets({"A_KEY": "key-0123456789"})
    monkeypatch.delenv("SOME_TOKEN")

    assert redacted("tok-0123456789 key-0123456789", known) == "[SOME_TOKEN] [A_KEY]"
    assert "HOME" not in known


def test_an_option_that_breaks_a_rule_is_named() -> None:
    lm = OpenAICompatible("ollama/m")
    assert broken_rules(lm) == []
    lm.tries = 0
    assert broken_rules(lm) == ["tries of ollama/m must be above 0; got 0."]
