"""A run of twelve children, four of them hostile: each has its true status, and the run ends well."""

import json
import os
import subprocess
import sys

from nasmith.api import open_storage
from nasmith.storage import DEFAULT_STORAGE

HOSTILE = {
    "os._exit(1)": "    import os\n    os._exit(1)\n    return nn.Sequential(nn.LazyLinear(10))\n",
    "an endless loop": "    while True:\n        pass\n    return nn.Sequential(nn.LazyLinear(10))\n",
    "endless memory": "    kept = []\n    while True:\n        kept.append(b'x' * 10**8)\n    return nn.Linear(40, 10)\n",
    "a segfault": "    import ctypes\n    ctypes.string_at(0)\n    return nn.Sequential(nn.LazyLinear(10))\n",
}
EXPECTED = {"os._exit(1)": "killed", "an endless loop": "timeout", "endless memory": "oom", "a segfault": "killed"}


def test_hostile_candidates_are_rows_with_their_true_status(tmp_path):
    good = [f"    return nn.Sequential(nn.LazyLinear({width}), nn.ReLU(), nn.LazyLinear(10))\n" for width in range(11, 19)]
    replies = ["\n" + body for pair in zip(good[:4], HOSTILE.values(), strict=True) for body in pair] + [
        "\n" + b for b in good[4:]
    ]
    (tmp_path / "replies.json").write_text(json.dumps(replies))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def nasmith(*words):
        command = [sys.executable, "-c", "from nasmith.cli import main; main()", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    settings = [
        "lm.file=replies.json", "operators={crossover: 1}", "verify.best=0", "timeout_seconds=12", "memory_mb=1200",
        "rounds=1", "prompts=1", "samples=12", "error_threshold=1.0", "executor.workers=2", "evaluations=1", "steps=30",
    ]  # fmt: skip
    flags = [word for setting in settings for word in ("--set", setting)]
    ran = nasmith("search", "mnist1d", "--lm", "scripted", "--name", "hostile", *flags)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    storage = open_storage(tmp_path / DEFAULT_STORAGE, read_only=True)
    statuses = {evaluation.candidate: evaluation.status for evaluation in storage.evaluations("hostile")}
    texts = {candidate.id: candidate.text for candidate in storage.candidates("hostile")}
    children = [number for number in statuses if number > 4]
    assert len(children) == 12
    for name, body in HOSTILE.items():
        (number,) = [n for n in children if body.strip() in texts[n]]
        assert statuses[number] == EXPECTED[name], name
    assert sum(statuses[number] == "ok" for number in children) == 8
