"""Plants secrets in the environment, lets candidates and tasks try to spill them, and looks through all that a run leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.api import DEFAULT_STORAGE, open_storage
from nasmith.cli.app import app
from nasmith.types import Status

SECRETS = {
    "OPENAI_API_KEY": "planted-in-an-api-key-1f6b",
    "PYTHON_SECRET_TOKEN": "planted-in-python-2c7d",
    "LC_SECRET": "planted-in-lc-3e8f",
    "HOME_BACKUP": "/planted/in/home/like/4a90",
    "NASMITH_CACHE_KEY": "planted-in-cache-key-5b1c",
    "XDG_CACHE_HOME_TOKEN": "planted-in-xdg-6d2e",
    "ODDLY_NAMED": "planted7e3fAndLongAndRandom0123456789",
    "DATABASE": "postgresql://me:planted-in-a-url-8a4b@host/name",
}
FRAGMENTS = [value.partition("me:")[2].partition("@")[0] or value for value in SECRETS.values()]

SPILLS = {
    "prints": "    import os\n    print(os.environ, flush=True)\n    os.write(2, repr(os.environ).encode())\n    os._exit(3)",
    "raises": "    import os\n    raise ValueError(repr(dict(os.environ)))\n",
    "looks one up": "    import os\n    raise KeyError(os.environ['PYTHON_SECRET_TOKEN'] + os.environ['LC_SECRET'])\n",
    "returns": "    import os\n    return [sorted(os.environ.values())]\n",
    "asks its parent": "    import os\n    raise ValueError(open(f'/proc/{os.getppid()}/environ').read())\n",
    "asks its parent's parent": (
        "    import os\n    stat = open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2]\n"
        "    raise ValueError(open(f'/proc/{stat.split()[1]}/environ').read())\n"
    ),
    "is no program": "    import os\n    return [[\n",
    "is good": "    return [\n        7,\n    ]\n",
}

MODULE = """
import os
from nasmith.testing import ToyTask, ToyWorkload

class Spills(ToyTask):
    "A task whose own code spills, in the process that has the secrets."
    def score(self, outcome, examined, purpose):
        if purpose == "verify" and outcome.arrays["state/widths"].sum() == 90:  # a seed, so that the winner can be exported
            raise ValueError("no score: " + repr(dict(os.environ)))
        return super().score(outcome, examined, purpose)

class Fails(ToyTask):
    def score(self, outcome, examined, purpose):
        raise RuntimeError("a bug: " + repr(dict(os.environ)))

class BadWorkload(ToyWorkload):
    def warm(self):
        raise RuntimeError("a bug: " + repr(dict(os.environ)))

class CannotWarm(ToyTask):
    def workload(self):
        return BadWorkload()
"""


@pytest.fixture
def nasmith(tmp_path):
    (tmp_path / "spilling.py").write_text(MODULE)
    (tmp_path / "replies.json").write_text(json.dumps(["\n" + text for text in SPILLS.values()]))
    environment = {**os.environ, **SECRETS, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}

    def run(*words):
        command = [sys.executable, "-c", "from nasmith.cli import main; main()", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


def search(nasmith, task, name):
    settings = [
        "lm.file=replies.json", "operators={crossover: 1}", "rounds=1", "prompts=1", f"samples={len(SPILLS)}", "verify.best=1",
        "verify.front=0", "verify.seeds=1", "executor.workers=2",
    ]  # fmt: skip
    flags = [word for setting in settings for word in ("--set", setting)]
    return nasmith("search", f"spilling:{task}", "--lm", "scripted", "--name", name, *flags)


def spilled(folder: Path, *said: subprocess.CompletedProcess[str]) -> list[str]:
    """Where a planted value, in any spelling that a database or JSON may give it, can be read."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "spilling.py"]
    texts = {str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "replace") for path in files}
    texts |= {" ".join(one.args[3:5]): one.stdout + one.stderr for one in said}
    return [f"{where}: {secret}" for where, text in texts.items() for secret in FRAGMENTS if secret in text]


def test_no_planted_secret_is_anywhere_in_what_a_run_leaves(nasmith, tmp_path):
    said = [search(nasmith, "Spills", "spills")]
    assert said[0].returncode == 0, said[0].stderr
    said.append(nasmith("report", "spills", "-o", "report"))
    said.append(nasmith("export", "spills", "-o", "model"))
    said += [nasmith("runs", "--json"), nasmith("show", "spills")]
    said.append(nasmith("show", "spills", "2"))
    assert [one.stderr for one in said if one.returncode] == []
    assert "OPENAI_API_KEY" in said[-1].stdout  # the task did spill: its words are there, without the values
    statuses = {e.status for e in open_storage(tmp_path / DEFAULT_STORAGE, read_only=True).evaluations("spills")}
    assert statuses >= {Status.OK, Status.INVALID, Status.KILLED}
    assert spilled(tmp_path, *said) == []


@pytest.mark.parametrize("task", ["Fails", "CannotWarm"])
def test_no_planted_secret_is_in_the_traceback_of_a_task_that_fails(nasmith, tmp_path, task):
    said = search(nasmith, task, "fails")
    assert said.returncode != 0
    assert "RuntimeError: a bug" in said.stderr
    assert spilled(tmp_path, said) == []


@pytest.mark.parametrize(
    "url",
    [
        "nosuchdatabase://me:planted-word@host/x",
        "postgresql+psycopg://me:planted-word@host:port/x",
        "postgresql+nosuchdriver://me:planted/word@127.0.0.1:1/x",
        "postgresql+nosuchdriver://127.0.0.1:1/x?user=me&password=planted-word",
        "postgresql+psycopg://me:planted-word@127.0.0.1:1/x",
    ],
)
def test_the_password_of_a_database_is_in_no_message(url):
    toy = ["search", "nasmith.testing:ToyTask", "--lm", "nasmith.testing:ToyLM", "--executor", "inline"]
    for words in (["runs"], ["resume", "x"], ["doctor"], toy):
        done = CliRunner().invoke(app, [*words, "--storage", url])
        assert done.exit_code and "planted" not in done.output, words
        assert isinstance(done.exception, SystemExit), words
