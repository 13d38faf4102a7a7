"""One exchange with a server: JSON there, JSON back, or a fault that says what came instead and what may help."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

__all__ = ["Exchange", "Fault", "HttpExchange", "decoded", "fault_of", "retry_after"]

_FILTERED = ("content_filter", "content_policy_violation")
_NO_ROOM = "output limit was reached"  # OpenAI's reasoning models say it as an error where all room went into thought
_LONGEST_MESSAGE = 500
_PATHS = {"chat": ("POST", "/chat/completions"), "completions": ("POST", "/completions"), "models": ("GET", "/models")}


class Fault(Exception):  # noqa: N818 - an error is the user's or ours; this is a server's
    """No reply came of an exchange.

    Attributes:
        outcome: "limited" | "failed" | "timeout" | "connection": sent again, it may succeed. "malformed" | "refused" |
            "truncated": an answer that is of no use. "denied": it stays so until somebody changes something.
        message: What the server said, or what happened.
        status: Of HTTP; 0 where none came.
        code: The server's name for the error; may be empty.
        parameter: The parameter that the server names as the cause; may be empty.
        text: What came instead of a reply, where that is not JSON.
        wait_seconds: How long the server asks to wait; None where it does not say.
        unreachable: Nobody listens there.
    """

    def __init__(
        self,
        outcome: str,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        parameter: str = "",
        text: str = "",
        wait_seconds: float | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.outcome, self.message, self.status, self.code = outcome, message, status, code
        self.parameter, self.text, self.wait_seconds, self.unreachable = parameter, text, wait_seconds, unreachable

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.outcome in ("limited", "failed", "timeout", "connection")


class Exchange(Protocol):
    """A way to a model: each call is one exchange, without repetition. Called from many threads at a time."""

    def send(self, endpoint: str, body: Mapping[str, Any]) -> Any:
        """Send a request to the endpoint "chat" or "completions" and return the JSON that came back.

        Raises:
            Fault: No JSON came back.
        """

    def models(self) -> list[str]:
        """Return the names of the models that the server has; empty where it does not tell."""

    def close(self) -> None:
        """End what is under way; may be called twice."""


class HttpExchange:
    """A server with the interface of OpenAI, reached by the `openai` package.

    The package forms the requests; its objects never hold the key, and its own repetitions play no part.

    Args:
        url: Of the interface, as in "https://api.openai.com/v1".
        key: The bearer token.
        timeout_seconds: For one exchange, all in all.
        max_reply_bytes: Limit of a reply.
        connections: That may be open at a time.
        account: Whether the organisation and the project of OpenAI's variables are sent along.
    """

    def __init__(
        self, url: str, key: str, *, timeout_seconds: float, max_reply_bytes: int, connections: int, account: bool = False
    ) -> None:
        from nasmith.lms.transport import Connections, formed

        self._forms = formed(url, _PATHS, account=account)
        self._connections = Connections(
            url, key, timeout_seconds=timeout_seconds, max_reply_bytes=max_reply_bytes, connections=connections
        )

    def send(self, endpoint: str, body: Mapping[str, Any]) -> Any:
        """Send a request to the endpoint "chat" or "completions" and return the JSON that came back."""
        # A program may hold half a surrogate pair, which UTF-8 cannot say.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return decoded(*self._connections.exchange(self._forms[endpoint], content))

    def models(self) -> list[str]:
        """Return the names of the models that the server has; empty where it does not tell."""
        try:
            listed = decoded(*self._connections.exchange(self._forms["models"]))
        except Fault:
            return []
        entries = listed.get("data") if isinstance(listed, dict) else None
        names = [entry.get("id") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        return [name for name in names if isinstance(name, str)]

    def close(self) -> None:
        """Close every connection; requests that are under way end with a fault."""
        self._connections.close()


def decoded(kind: str, content: bytes) -> Any:
    """Return the JSON value in a body of the content type `kind`.

    Raises:
        Fault: It is none ("malformed").
    """
    why = "" if "json" in kind.lower() or not kind else f"the reply has the content type {kind!r}, and should be JSON"
    if not why:
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            why = f"the reply is no JSON: {error}"
    raise Fault("malformed", why, text=content.decode("utf-8", "replace"))


def fault_of(status: int, headers: Mapping[str, str], content: bytes) -> Fault:
    """Return what an answer with a status outside 2xx means."""
    text = content.decode("utf-8", "replace")
    error = _error(text)
    code = str(error.get("code") or error.get("type") or "")
    said = str(error.get("message") or "")[:_LONGEST_MESSAGE]
    if status // 100 == 3:
        said = f"moved to {headers.get('location', 'another address')}"
    if "insufficient_quota" in (code, error.get("type")) or status == 402:
        outcome, code = "denied", "insufficient_quota"
    elif status in (408, 409, 429):
        outcome = "limited"
    elif status >= 500:
        outcome = "failed"
    elif code in _FILTERED:
        outcome = "refused"
    else:
        outcome = "truncated" if status == 400 and _NO_ROOM in said else "denied"
    return Fault(
        outcome,
        f"HTTP {status}" + (f": {said}" if said else ""),
        status=status,
        code=code,
        parameter=str(error.get("param") or ""),
        text=text,
        wait_seconds=retry_after(headers),
    )


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds to wait that an answer asks for, at least 0; None where it asks for none that can be read.

    Args:
        headers: `retry-after-ms` goes before `retry-after`, which holds seconds or a date of HTTP.
        now: The time by which a date is measured; now by default.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        date = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _error(text: str) -> dict[str, Any]:
    """Return the error that servers state in one of several shapes: {"message", "type", "code", "param"}, as far as said."""
    try:
        stated = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if isinstance(stated, list) and stated:  # Gemini
        stated = stated[0]
    if not isinstance(stated, dict):
        return {}
    error = stated.get("error", stated)
    if not isinstance(error, dict):
        error = {"message": error}
    detail = error.get("detail", error.get("message"))
    if not isinstance(detail, str | None):  # FastAPI: a list of {"loc": ["body", "seed"], "msg": …}
        place = re.search(r'"loc": \["body", "(\w+)"', json.dumps(detail))
        error = {"param": place[1] if place else "", **error, "message": json.dumps(detail)}
    elif "detail" in error:
        error = {**error, "message": detail}
    return error
