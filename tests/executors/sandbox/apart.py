"""Runs code in a process of its own: what confines a process confines it for good."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"},
    reason="the sandbox needs Linux, on x86-64 or aarch64",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


def run(code: str, *arguments: object, **options: Any) -> Any:
    """Run Python code and return what it printed, which must be JSON."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
