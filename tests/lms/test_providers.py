from __future__ import annotations

from pathlib import Path

import pytest

from nasmith.errors import ConfigError, UnknownNameError, UsageError
from nasmith.lms.providers import PROVIDERS, Key, find_key, locate

VARIABLES = sorted({variable for provider in PROVIDERS.values() for variable in provider.variables})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # restored afterwards, whatever a test's subject sets


@pytest.mark.parametrize(
    ("name", "model", "url", "label"),
    [
        ("openai/gpt-5-mini", "gpt-5-mini", "https://api.openai.com/v1", "openai/gpt-5-mini"),
        ("openrouter/a/b:free", "a/b:free", "https://openrouter.ai/api/v1", "openrouter/a/b:free"),
        ("ollama/qwen3:4b", "qwen3:4b", "http://127.0.0.1:11434/v1", "ollama/qwen3:4b"),
        ("vllm/Qwen/Qwen3@http://box:8000/v1/", "Qwen/Qwen3", "http://box:8000/v1", "vllm/Qwen/Qwen3"),
        ("openai/m@2024@https://proxy.example/v1", "m@2024", "https://proxy.example/v1", "openai/m@2024"),
        ("local/m@http://[::1]:8080/v1", "m", "http://[::1]:8080/v1", "local/m"),
    ],
)
def test_a_name_says_provider_model_and_server(name: str, model: str, url: str, label: str) -> None:
    target = locate(name)
    assert (target.model, target.url, target.label) == (model, url, label)


def test_the_server_may_be_said_apart() -> None:
    assert locate("local/m", "http://127.0.0.1:1/v1") == locate("local/m@http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="one of them"):
        locate("local/m@http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'openay'.*'openai'.*anthropic, deepseek, gemini, local, ollama"):
        locate("openay/gpt-5")


@pytest.mark.parametrize("name", ["openai", "openai/", "openai/@http://127.0.0.1:1/v1"])
def test_a_model_must_be_named(name: str) -> None:
    with pytest.raises(ConfigError, match="PROVIDER/MODEL"):
        locate(name)


def test_a_local_model_needs_its_server() -> None:
    with pytest.raises(ConfigError, match=r"local/m@http://127\.0\.0\.1:8080/v1"):
        locate("local/m")


@pytest.mark.parametrize(
    "url",
    ["https://me:hunter22@h/v1", "https://sk-hunter22@h/v1", "https://h/v1?key=hunter22", "https://h/v1#hunter22"],
)
def test_an_address_that_may_hold_a_secret_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="environment variable") as caught:
        locate(f"openai/m@{url}")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://h/v1", "h:80/v1", "http://", "http://h:port/v1", "http://h:0/v1", "http://ü/v1"])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url must be an address"):
        locate("vllm/m", url)


def test_a_key_comes_from_the_environment_first_variable_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "second")
    assert find_key(PROVIDERS["gemini"]) == Key("GOOGLE_API_KEY", "second")
    monkeypatch.setenv("GEMINI_API_KEY", " first\n")
    assert find_key(PROVIDERS["gemini"]) == Key("GEMINI_API_KEY", "first")


def test_a_key_comes_from_the_file_and_is_then_known_as_a_secret(tmp_path: Path) -> None:
    from nasmith.redaction import redacted

    (tmp_path / ".env").write_text("# keys\nOTHER=1\nOPENAI_API_KEY='sk-from-the-file'\n")

    assert find_key(PROVIDERS["openai"]) == Key("OPENAI_API_KEY", "sk-from-the-file")
    assert redacted("it was sk-from-the-file") == "it was [OPENAI_API_KEY]"


@pytest.mark.parametrize("provider", [provider for provider in PROVIDERS.values() if not provider.free])
def test_a_missing_key_is_named(provider: object) -> None:
    names = " or ".join(provider.variables)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=rf"{names}.*\.env"):
        find_key(provider)  # type: ignore[arg-type]


def test_a_server_of_ones_own_needs_none_and_may_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_key(PROVIDERS["local"]) == Key("", "none")
    monkeypatch.setenv("NASMITH_API_KEY", "for-the-lab")
    assert find_key(PROVIDERS["vllm"]) == Key("NASMITH_API_KEY", "for-the-lab")


@pytest.mark.parametrize("value", ["sk-one\nsk-two", "sk with blanks", "sk-ünicode"])
def test_what_can_be_no_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        find_key(PROVIDERS["openai"])
    assert value not in str(caught.value)


def test_a_key_is_not_shown() -> None:
    assert "hunter22" not in repr(Key("OPENAI_API_KEY", "hunter22"))
