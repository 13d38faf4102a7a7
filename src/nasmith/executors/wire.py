"""Says how processes talk: frames of a JSON header and raw bytes, and outcomes packed into such a frame without pickle.

A frame is a magic word, the length of the header, the length of the body, the header (a JSON object) and the body. An outcome's
arrays travel as raw little-endian numbers, one behind the other; the header says their names, types and shapes. The reader
checks every length before it allocates: the writer may be hostile.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from nasmith.types import Outcome, Status

__all__ = ["WireError", "pack_outcome", "printable", "receive", "send", "unpack_outcome"]

_PREFIX = struct.Struct(">4sIQ")
_MAGIC = b"nas1"
_HEADER_LIMIT = 1 << 20
_MESSAGE_LIMIT = 2000
_NAMES_LIMIT = 10_000
_NAME_LIMIT = 500
_KINDS = "biuf"
_FROM_CANDIDATE = frozenset({Status.OK, Status.INVALID, Status.FAILED, Status.OOM, Status.KILLED})
_CHUNK = 1 << 20


class WireError(ValueError):
    """What came is not a frame, not an outcome, or too large; the message is a reason for people."""


def send(connection: socket.socket, header: Mapping[str, Any], body: bytes | bytearray | memoryview = b"") -> None:
    """Write one frame."""
    connection.sendall(_prefix(header, len(body)))
    if body:
        connection.sendall(body)


def receive(connection: socket.socket, limit: int) -> tuple[dict[str, Any], bytearray]:
    """Read one frame with a body of at most `limit` bytes.

    Raises:
        EOFError: The other side closed before a whole frame had come.
        WireError: Not a frame, or too large.
    """
    header_length, body_length = _lengths(_exactly(connection, _PREFIX.size), limit)
    header = _header(_exactly(connection, header_length))
    return header, _exactly(connection, body_length)


def pack_outcome(outcome: Outcome, limit: int) -> bytes:
    """Return the outcome as one frame; `seconds` is left out, because the parent measures it.

    Args:
        outcome: Its arrays may be anything that NumPy turns into an array of booleans, integers or floats.
        limit: Bytes that all arrays together may take.

    Raises:
        WireError: An array of another kind, too much data, or facts that are not numbers.
    """
    arrays = {name: _plain(name, value) for name, value in outcome.arrays.items()}
    size = sum(array.nbytes for array in arrays.values())
    if size > limit:
        raise WireError(f"the result holds {size / 1e6:.1f} MB of arrays; {limit / 1e6:.1f} MB are allowed")
    header = {
        "status": str(outcome.status),
        "message": outcome.message[:_MESSAGE_LIMIT],
        "facts": {name: _number(name, value) for name, value in outcome.facts.items()},
        "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()],
    }
    return b"".join([_prefix(header, size), *(array.tobytes() for array in arrays.values())])


def unpack_outcome(frame: bytes | bytearray, limit: int) -> Outcome:
    """Read a frame that holds exactly one outcome; the arrays are writable copies.

    Raises:
        WireError: Anything is not as `pack_outcome` writes it.
    """
    view = memoryview(frame)
    if len(view) < _PREFIX.size:
        raise WireError("the result is not complete")
    header_length, body_length = _lengths(view[: _PREFIX.size], limit)
    body = _PREFIX.size + header_length
    if len(view) != body + body_length:
        raise WireError("the result is not complete, or something else was written with it")
    header = _header(bytes(view[_PREFIX.size : body]))
    status, message, facts = header.get("status"), header.get("message"), header.get("facts")
    if not isinstance(status, str) or not isinstance(message, str) or not isinstance(facts, dict):
        raise WireError("the result's header is not what was asked for")
    if status not in _FROM_CANDIDATE:
        raise WireError("the result's header is not what was asked for")
    if len(facts) > _NAMES_LIMIT:
        raise WireError(f"the result holds {len(facts)} facts; {_NAMES_LIMIT} are allowed")
    return Outcome(
        status=Status(status),
        arrays=_arrays(header.get("arrays"), view[body:]),
        facts={_name(name): _number(name, value) for name, value in facts.items()},
        message=printable(message)[:_MESSAGE_LIMIT],
    )


def printable(text: str) -> str:
    """Return the text without what a terminal or a database would trip over: control characters and lone surrogates."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def _prefix(header: Mapping[str, Any], body_length: int) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > _HEADER_LIMIT:
        raise WireError(f"the header takes {len(text)} bytes; {_HEADER_LIMIT} are allowed")
    return _PREFIX.pack(_MAGIC, len(text), body_length) + text


def _lengths(prefix: bytes | bytearray | memoryview, limit: int) -> tuple[int, int]:
    magic, header_length, body_length = _PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise WireError("what came is not a result")
    if header_length > _HEADER_LIMIT or body_length > limit:
        raise WireError(f"the result takes {body_length / 1e6:.1f} MB; {limit / 1e6:.1f} MB are allowed")
    return header_length, body_length


def _header(text: bytes | bytearray) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("the header is not JSON") from error
    if not isinstance(header, dict):
        raise WireError("the header is not an object")
    return header


def _exactly(connection: socket.socket, count: int) -> bytearray:
    """Read `count` bytes; the buffer grows with what came, so that a false length costs nothing."""
    data = bytearray()
    while len(data) < count:
        chunk = connection.recv(min(_CHUNK, count - len(data)))
        if not chunk:
            raise EOFError("the other side closed")
        data += chunk
    return data


def _plain(name: str, value: object) -> np.ndarray:
    _name(name)
    array = np.asarray(value)
    if array.dtype.kind not in _KINDS:
        raise WireError(f"array {name!r} has type {array.dtype}; only booleans, integers and floats are taken")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _arrays(entries: object, body: memoryview) -> dict[str, np.ndarray]:
    if not isinstance(entries, list) or len(entries) > _NAMES_LIMIT:
        raise WireError("the result's list of arrays is not what was asked for")
    arrays: dict[str, np.ndarray] = {}
    start = 0
    for entry in entries:
        name, dtype, shape = _entry(entry)
        count = math.prod(shape)
        end = start + count * dtype.itemsize
        if end > len(body):
            raise WireError(f"array {name!r} is shorter than its shape {shape}")
        try:
            arrays[name] = (np.frombuffer(body, dtype, count, start) if count else np.empty(0, dtype)).reshape(shape).copy()
        except ValueError as error:
            raise WireError(f"array {name!r} cannot have the shape {shape}") from error
        start = end
    if start != len(body):
        raise WireError("the result holds more bytes than its arrays")
    return arrays


def _entry(entry: object) -> tuple[str, np.dtype, list[int]]:
    if not isinstance(entry, list) or len(entry) != 3:
        raise WireError("an array's entry is not (name, type, shape)")
    name, code, shape = entry
    sizes = shape if isinstance(shape, list) and len(shape) <= 32 else [-1]
    if any(type(size) is not int or not 0 <= size < 1 << 40 for size in sizes):
        raise WireError("an array's shape is not a list of sizes")
    if not isinstance(code, str) or len(code) > 4 or code[:1] not in ("<", "|") or code[1:2] not in _KINDS:
        raise WireError("an array's type is not a boolean, an integer or a float")
    try:
        dtype = np.dtype(code)
    except TypeError as error:
        raise WireError("an array's type is not known") from error
    if not dtype.itemsize:
        raise WireError("an array's type has no size")
    return _name(name), dtype, sizes


def _name(name: object) -> str:
    if not isinstance(name, str) or len(name) > _NAME_LIMIT or not name.isprintable():
        raise WireError(f"a name in the result is not printable text of at most {_NAME_LIMIT} characters")
    return name


def _number(name: str, value: object) -> float:
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise WireError(f"fact {name!r} is not a number") from error
