"""Asks a hosted model until each reply that was wanted is there, and accounts for every exchange on the way.

What goes through here comes out once: a token is on a completion or on a call that is told to `Request.record`, never on both.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

from nasmith.errors import RunStoppedError, UsageError
from nasmith.lms.exchange import Exchange, Fault
from nasmith.lms.parameters import Parameters, named
from nasmith.lms.replies import Choice, Reply, Usage, estimated, read, share
from nasmith.lms.retries import Retries
from nasmith.seeding import derive
from nasmith.types import Call, Completion, Request

__all__ = ["Asker", "Manner", "Share"]

_LONGEST_TEXT = 10_000  # characters of a useless reply that are kept
_MOST_STOP_TEXTS = 4
_OUTCOMES = {"denied": "failed"}


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked.

    Attributes:
        name: What the records call it.
        model: What the server calls it.
        chat: Whether a prompt without messages is sent as a message.
        batch: Most replies of one exchange.
        max_tokens: Limit of a reply; the request's own where it is None.
        rejections: How often a useless reply is asked for again.
        cache_key: Whether the server is given a key by which it finds what it has in its cache (OpenAI).
        cache_mark: Whether the first message is marked as worth keeping in a cache (Anthropic's models at OpenRouter).
    """

    name: str
    model: str
    chat: bool
    batch: int
    max_tokens: int | None
    rejections: int
    cache_key: bool = False
    cache_mark: bool = False


class Share(NamedTuple):
    """A choice, with its part of what the exchange cost."""

    choice: Choice
    usage: Usage
    cost: float
    seconds: float


class Asker:
    """Turns requests into completions. Called from many threads at a time.

    Args:
        exchange: The way to the model.
        manner: How it is asked.
        parameters: What the server takes.
        retries: For exchanges that fail.
        price: US dollars for (tokens in, tokens out, cached ones of the former); None where it is not known.
        clean: Takes secrets out of a text.
        advise: Makes an error for the user of a fault that stays.
    """

    def __init__(
        self,
        exchange: Exchange,
        manner: Manner,
        parameters: Parameters,
        retries: Retries,
        *,
        price: Callable[[int, int, int], float | None],
        clean: Callable[[str], str],
        advise: Callable[[Fault], UsageError],
    ) -> None:
        self.exchange, self.manner, self.parameters, self.retries = exchange, manner, parameters, retries
        self._price, self._clean, self.advise = price, clean, advise

    @property
    def batch(self) -> int:
        """Replies that one exchange may ask for."""
        return 1 if "n" in self.parameters.refused else self.manner.batch

    def complete(self, request: Request) -> list[Completion]:
        """Return exactly `request.n` completions; see `OpenAICompatible.complete`."""
        began = time.perf_counter()
        done: list[Completion] = []
        while len(done) < request.n:
            done += self._portion(request, len(done), min(self.batch, request.n - len(done)))
        seconds = (time.perf_counter() - began) / max(1, request.n)
        return [replace(completion, seconds=seconds) for completion in done]

    def body(self, request: Request, n: int, seed: int, room: int) -> tuple[str, dict[str, Any]]:
        """Return the endpoint and the JSON to send there for `n` replies of at most `room` tokens."""
        chat = bool(request.messages) or self.manner.chat
        wanted: dict[str, Any] = {
            "n": n,
            "temperature": request.temperature,
            "seed": seed & 0x7FFFFFFF,
            "stop": list(request.stop_texts[:_MOST_STOP_TEXTS]),
            "max_tokens": room,
        }
        if not chat:
            return "completions", {"model": self.manner.model, "prompt": request.prompt, **self.parameters.accepted(wanted)}
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        messages = messages or [{"role": "user", "content": request.prompt}]
        if self.manner.cache_key:
            wanted["prompt_cache_key"] = sha256(messages[0]["content"].encode("utf-8", "replace")).hexdigest()[:32]
        return "chat", {
            "model": self.manner.model,
            "messages": _marked(messages) if self.manner.cache_mark else messages,
            **self.parameters.accepted(wanted),
        }

    def call(self, request: Request, outcome: str, message: str, seconds: float, **facts: Any) -> Call:
        """Return the record of an exchange that gave no completion."""
        step, index = request.place
        text = self._clean(facts.pop("text", "")[:_LONGEST_TEXT])
        outcome = _OUTCOMES.get(outcome, outcome)
        return Call(self.manner.name, outcome, self._clean(message), text, step, index, seconds=seconds, **facts)

    def shares(self, request: Request, reply: Reply, n: int, seconds: float) -> list[Share]:
        """Return the first `n` choices, each with its part of the tokens; the prompt's are all on the first."""
        choices = reply.choices[:n]
        said = reply.usage
        if said is None:
            tokens_in, cached, outs = _estimated_prompt(request), 0, [estimated(choice.text) for choice in choices]
        else:
            tokens_in, cached = said.tokens_in, said.tokens_cached
            outs = share(said.tokens_out, [len(choice.text) for choice in choices])
        usages = [Usage(tokens_in, out, cached) if place == 0 else Usage(0, out) for place, out in enumerate(outs)]
        return [
            Share(choice, usage, self.cost(usage), seconds / len(choices))
            for choice, usage in zip(choices, usages, strict=True)
        ]

    def cost(self, usage: Usage) -> float:
        """Return US dollars; 0 where no price is known."""
        return self._price(usage.tokens_in, usage.tokens_out, usage.tokens_cached) or 0.0

    def _portion(self, request: Request, first: int, count: int) -> list[Completion]:
        """Return `count` completions, those from `first` on of a request."""
        good: list[Completion] = []
        room = self.manner.max_tokens or request.max_tokens
        rejected, why = 0, ""
        # What stops the run stops it at the next request where this one has brought something: that is paid for.
        while len(good) < count and rejected <= self.manner.rejections:
            place = first + len(good)
            seed = derive(request.seed, "again", place, rejected) if place or rejected else request.seed
            wanted = min(self.batch, count - len(good))
            try:
                answer, seconds = self.exchanged(request, wanted, seed, room)
            except UsageError as error:
                if not good:
                    raise
                why = str(error)
                break
            if isinstance(answer, Fault) and answer.passing:
                why = f"no reply after {self.retries.tries} tries: {answer.message}"
                self._count_unanswered(why, stop=not good)
                break
            last = rejected == self.manner.rejections
            fine, bad = self._sorted(request, answer, wanted, seconds, last=last)
            good += fine
            if bad:
                rejected, why = rejected + 1, f"no usable reply: {bad[-1].message}"
                room *= 2 if any(call.outcome == "truncated" for call in bad) else 1
                if rejected > self.manner.rejections and isinstance(answer, Fault) and answer.outcome == "malformed":
                    self._count_unanswered(why, stop=not good)
        if len(good) < count:
            failed = Completion(request.prompt, "", self.manner.name, 0, 0, finish="failed", message=self._clean(why))
            good += [failed] * (count - len(good))
        return good

    def exchanged(self, request: Request, n: int, seed: int, room: int, *, first: bool = False) -> tuple[Reply | Fault, float]:
        """Have a request answered, without the parameters that the server turns out to refuse; and the seconds it took.

        Exchanges that failed are recorded; of an answer that is of no use, that is left to the caller.

        Raises:
            UsageError: The server will not answer it whenever it is asked.
        """
        while True:
            endpoint, body = self.body(request, n, seed, room)
            answer, seconds = self._sent(request, endpoint, body, seed, first=first)
            if not isinstance(answer, Fault) or answer.passing:
                return answer, seconds
            if answer.outcome != "malformed":
                self.retries.answered()
            if answer.outcome != "denied":
                return answer, seconds
            refused = named(answer, body)
            if not refused:
                raise self.advise(answer)
            self.parameters.refuse(refused)

    def _sent(
        self, request: Request, endpoint: str, body: Mapping[str, Any], seed: int, *, first: bool
    ) -> tuple[Reply | Fault, float]:
        """Send a body, again while that may help."""
        seconds = 0.0

        def once(_: int) -> Reply:
            nonlocal seconds
            began = time.perf_counter()
            try:
                return self._attempt(endpoint, body)
            except Fault as came:
                fault = came
            finally:
                seconds = time.perf_counter() - began
            if fault.passing or fault.outcome == "denied":
                _tell(request, self.call(request, fault.outcome, fault.message, seconds, text=fault.text))
            raise fault

        try:
            reply = self.retries.run(once, seed, first=first)
        except Fault as fault:
            return fault, seconds
        self.retries.answered()
        return reply, seconds

    def _attempt(self, endpoint: str, body: Mapping[str, Any]) -> Reply:
        """Return what one exchange brings.

        Raises:
            Fault: No reply.
        """
        data = self.exchange.send(endpoint, body)
        reply = read(data)
        if reply is None:
            raise Fault("malformed", "the reply's JSON holds no choices", text=json.dumps(data))
        return reply

    def _sorted(
        self, request: Request, answer: Reply | Fault, n: int, seconds: float, *, last: bool
    ) -> tuple[list[Completion], list[Call]]:
        """Part an answer into completions and what is to be asked again; the latter is recorded."""
        good: list[Completion] = []
        bad: list[Call] = []
        if isinstance(answer, Fault):
            bad.append(self.call(request, answer.outcome, answer.message, seconds, text=answer.text))
        elif not answer.choices:
            usage = answer.usage or Usage(_estimated_prompt(request))
            bad.append(
                self._useless(request, "empty", "the reply is empty", Share(Choice(""), usage, self.cost(usage), seconds))
            )
        elif len(answer.choices) < n:
            self.parameters.refuse("n")
        for one in [] if isinstance(answer, Fault) else self.shares(request, answer, n, seconds):
            outcome, message, completion = self._judged(request, one)
            if not outcome or (outcome == "truncated" and last and completion.text.strip()):
                good.append(completion)
            else:
                bad.append(self._useless(request, outcome, message, one))
        for call in bad:
            _tell(request, call)
        return good, bad

    def _judged(self, request: Request, one: Share) -> tuple[str, str, Completion]:
        """Return what is wrong with a choice (nothing: ""), that in words, and the completion that it makes."""
        choice, usage = one.choice, one.usage
        text, finish = self._clean(choice.text), choice.finish
        cut = request.stop(text) if request.stop is not None and finish != "refused" else None
        if cut is not None:
            text, finish = text[:cut], "stop"
        completion = Completion(
            request.prompt,
            text,
            self.manner.name,
            usage.tokens_in,
            usage.tokens_out,
            one.cost,
            finish="length" if finish == "length" else "stop",
            tokens_cached=usage.tokens_cached,
        )
        chat = bool(request.messages) or self.manner.chat
        if finish == "refused":
            return "refused", f"the reply was refused: {choice.message}", completion
        if finish == "length" and chat and (request.stop is not None or not text.strip()):
            return "truncated", "the reply is cut at its limit of tokens: raise max_tokens", completion
        if not text.strip():
            return "empty", "the reply is empty", completion
        return "", "", completion

    def _useless(self, request: Request, outcome: str, message: str, one: Share) -> Call:
        usage = one.usage
        return self.call(
            request,
            outcome,
            message,
            one.seconds,
            text=one.choice.text,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cached=usage.tokens_cached,
            cost=one.cost,
        )

    def _count_unanswered(self, why: str, *, stop: bool) -> None:
        if self.retries.unanswered() and stop:
            raise RunStoppedError(self._clean(f"{self.manner.name} does not answer ({why}); resume the run when it does."))


def _estimated_prompt(request: Request) -> int:
    return estimated("".join(message.content for message in request.messages) or request.prompt)


def _tell(request: Request, call: Call) -> None:
    if request.record is not None:
        request.record(call)


def _marked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Mark the system message, which all requests of a run share, as worth keeping in the provider's cache."""
    first = messages[0]
    if first["role"] != "system":
        return list(messages)
    part = {"type": "text", "text": first["content"], "cache_control": {"type": "ephemeral"}}
    return [{"role": "system", "content": [part]}, *messages[1:]]
