"""Language models behind the interface of OpenAI: hosted ones, and ones served on this machine or next door."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Literal

from nasmith.errors import ConfigError
from nasmith.lms import providers
from nasmith.lms.advice import advice
from nasmith.lms.asking import Asker, Manner
from nasmith.lms.checking import check
from nasmith.lms.exchange import HttpExchange
from nasmith.lms.options import broken_rules, default_operators, secrets
from nasmith.lms.parameters import Parameters
from nasmith.lms.pricing import listed_price, stated_price
from nasmith.lms.retries import Retries
from nasmith.redaction import redacted
from nasmith.types import Call, Completion, Request, Traits

__all__ = ["OpenAICompatible"]


class OpenAICompatible:
    """A model at a provider, or on a server of one's own (llama.cpp, vLLM, Ollama, LM Studio, …).

    The key comes from the environment or the file `.env`, and goes nowhere but to the provider. A fault is met by asking again;
    what stays is a completion that failed, and after three requests in a row without an answer the run stops.

    Args:
        model: PROVIDER/MODEL, such as "openai/gpt-5-mini", "anthropic/…", "gemini/…", "openrouter/…", "deepseek/…", "ollama/…",
            "vllm/…", or "local/MODEL@http://127.0.0.1:8080/v1"; "@URL" says where the server is, for every provider.
        base_url: The same as "@URL".
        endpoint: "chat" (it is asked) or "completions" (it continues text); the provider's usual one where none is given.
        temperatures: What a strategy draws from where the user names none.
        operators: Operators that suit the model, with relative weights.
        concurrency: Requests that it takes at a time.
        batch: Replies that one request asks for, where the server can give several.
        max_tokens: Limit on the tokens of one reply, above what a request says; thought counts.
        timeout_seconds: For one exchange, all in all.
        tries: Exchanges for one request, until one is answered.
        longest_wait_seconds: Between two tries, whatever the server asks for.
        rejections: How often a reply that is refused, cut, empty or garbled is asked for again.
        max_reply_bytes: Limit of what a server may send as one answer.
        price_in: US dollars for a million tokens of prompts, where the price list is wrong or does not know the model.
        price_out: The same for tokens of replies; give both or none.
        name: What the records call it; PROVIDER/MODEL where none is given.
    """

    shorthand = "model"
    """The option that a name such as "openai/gpt-5-mini" fills where a component's name is expected."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        endpoint: Literal["chat", "completions"] | None = None,
        temperatures: Sequence[float] = (0.2, 0.6, 0.8, 1.0),
        operators: Mapping[str, float] | None = None,
        concurrency: int = 8,
        batch: int = 8,
        max_tokens: int | None = None,
        timeout_seconds: float = 300.0,
        tries: int = 6,
        longest_wait_seconds: float = 60.0,
        rejections: int = 2,
        max_reply_bytes: int = 8 * 2**20,
        price_in: float | None = None,
        price_out: float | None = None,
        name: str = "",
    ) -> None:
        self._target = providers.locate(model, base_url)
        self.model, self.base_url, self.endpoint = model, base_url, endpoint
        self.name = name or self._target.label
        self.temperatures = tuple(temperatures)
        self.operators = dict(operators if operators is not None else default_operators(chat=self._chat))
        self.concurrency, self.batch, self.max_tokens = concurrency, batch, max_tokens
        self.timeout_seconds, self.tries, self.longest_wait_seconds = timeout_seconds, tries, longest_wait_seconds
        self.rejections, self.max_reply_bytes = rejections, max_reply_bytes
        self.price_in, self.price_out = price_in, price_out
        if rules := broken_rules(self):
            raise ConfigError(rules[0])
        self._parameters = Parameters(self._target.provider.refused)
        self._asker: Asker | None = None
        self._lock = Lock()

    @property
    def traits(self) -> Traits:
        """How it wants to be used; one reply at a time where the server gives no more."""
        batch = 1 if "n" in self._parameters.refused else self.batch
        free = self._target.provider.free if self.price_in is None else self.price_in == self.price_out == 0
        return Traits(self._chat, batch, self.concurrency, free, exact=False)

    def warm(self) -> None:
        """Make the client.

        Raises:
            UsageError: There is no key; the message names the variable.
        """
        self._open()

    def check(self, record: Callable[[Call], None]) -> None:
        """Find out with one cheap request whether it answers, and which parameters it takes.

        Args:
            record: Told of every exchange.

        Raises:
            UsageError: A key is missing or wrong, the model is unknown, nobody answers; the message says what to do.
        """
        check(self._open(), self.temperatures[0], record)

    def complete(self, request: Request) -> list[Completion]:
        """Return exactly `request.n` completions; called from many threads at a time.

        A request's messages go to the chat endpoint as they are; a prompt alone is continued, or sent as one message. Where a
        server does not count tokens, one for every 4 characters is assumed. What gave no completion is told to
        `request.record` with its tokens; they are not on a completion then.

        Raises:
            UsageError: The server will not answer this whenever it is asked; the message says what to do.
            RunStoppedError: Three requests in a row had no answer.
        """
        return self._open().complete(request)

    def price(self, tokens_in: int, tokens_out: int) -> float | None:
        """US dollars for so many tokens, none of them cached; None where no price is known."""
        return self._price(tokens_in, tokens_out, 0)

    def close(self) -> None:
        """Close every connection and end what waits; may be called twice. The next request opens them again."""
        with self._lock:
            asker, self._asker = self._asker, None
        if asker is not None:
            asker.retries.close()
            asker.exchange.close()

    @property
    def _chat(self) -> bool:
        return (self.endpoint or self._target.provider.endpoint) == "chat"

    def _price(self, tokens_in: int, tokens_out: int, tokens_cached: int) -> float | None:
        provider = self._target.provider
        if self.price_in is not None and self.price_out is not None:
            return stated_price(self.price_in, self.price_out, tokens_in, tokens_out)
        if provider.free:
            return 0.0
        return listed_price(provider.prices, self._target.model, tokens_in, tokens_out, tokens_cached)

    def _open(self) -> Asker:
        """Return what asks the model; made at the first use."""
        asker = self._asker
        if asker is not None:
            return asker
        with self._lock:
            if self._asker is None:
                self._asker = self._made()
            return self._asker

    def _made(self) -> Asker:
        provider, target = self._target.provider, self._target
        key = providers.find_key(provider)
        clean = partial(redacted, environment=secrets({key.variable: key.value} if key.variable else {}))
        exchange = HttpExchange(
            target.url,
            key.value,
            timeout_seconds=self.timeout_seconds,
            max_reply_bytes=self.max_reply_bytes,
            connections=self.concurrency,
            account=provider.name == "openai",
        )
        manner = Manner(
            self.name,
            target.model,
            self._chat,
            self.batch,
            self.max_tokens,
            self.rejections,
            cache_key=provider.name == "openai",
            cache_mark=provider.name == "openrouter" and target.model.startswith("anthropic/"),
        )
        advise = partial(
            advice,
            name=target.label,
            model=target.model,
            where=target.url,
            variables=" or ".join(provider.variables),
            held=key.variable,
            models=exchange.models,
            clean=clean,
        )
        retries = Retries(self.tries, self.longest_wait_seconds)
        return Asker(exchange, manner, self._parameters, retries, price=self._price, clean=clean, advise=advise)
