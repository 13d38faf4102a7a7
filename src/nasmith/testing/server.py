"""A server with the interface of OpenAI on this machine, which fails on demand: for tests of whatever asks a model."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

__all__ = ["FAULTS", "Charged", "EchoServer", "Received"]

_Body = Mapping[str, Any]
_HUGE_BYTES = 40 * 2**20
_ERRORS = {
    "401": (401, "invalid_api_key", "Incorrect API key provided: {key}."),
    "404": (404, "model_not_found", "The model `{model}` does not exist."),
    "429": (429, "rate_limit_exceeded", "Rate limit reached."),
    "500": (500, "server_error", "The server had an error."),
    "503": (503, "unavailable", "Loading model."),
    "out-of-credit": (429, "insufficient_quota", "You exceeded your current quota."),
}
_SPOILT = frozenset({"blank", "empty", "refused", "single", "truncated", "uncounted", "undercounted"})
_BROKEN = frozenset({"cut", "drip", "half", "hang", "html", "huge", "moved"})

FAULTS = frozenset(_ERRORS) | _SPOILT | _BROKEN
"""What a server can do wrong.

Numbers are statuses of HTTP, and "out-of-credit" is a 429 that stays. A spoilt reply is complete: "blank" has empty texts,
"empty" no choices, "single" one choice whatever was asked for, "undercounted" the tokens of one choice only, "uncounted" no
tokens. Of a broken one, "cut" and "half" miss their second half ("half" calls it whole), "drip" comes byte by byte, "hang"
never, "html" is none, "huge" is 40 MiB of blanks, and "moved" leads to another address.
"""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: the path, the headers by name in lower case, and the JSON (None where there was none)."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Charged:
    """What the replies cost that were sent to their end: tokens of prompts, tokens of replies, and how many replies."""

    tokens_in: int = 0
    tokens_out: int = 0
    replies: int = 0


class EchoServer:
    """Serves /v1/models, /v1/completions and /v1/chat/completions on the loopback interface; a context manager.

    A token is a word here.

    Args:
        reply: Returns the text of one choice for a request's body; by default what was said last.
        faults: What goes wrong: one entry for each request to a model, in order (None: nothing; nothing after the last either),
            or a function of (number of the request from 0, its body). Entries are names of `FAULTS`, or "refuses:PARAMETER"
            (HTTP 400 where the request has that parameter). A request for the list of models does not count.
        models: Names that the list of models holds.
        retry_after: The header `Retry-After` of the fault "429".
        drip_seconds: Between two bytes of the fault "drip".
    """

    def __init__(
        self,
        reply: Callable[[_Body], str] | None = None,
        *,
        faults: Sequence[str | None] | Callable[[int, _Body], str | None] = (),
        models: Sequence[str] = ("echo",),
        retry_after: str = "0",
        drip_seconds: float = 0.05,
    ) -> None:
        unknown = [] if callable(faults) else [name for name in faults if name and not _is_fault(name)]
        if unknown:
            raise ValueError(f"no such fault: {unknown[0]!r}; there are {', '.join(sorted(FAULTS))} and refuses:PARAMETER")
        self.reply, self.faults, self.models = reply or _said_last, faults, models
        self.retry_after, self.drip_seconds = retry_after, drip_seconds
        self.requests: list[Received] = []
        self.charged = Charged()
        self.closed = Event()
        self._lock = Lock()
        self._asked = 0
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The address of the interface, as in "http://127.0.0.1:8080/v1"."""
        if self._server is None:
            raise RuntimeError("the server runs inside a `with` only")
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> EchoServer:
        self._server = _Server(self)
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="echo server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()

    def note(self, received: Received) -> str:
        """Keep a request, and return the fault that it meets: a name, or ""."""
        with self._lock:
            self.requests.append(received)
            if not isinstance(received.body, dict):
                return ""
            number, self._asked = self._asked, self._asked + 1
            if callable(self.faults):
                fault = self.faults(number, received.body)
            else:
                fault = self.faults[number] if number < len(self.faults) else None
        return fault or ""

    def charge(self, usage: Mapping[str, int], replies: int) -> None:
        """Count a reply that was sent to its end."""
        with self._lock:
            self.charged = replace(
                self.charged,
                tokens_in=self.charged.tokens_in + usage["prompt_tokens"],
                tokens_out=self.charged.tokens_out + usage["completion_tokens"],
                replies=self.charged.replies + replies,
            )


def _is_fault(name: str) -> bool:
    return name in FAULTS or name.startswith("refuses:")


def _said_last(body: _Body) -> str:
    """Return the last message's text, or the prompt."""
    messages = body.get("messages")
    return str(messages[-1]["content"] if messages else body.get("prompt", ""))


class _Server(ThreadingHTTPServer):
    daemon_threads, block_on_close, request_queue_size = True, False, 256

    def __init__(self, echo: EchoServer) -> None:
        self.echo = echo
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is what many tests are about."""

    def hang_up(self) -> None:
        """End the connections that are still open."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self.server.echo.note(self._received(None))
        names = [{"id": name, "object": "model"} for name in self.server.echo.models]
        self._send(200, json.dumps({"object": "list", "data": names}).encode())

    def do_POST(self) -> None:
        echo = self.server.echo
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        fault = echo.note(self._received(body))
        kind, _, parameter = fault.partition(":")
        if kind == "refuses":
            if parameter in body:
                self._send_error(400, "unsupported_parameter", f"Unsupported parameter: '{parameter}'.", parameter)
                return
            fault = ""
        if fault in _ERRORS:
            status, code, message = _ERRORS[fault]
            key = self.headers.get("authorization", "").removeprefix("Bearer ")
            self._send_error(status, code, message.format(key=key, model=body.get("model")))
        elif fault == "hang":
            echo.closed.wait()
            self.close_connection = True
        elif fault == "moved":
            self._send(307, b"", location="http://127.0.0.1:9/v1")
        elif fault == "html":
            self._send(200, b"<html><title>Sign in</title></html>", kind="text/html")
        elif fault == "huge":
            self._begin(200, _HUGE_BYTES)
            for _ in range(_HUGE_BYTES // 2**16):
                self.wfile.write(b" " * 2**16)
        else:
            self._answer(body, fault)

    def _answer(self, body: _Body, fault: str) -> None:
        """Send a reply, and charge for it where its end was sent."""
        reply = _reply(body, self.path, self.server.echo.reply, fault)
        content = json.dumps(reply).encode()
        if fault in ("cut", "half"):
            half = content[: len(content) // 2]
            self._begin(200, len(content) if fault == "cut" else len(half), connection="close")
            self.wfile.write(half)
            self.close_connection = True
            return
        if fault == "drip":
            self._begin(200, len(content))
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                if self.server.echo.closed.wait(self.server.echo.drip_seconds):
                    return
        else:
            self._send(200, content)
        if "usage" in reply:
            self.server.echo.charge(reply["usage"], len(reply["choices"]))

    def _send_error(self, status: int, code: str, message: str, parameter: str | None = None) -> None:
        error = {"message": message, "type": code, "param": parameter, "code": code}
        wait = {"retry-after": self.server.echo.retry_after} if status == 429 else {}
        self._send(status, json.dumps({"error": error}).encode(), **wait)

    def _send(self, status: int, content: bytes, kind: str = "application/json", **headers: str) -> None:
        self.wfile.write(self._head(status, len(content), kind, headers) + content)

    def _begin(self, status: int, length: int, **headers: str) -> None:
        self.wfile.write(self._head(status, length, "application/json", headers))

    def _head(self, status: int, length: int, kind: str, headers: Mapping[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} -", f"content-type: {kind}", f"content-length: {length}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _received(self, body: Any) -> Received:
        return Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)


def _reply(body: _Body, path: str, text: Callable[[_Body], str], fault: str) -> dict[str, Any]:
    """Return the JSON of a reply; a fault may spoil what it says."""
    count = 0 if fault == "empty" else 1 if fault == "single" else int(body.get("n") or 1)
    texts = [text(body) for _ in range(count)]
    choices = list(_choices(texts, chat=path.endswith("/chat/completions"), fault=fault))
    prompt = " ".join(str(message["content"]) for message in body.get("messages", ())) or str(body.get("prompt", ""))
    counts = [max(1, len(said.split())) for said in texts] or [1]
    tokens_in, tokens_out = len(prompt.split()), counts[0] if fault == "undercounted" else sum(counts)
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    reply = {"id": "echo", "object": "reply", "model": body.get("model"), "choices": choices}
    return reply if fault == "uncounted" else {**reply, "usage": usage}


def _choices(texts: Sequence[str], *, chat: bool, fault: str) -> Iterator[dict[str, Any]]:
    for index, text in enumerate(texts):
        finish = "length" if fault == "truncated" else "content_filter" if fault == "refused" else "stop"
        said = text[: len(text) // 2] if fault == "truncated" else "" if fault in ("blank", "refused") else text
        choice: dict[str, Any] = {"index": index, "finish_reason": finish}
        if not chat:
            yield {**choice, "text": said}
        elif fault == "refused":
            yield {**choice, "message": {"role": "assistant", "content": None, "refusal": "I will not write that."}}
        else:
            yield {**choice, "message": {"role": "assistant", "content": said}}
