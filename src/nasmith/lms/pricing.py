"""What tokens cost in US dollars, from the price list that the package `genai-prices` brings along; nothing is fetched."""

from __future__ import annotations

__all__ = ["listed_price", "stated_price"]

_MILLION = 1_000_000


def listed_price(provider: str, model: str, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float | None:
    """Return what the provider takes for one exchange; None where the list does not have the model.

    Args:
        provider: Its id in the list, such as "openai".
        model: The provider's name of the model.
        tokens_in: Tokens of the prompt, the cached ones included.
        tokens_out: Tokens of the replies.
        tokens_cached: Those of `tokens_in` that the provider had in its cache; most providers take less for them.
    """
    import genai_prices

    usage = genai_prices.Usage(input_tokens=tokens_in, output_tokens=tokens_out, cache_read_tokens=tokens_cached)
    try:
        return float(genai_prices.calc_price(usage, model_ref=model, provider_id=provider).total_price)
    except LookupError:
        return None


def stated_price(price_in: float, price_out: float, tokens_in: int, tokens_out: int) -> float:
    """Return the cost at `price_in` and `price_out` US dollars for a million tokens."""
    return (tokens_in * price_in + tokens_out * price_out) / _MILLION
