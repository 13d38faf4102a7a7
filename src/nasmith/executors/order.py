"""A job on its way to a supervisor: its words as a frame, its arrays as descriptors of sealed memory."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasmith.executors.bundle import Bundle
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.wire import receive, send
from nasmith.types import Job

__all__ = ["Order"]

_JOB_LIMIT = 1 << 26
_MOST_BUNDLES = 64

_Part = tuple[int, list[list[Any]]]


@dataclass(frozen=True, slots=True)
class Order:
    """A job as a supervisor receives it.

    Attributes:
        job: Without its state.
        limits: What its process may use.
        data: For each split, what `bundle.unpack` takes.
        state: The same for the job's state, if it has one.
    """

    job: Job
    limits: Limits
    data: Mapping[str, _Part] = field(default_factory=dict)
    state: _Part | None = None

    @staticmethod
    def send(connection: socket.socket, job: Job, limits: Limits, data: Mapping[str, Bundle]) -> None:
        """Send a job with those parts of `data` that its splits name.

        Raises:
            ValueError: It names too many.
        """
        splits = [split for split in dict.fromkeys(job.splits) if split in data]
        if len(splits) >= _MOST_BUNDLES:
            raise ValueError(f"a job names {len(splits)} splits; at most {_MOST_BUNDLES - 1} are allowed")
        state = Bundle.of(job.state) if job.state else None
        try:
            parts = [data[split] for split in splits] + ([state] if state else [])
            header = {
                "candidate": job.candidate,
                "seed": job.seed,
                "action": job.action,
                "rung": job.rung,
                "limits": limits.plain(),
                "splits": splits,
                "bundles": [part.entries for part in parts],
            }
            send(connection, header, job.text.encode(errors="replace"))
            if parts:
                socket.send_fds(connection, [b"d"], [part.descriptor for part in parts])
        finally:
            if state:
                state.close()

    @classmethod
    def receive(cls, connection: socket.socket) -> Order:
        """Receive what `send` sent.

        Raises:
            EOFError: The other side has gone.
        """
        header, text = receive(connection, _JOB_LIMIT)
        splits, bundles = header["splits"], header["bundles"]
        descriptors: list[int] = []
        if bundles:
            byte, descriptors, _, _ = socket.recv_fds(connection, 1, _MOST_BUNDLES)
            if not byte or len(descriptors) != len(bundles):
                raise EOFError("the other side closed")
        parts = list(zip(descriptors, bundles, strict=True))
        job = Job(header["candidate"], text.decode(), header["seed"], tuple(splits), header["action"], rung=header["rung"])
        data = dict(zip(splits, parts, strict=False))
        return cls(job, Limits.read(header["limits"]), data, parts[-1] if len(parts) > len(splits) else None)

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor, _ in [*self.data.values(), *([self.state] if self.state else [])]:
            os.close(descriptor)
