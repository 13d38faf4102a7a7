from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from clrs_toys import needs_clrs
from nasmith.errors import MissingDependencyError
from nasmith.tasks.clrs import packages


def test_the_command_is_said_where_the_extra_is_missing(monkeypatch):
    monkeypatch.setattr(packages, "_NEEDED", ("a-package-that-is-not-there",))
    with pytest.raises(
        MissingDependencyError, match=r'a-package-that-is-not-there is not installed: pip install "nasmith\[clrs\]"'
    ):
        packages.check_installed()


def test_handlers_of_the_root_logger_are_taken_away_again():
    handler = logging.NullHandler()
    with packages.kept_handlers():
        logging.root.addHandler(handler)
    assert handler not in logging.root.handlers


@needs_clrs
def test_importing_says_nothing_and_starts_no_thread():
    script = (
        "import logging, os\n"
        "from nasmith.tasks.clrs.packages import load_clrs\n"
        "load_clrs()\n"
        "print(len(os.listdir('/proc/self/task')) if os.path.isdir('/proc/self/task') else 1, len(logging.root.handlers))\n"
    )
    variables = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=variables)
    assert (done.stdout.split(), done.stderr) == (["1", "0"], "")
