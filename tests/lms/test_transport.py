from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from nasmith.errors import UsageError
from nasmith.lms.exchange import Fault
from nasmith.lms.transport import Connections, formed
from nasmith.testing import EchoServer

PATHS = {"ask": ("POST", "/completions")}


@contextmanager
def speaking(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads each request, whose body is b"{}", and then does `talk` with the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        request = b""
                        while not request.endswith(b"{}") and (part := connection.recv(2**16)):
                            request += part  # what is left unread would reset the connection
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def saying(head: str, body: bytes) -> Callable[[socket.socket], None]:
    message = f"HTTP/1.1 {head}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    return lambda connection: connection.sendall(message)


def ask(url: str, body: bytes = b"{}", **options: Any) -> tuple[str, bytes]:
    limits = {"timeout_seconds": 30.0, "max_reply_bytes": 1000, "connections": 1, **options}
    connections = Connections(url, "key", **limits)
    try:
        return connections.exchange(formed(url, PATHS, account=False)["ask"], body)
    finally:
        connections.close()


def fault(url: str, **options: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        ask(url, **options)
    assert caught.value.__context__ is None  # it would hold the request, and that the key
    return caught.value


def test_an_answer_is_read_whole() -> None:
    with speaking(saying("200 OK", b'{"a": 1}')) as url:
        assert ask(url) == ("application/json", b'{"a": 1}')


def test_a_packed_answer_is_unpacked() -> None:
    with speaking(saying("200 OK\r\nContent-Encoding: gzip", gzip.compress(b'{"a": 1}'))) as url:
        assert ask(url)[1] == b'{"a": 1}'


@pytest.mark.parametrize("body", [b" " * 1001, b" " * 10**7])
def test_an_answer_has_a_limit(body: bytes) -> None:
    with speaking(saying("200 OK", body)) as url:
        assert fault(url).outcome == "malformed"
        assert ask(url, max_reply_bytes=len(body))[1] == body


@pytest.mark.parametrize("packed", [gzip.compress(b" " * 10**8), b"this is not packed"])
def test_a_packed_answer_has_the_same_limit(packed: bytes) -> None:
    with speaking(saying("200 OK\r\nContent-Encoding: gzip", packed)) as url:
        assert fault(url).outcome == "malformed"


def test_an_errors_body_has_a_limit_too() -> None:
    with speaking(saying("401 No", b'{"error": {"message": "' + b"x" * 10**7)) as url:
        found = fault(url)
    assert found.status == 401 and len(found.text) == 1000


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_the_deadline_holds_however_steadily_bytes_come(beginning: bytes) -> None:
    late = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while not late.wait(0.02):
            connection.sendall(b"x")

    with speaking(drip) as url:
        found = fault(url, timeout_seconds=0.3)
        late.set()
    assert (found.outcome, found.message) == ("timeout", "no whole reply within 0.3 s")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"SSH-2.0-server\r\n\r\n"])
def test_a_connection_that_breaks_is_a_fault_that_passes(said: bytes) -> None:
    with speaking(lambda connection: connection.sendall(said)) as url:
        found = fault(url)
    assert found.outcome == "connection" and found.passing and not found.unreachable


def test_nobody_there_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert fault(f"http://127.0.0.1:{port}/v1").unreachable


def test_a_redirection_is_not_followed() -> None:
    with EchoServer(faults=["moved"]) as server:
        found = fault(server.url)
    assert (found.status, found.message) == (307, "HTTP 307: moved to http://127.0.0.1:9/v1")


def test_connections_are_kept_and_shared_by_threads() -> None:
    with EchoServer() as server:
        connections = Connections(server.url, "key", timeout_seconds=30, max_reply_bytes=10**6, connections=4)
        form = formed(server.url, PATHS, account=False)["ask"]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: connections.exchange(form, b'{"prompt": "x"}')[0], range(200)))
        connections.close()
    assert answers == ["application/json"] * 200


def test_closing_ends_what_waits() -> None:
    arrived = threading.Event()

    def faults(number: int, body: object) -> str:
        arrived.set()
        return "hang"

    with EchoServer(faults=faults) as server, ThreadPoolExecutor(1) as pool:
        connections = Connections(server.url, "key", timeout_seconds=600, max_reply_bytes=10**6, connections=1)
        waiting = pool.submit(connections.exchange, formed(server.url, PATHS, account=False)["ask"], b"{}")
        arrived.wait()
        connections.close()
        with pytest.raises(Fault, match="connection broke"):
            waiting.result()


def test_a_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with EchoServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://me:hunter22@").removesuffix("/v1"))
        ask("http://models.invalid/v1", b'{"prompt": "x"}')
        with EchoServer() as own:
            ask(own.url, b'{"prompt": "x"}')
        monkeypatch.setenv("NO_PROXY", "models.invalid")
        assert fault("http://models.invalid/v1").unreachable

    assert [received.path for received in proxy.requests] == ["http://models.invalid/v1/completions"]
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    assert len(own.requests) == 1


def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(UsageError, match="socks5 proxy"):
        ask("http://models.invalid/v1")
