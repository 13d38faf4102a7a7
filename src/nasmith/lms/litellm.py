"""Language models by way of LiteLLM, for providers that OpenAI's interface does not reach (Bedrock, Vertex, Cohere, …)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from threading import Lock
from typing import Any, Literal

from nasmith.errors import ConfigError, MissingDependencyError
from nasmith.lms.advice import advice
from nasmith.lms.asking import Asker, Manner
from nasmith.lms.checking import check
from nasmith.lms.exchange import Fault, fault_of
from nasmith.lms.options import broken_rules, default_operators, secrets
from nasmith.lms.parameters import Parameters
from nasmith.lms.pricing import stated_price
from nasmith.lms.retries import Retries
from nasmith.types import Call, Completion, Request, Traits

__all__ = ["LiteLLM"]


class LiteLLM:
    """A model that the package `litellm` reaches; asked, repeated and accounted for as `OpenAICompatible` is.

    Keys and addresses come from the environment, by the names that LiteLLM gives them. It keeps the deadline as well as the
    provider's own package does; a limit on the size of answers it has none.

    Args:
        model: LiteLLM's name, such as "bedrock/anthropic.claude-sonnet-4-20250514-v1:0".
        endpoint: "chat" (it is asked) or "completions" (it continues text).
        temperatures: What a strategy draws from where the user names none.
        operators: Operators that suit the model, with relative weights.
        concurrency: Requests that it takes at a time.
        batch: Replies that one request asks for, where the provider can give several.
        max_tokens: Limit on the tokens of one reply, above what a request says; thought counts.
        timeout_seconds: For one exchange.
        tries: Exchanges for one request, until one is answered.
        longest_wait_seconds: Between two tries, whatever the provider asks for.
        rejections: How often a reply that is refused, cut, empty or garbled is asked for again.
        price_in: US dollars for a million tokens of prompts, where LiteLLM's list is wrong or does not know the model.
        price_out: The same for tokens of replies; give both or none.
        name: What the records call it; the model's name where none is given.
    """

    shorthand = "model"
    """The option that a name such as "bedrock/…" fills where a component's name is expected."""

    def __init__(
        self,
        model: str,
        *,
        endpoint: Literal["chat", "completions"] = "chat",
        temperatures: Sequence[float] = (0.2, 0.6, 0.8, 1.0),
        operators: Mapping[str, float] | None = None,
        concurrency: int = 8,
        batch: int = 8,
        max_tokens: int | None = None,
        timeout_seconds: float = 300.0,
        tries: int = 6,
        longest_wait_seconds: float = 60.0,
        rejections: int = 2,
        price_in: float | None = None,
        price_out: float | None = None,
        name: str = "",
    ) -> None:
        self.model, self.endpoint, self.name = model, endpoint, name or model
        self.temperatures = tuple(temperatures)
        self.operators = dict(operators if operators is not None else default_operators(chat=endpoint == "chat"))
        self.concurrency, self.batch, self.max_tokens = concurrency, batch, max_tokens
        self.timeout_seconds, self.tries, self.longest_wait_seconds = timeout_seconds, tries, longest_wait_seconds
        self.rejections, self.price_in, self.price_out = rejections, price_in, price_out
        if rules := broken_rules(self):
            raise ConfigError(rules[0])
        self._parameters = Parameters()
        self._asker: Asker | None = None
        self._lock = Lock()

    @property
    def traits(self) -> Traits:
        """How it wants to be used; one reply at a time where the provider gives no more."""
        batch = 1 if "n" in self._parameters.refused else self.batch
        free = self.price_in is not None and self.price_in == self.price_out == 0
        return Traits(self.endpoint == "chat", batch, self.concurrency, free, exact=False)

    def warm(self) -> None:
        """Import LiteLLM.

        Raises:
            MissingDependencyError: It is not installed; the message holds the command.
        """
        self._open()

    def check(self, record: Callable[[Call], None]) -> None:
        """Find out with one cheap request whether it answers, and which parameters it takes.

        Args:
            record: Told of every exchange.

        Raises:
            MissingDependencyError: LiteLLM is not installed.
            UsageError: A key is missing or wrong, the model is unknown, nobody answers; the message says what to do.
        """
        check(self._open(), self.temperatures[0], record)

    def complete(self, request: Request) -> list[Completion]:
        """Return exactly `request.n` completions, as `OpenAICompatible.complete` does; called from many threads at a time."""
        return self._open().complete(request)

    def price(self, tokens_in: int, tokens_out: int) -> float | None:
        """US dollars for so many tokens, none of them cached; None where no price is known."""
        return self._price(tokens_in, tokens_out, 0)

    def close(self) -> None:
        """End what waits; may be called twice. What a provider is computing is not waited for."""
        with self._lock:
            asker, self._asker = self._asker, None
        if asker is not None:
            asker.retries.close()

    def _price(self, tokens_in: int, tokens_out: int, tokens_cached: int) -> float | None:
        if self.price_in is not None and self.price_out is not None:
            return stated_price(self.price_in, self.price_out, tokens_in, tokens_out)
        listed = _module().model_cost
        entry = listed.get(self.model) or listed.get(self.model.partition("/")[2]) or {}
        price_in, price_out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
        if price_in is None or price_out is None:
            return None
        cached = entry.get("cache_read_input_token_cost", price_in)
        return (tokens_in - tokens_cached) * price_in + tokens_cached * cached + tokens_out * price_out

    def _open(self) -> Asker:
        with self._lock:
            if self._asker is None:
                self._asker = self._made()
            return self._asker

    def _made(self) -> Asker:
        from nasmith.redaction import redacted

        clean = partial(redacted, environment=secrets({}))
        exchange = _LiteLLMExchange(_module(), self.timeout_seconds)
        manner = Manner(self.name, self.model, self.endpoint == "chat", self.batch, self.max_tokens, self.rejections)
        advise = partial(
            advice,
            name=self.model,
            model=self.model,
            where="LiteLLM's provider",
            variables="that LiteLLM names for the provider",
            held="",
            models=exchange.models,
            clean=clean,
        )
        retries = Retries(self.tries, self.longest_wait_seconds)
        return Asker(exchange, manner, self._parameters, retries, price=self._price, clean=clean, advise=advise)


class _LiteLLMExchange:
    """One call of LiteLLM, without its own repetitions."""

    def __init__(self, module: Any, timeout_seconds: float) -> None:
        self._module, self._timeout_seconds = module, timeout_seconds

    def send(self, endpoint: str, body: Mapping[str, Any]) -> Any:
        """Have LiteLLM ask, and return the reply in the form of OpenAI's JSON."""
        import openai

        ask = self._module.completion if endpoint == "chat" else self._module.text_completion
        try:
            return ask(**body, timeout=self._timeout_seconds, num_retries=0, max_retries=0).model_dump()
        except openai.OpenAIError as error:  # LiteLLM's errors are kinds of it
            fault = _fault(error)
        raise fault  # outside the handler: the error holds the request, and that the key

    def models(self) -> list[str]:
        """Know of none."""
        return []

    def close(self) -> None:
        """Hold nothing."""


def _module() -> Any:
    """Import LiteLLM, with the prices that it brings along."""
    if find_spec("litellm") is None:
        raise MissingDependencyError('LiteLLM is not installed: pip install "nasmith[litellm]"')
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise it fetches its price list when it is imported
    import litellm

    litellm.suppress_debug_info = True  # it prints advice on the screen
    return litellm


def _fault(error: Any) -> Fault:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return Fault("timeout", "no reply in time")
    if isinstance(error, openai.APIConnectionError):
        return Fault("connection", f"cannot connect: {error}")
    message, status = str(error), getattr(error, "status_code", 0) or 500
    if status == 500 and re.search(r"missing credentials|api.?key", message, re.IGNORECASE):
        status = 401
    filtered = type(error).__name__ == "ContentPolicyViolationError"
    stated = {"message": message, "param": getattr(error, "param", None), "code": getattr(error, "code", None)}
    content = json.dumps({"error": {**stated, **({"code": "content_filter"} if filtered else {})}})
    response = getattr(error, "response", None)
    return fault_of(status, getattr(response, "headers", {}), content.encode())
