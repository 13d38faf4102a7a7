from __future__ import annotations

import pytest

from nasmith.redaction import redacted, secret_in, without_password

ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-live-0123456789",
    "LC_SECRET": "swordfish-swordfish",
    "PYTHON_SECRET_TOKEN": "correct horse battery",
    "ODD": "zX81kk20Pq-77ab-LongAndRandom",
    "DATABASE": "postgresql://me:hunter2hunter2@host/x",
    "HOME_BACKUP": "/home/like/4a90",
    "HOME": "/home/somebody-with-a-long-name1",
    "LANG": "en_GB.UTF-8",
    "EDITOR_KEY": "vi",
    "SHORT_TOKEN": "abc",
}


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "LC_SECRET", "PYTHON_SECRET_TOKEN", "ODD", "HOME_BACKUP"])
def test_a_secret_becomes_its_variables_name(name: str) -> None:
    assert redacted(f"401: wrong key '{ENVIRONMENT[name]}'", ENVIRONMENT) == f"401: wrong key '[{name}]'"


@pytest.mark.parametrize("name", ["HOME", "LANG", "EDITOR_KEY", "SHORT_TOKEN"])
def test_what_is_public_or_short_stays(name: str) -> None:
    assert redacted(f"in {ENVIRONMENT[name]}", ENVIRONMENT) == f"in {ENVIRONMENT[name]}"


def test_a_password_within_a_variables_url_is_secret_by_itself() -> None:
    assert redacted("refused hunter2hunter2", ENVIRONMENT) == "refused [DATABASE]"


def test_of_two_secrets_the_longer_goes_first() -> None:
    environment = {"A_KEY": "abcdefgh", "B_KEY": "abcdefgh-ijkl"}
    assert redacted("abcdefgh-ijkl abcdefgh", environment) == "[B_KEY] [A_KEY]"


def test_the_environment_is_this_processs_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "quite-long-value")
    assert redacted("quite-long-value") == "[SOME_TOKEN]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:secret@host/x", "postgresql+psycopg://me:***@host/x"),
        ("cannot open postgresql://me:se:c@r/et@host:5432/x now", "cannot open postgresql://me:***@host:5432/x now"),
        (
            "postgresql://host/x?user=me&password=secret&sslpassword=other",
            "postgresql://host/x?user=me&password=***&sslpassword=***",
        ),
        ("postgresql://me@host/x", "postgresql://me@host/x"),
        ("see https://example.org:8080/x", "see https://example.org:8080/x"),
        ("runs/nasmith.sqlite3", "runs/nasmith.sqlite3"),
    ],
)
def test_passwords_in_urls_are_hidden(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_a_secret_is_found_wherever_it_stands_in_a_configuration() -> None:
    config = {"lm": {"options": {"headers": [{"authorization": "Bearer sk-live-0123456789"}]}}}
    assert secret_in(config, ENVIRONMENT) == "OPENAI_API_KEY"
    assert secret_in({"folder": "/home/like/4a90"}, ENVIRONMENT) == ""  # no secret by its name or looks
    assert secret_in({"task": {"name": "mnist1d", "options": {"steps": 3}}}, ENVIRONMENT) == ""
