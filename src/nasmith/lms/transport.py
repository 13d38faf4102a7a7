"""One HTTP request and its whole answer, within limits of time and size; imported only where a model is really asked.

It is the last place before the network. So it decides which headers leave, holds the key, which nothing else knows then, and
turns every answer that is no reply into a `Fault`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from nasmith.errors import UsageError
from nasmith.lms.exchange import Fault, fault_of

__all__ = ["Connections", "Form", "formed"]

_HEADERS = frozenset({"accept", "content-type", "host", "user-agent"})
_ACCOUNT = frozenset({"openai-organization", "openai-project"})
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
# Servers close idle connections after 5 seconds and more (vLLM's after 5): a request must not meet one that is closing.
_IDLE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Form:
    """A request without its body and its key."""

    method: str
    url: httpcore2.URL
    headers: tuple[tuple[bytes, bytes], ...]


def formed(url: str, paths: Mapping[str, tuple[str, str]], *, account: bool) -> dict[str, Form]:
    """Have the `openai` package form one request for each name in `paths`; nothing is sent.

    All requests of a kind are alike but for their bodies. To form each of them anew would cost more than all else together.

    Args:
        url: Of the interface.
        paths: Method and path by name.
        account: Whether the organisation and the project of OpenAI's variables are sent along.
    """
    import openai

    seen: list[httpx2.Request] = []

    def keep(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200)

    http = httpx2.Client(transport=httpx2.MockTransport(keep))
    kept = _HEADERS | _ACCOUNT if account else _HEADERS
    forms = {}
    with openai.OpenAI(api_key="none", base_url=url, max_retries=0, http_client=http) as client:
        for name, (method, path) in paths.items():
            send = client.get if method == "GET" else client.post
            send(path, cast_to=httpx2.Response)
            address, headers = seen[-1].url, seen[-1].headers
            forms[name] = Form(
                method,
                httpcore2.URL(scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path),
                tuple((title, value) for title, value in headers.raw if title.lower().decode("ascii") in kept),
            )
    return forms


class Connections:
    """Connections to one server by HTTP/1.1, kept open between requests. Called from many threads at a time.

    A proxy is taken from the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), as everywhere. Only the look-up of the
    server's name is outside the deadline: the system does it.

    Args:
        url: Of the server.
        key: Sent as the bearer token.
        timeout_seconds: From the beginning of a request to the last byte of its answer, however steadily bytes come.
        max_reply_bytes: Limit of an answer's body, unpacked.
        connections: That may be open at a time.
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float, max_reply_bytes: int, connections: int) -> None:
        self._timeout_seconds, self._max_reply_bytes = timeout_seconds, max_reply_bytes
        self._authorization = (b"Authorization", f"Bearer {key}".encode("ascii"))
        self._clock = _Clock()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            proxy=_proxy(httpx2.URL(url)),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=_Backend(self._clock),
        )

    def exchange(self, form: Form, body: bytes = b"") -> tuple[str, bytes]:
        """Send a request and return the content type and the body of an answer with the status 2xx.

        Raises:
            Fault: No answer came in time, or another one.
        """
        self._clock.start(self._timeout_seconds)
        request = httpcore2.Request(
            form.method,
            form.url,
            headers=[*form.headers, self._authorization, (b"Content-Length", str(len(body)).encode("ascii"))],
            content=body,
            extensions={"timeout": {"pool": self._timeout_seconds}},
        )
        try:
            response = self._pool.handle_request(request)
            try:
                return self._read(response)
            finally:
                response.close()
        except httpcore2.TimeoutException:
            fault = Fault("timeout", f"no whole reply within {self._timeout_seconds:g} s")
        except httpcore2.ConnectError as error:
            fault = Fault("connection", f"cannot connect: {error}", unreachable=True)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
            fault = Fault("connection", f"the connection broke: {error}")
        raise fault  # outside the handler, so that it does not carry the request along

    def close(self) -> None:
        """Close every connection; a request that waits for its answer ends with a fault."""
        self._pool.close()

    def _read(self, response: httpcore2.Response) -> tuple[str, bytes]:
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        body, whole = bytearray(), True
        try:
            for chunk in _unpacked(response, packed="content-encoding" in headers):
                body += chunk
                if len(body) > self._max_reply_bytes:
                    whole = False
                    break
        except httpx2.DecodingError:
            whole = False
        content = bytes(body[: self._max_reply_bytes])
        if response.status // 100 != 2:
            raise fault_of(response.status, headers, content)
        if not whole:
            raise Fault("malformed", f"the reply has more than {self._max_reply_bytes} bytes, or cannot be unpacked")
        return headers.get("content-type", ""), content


class _Clock(threading.local):
    """The moment at which this thread's exchange must be over."""

    deadline = 0.0

    def start(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds

    def left(self, late: type[Exception]) -> float:
        """Return the seconds that are left, more than 0; raise `late` where none are."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise late("the deadline has passed")
        return left


class _Backend(httpcore2.NetworkBackend):
    """Opens connections whose every operation ends at the deadline of the thread that waits for it."""

    def __init__(self, clock: _Clock) -> None:
        self._clock, self._system = clock, httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left = self._clock.left(httpcore2.ConnectTimeout)
        return _Connection(self._system.connect_tcp(host, port, left, local_address, socket_options), self._clock)


class _Connection(httpcore2.NetworkStream):
    """A connection; the timeout that comes with each operation is replaced by what is left until the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, clock: _Clock) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left(httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left(httpcore2.WriteTimeout))

    def close(self) -> None:
        with suppress(OSError):  # closing alone does not end what another thread waits for
            self._stream.get_extra_info("socket").shutdown(SHUT_RDWR)
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Connection:
        left = self._clock.left(httpcore2.ConnectTimeout)
        return _Connection(self._stream.start_tls(ssl_context, server_hostname, left), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Packed(httpx2.SyncByteStream):
    """A body as `httpx2` takes it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def _unpacked(response: httpcore2.Response, *, packed: bool) -> Iterable[bytes]:
    """Return the body's parts; some servers pack it though nobody asked for that."""
    chunks: Any = response.stream
    if not packed:
        return chunks
    return httpx2.Response(response.status, headers=response.headers, stream=_Packed(chunks)).iter_bytes()


def _proxy(url: httpx2.URL) -> httpcore2.Proxy | None:
    """Return the proxy that the environment names for a server; never one for this machine's own."""
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or url.host in _THIS_MACHINE or proxy_bypass(url.host):
        return None
    proxy = httpx2.Proxy(address if "://" in address else f"http://{address}")
    if proxy.url.scheme not in ("http", "https"):
        raise UsageError(f"the environment names a {proxy.url.scheme} proxy; only http:// and https:// proxies can be used.")
    return httpcore2.Proxy(str(proxy.url), auth=proxy.raw_auth)
