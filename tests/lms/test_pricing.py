from __future__ import annotations

import socket

import pytest

from nasmith.lms.pricing import listed_price, stated_price


def test_a_listed_model_has_its_price_and_cached_tokens_are_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("a price was fetched")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    full = listed_price("openai", "gpt-4.1-mini", 1_000_000, 1_000_000)
    cached = listed_price("openai", "gpt-4.1-mini", 1_000_000, 1_000_000, 1_000_000)

    assert full == pytest.approx(0.4 + 1.6)
    assert cached == pytest.approx(0.1 + 1.6)


@pytest.mark.parametrize("place", [("openai", "no-such-model"), ("no-such-provider", "gpt-4.1-mini")])
def test_an_unknown_model_has_none(place: tuple[str, str]) -> None:
    assert listed_price(*place, 1000, 1000) is None


def test_a_stated_price_is_for_a_million_tokens() -> None:
    assert stated_price(2.0, 10.0, 500_000, 100_000) == pytest.approx(2.0)
