from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from executor_workloads import Python

from nasmith.errors import NasmithError
from nasmith.executors.launch import Setup, Zygote, _command, _environment
from nasmith.executors.sandbox import bubblewrap
from nasmith.executors.sandbox.policy import Level


class HoldsALock(Python):
    def __init__(self) -> None:
        self.lock = threading.Lock()


def test_a_workload_that_cannot_be_pickled_is_refused_with_its_name() -> None:
    with pytest.raises(NasmithError, match="HoldsALock cannot travel"):
        Setup.of(HoldsALock(), Level.STRICT)


def test_a_workload_from_an_interactive_session_is_refused_with_a_way_out() -> None:
    code = (
        "from nasmith.executors.launch import Setup\n"
        "class Mine: pass\n"
        "try: Setup.of(Mine(), 'off')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("NasmithError Mine is defined in an interactive session")
    assert "move it to a module" in printed


_SCRIPT = """
from nasmith.executors.processes import Processes
from nasmith.types import Job

main = "a name that the worker process uses too"

class Mine:
    def warm(self): self.warmed = 1
    def screen(self, text): return {{"warmed": self.warmed}}
    def fit(self, text, seed, data): return {{}}, {{}}

def run():
    executor = Processes(workers=1)
    executor.start(Mine())
    try:
        print(executor.submit(Job(1, "", 0)).result().facts)
    except Exception as error:
        print(type(error).__name__, error)
    executor.close()

{call}
"""


@pytest.mark.parametrize(
    ("call", "printed"),
    [("if __name__ == '__main__': run()", "{'warmed': 1.0}"), ("run()", "put the call under `if __name__ == '__main__':`")],
)
def test_a_workload_may_live_in_the_users_script(tmp_path: Path, call: str, printed: str) -> None:
    script = tmp_path / "mine.py"
    script.write_text(_SCRIPT.format(call=call))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert printed in done.stdout


def test_a_zygote_becomes_warm_and_ends_when_it_is_closed() -> None:
    zygote = Zygote(Setup.of(Python(), Level.STRICT))
    zygote.wait_until_warm()
    assert zygote.warm
    assert zygote.alive()
    assert zygote.resident_bytes > 1e6
    zygote.close()
    zygote.close()
    assert not zygote.alive()


def test_a_zygote_that_was_killed_says_how_it_ended() -> None:
    zygote = Zygote(Setup.of(Python(), Level.STRICT))
    zygote.kill()
    with pytest.raises((EOFError, OSError)):
        zygote.wait_until_warm()
    assert zygote.last_words() == "exit code -9"
    zygote.close()


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "PYTHON_SECRET_TOKEN", "PYTHONSECRET", "LC_SECRET", "HOME_KEY", "PATH_TOKEN"]
)
def test_no_variable_comes_along_because_its_name_begins_well(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("PYTHONUTF8", "1")
    environment = _environment()
    assert "secret" not in environment.values()
    assert {"PATH", "LC_ALL", "PYTHONUTF8"} <= set(environment)


def test_a_setup_says_what_a_workload_may_read_and_whether_it_may_write() -> None:
    class Asks(Python):
        readable = (Path("/data"),)
        workshop = True

    Asks.__module__, Asks.__qualname__ = __name__, "Asks"
    globals()["Asks"] = Asks
    assert {"readable": ["/data"], "workshop": True}.items() <= Setup.of(Asks(), Level.STRICT).header.items()
    assert {"readable": [], "workshop": False}.items() <= Setup.of(Python(), Level.STRICT).header.items()


def test_in_bubblewrap_hidden_modules_are_hidden_wherever_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "command", lambda: "bwrap")
    header = {"sandbox": Level.BWRAP, "path": sys.path, "hidden": ["numpy"]}
    line = _command(["python"], header)
    shown = {Path(line[place + 1]) for place, word in enumerate(line) if word == "--ro-bind"}
    numpy = Path(np.__file__).parent.resolve()
    assert shown and not shown & {numpy, *numpy.parents}
