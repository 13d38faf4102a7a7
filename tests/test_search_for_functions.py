"""A search for functions of CLRS's network: trained, verified, exported, and scored without nasmith."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

import nasmith
from clrs_toys import TINY, V1, needs_clrs
from nasmith.executors.processes import Processes
from nasmith.lms.scripted import Scripted
from nasmith.strategies.random_search import RandomSearch
from nasmith.tasks.clrs import Clrs
from nasmith.types import Status

REPLIES = [
    V1.replace("jnp.max", "jnp.sum"),
    V1.replace("jnp.max", "jnp.mean"),
    V1.replace("jnp.max(triplets, axis=1)", "triplets"),  # of the wrong shape
    V1.replace("    messages", "    import os\n    messages"),
]
BODIES = ["\n" + text.partition("\n")[2] for text in REPLIES]


class OneSeed(Clrs):
    """A task with the standard function alone for a seed, so that a search takes a minute."""

    def seeds(self) -> Mapping[str, str]:
        return {"v1": V1}


def task() -> OneSeed:
    return OneSeed("bfs", **TINY)  # type: ignore[arg-type]


def executor() -> Processes:
    return Processes(workers=2, memory_mb=6000)


@needs_clrs
@pytest.mark.slow
def test_a_search_is_verified_and_exported(tmp_path):
    storage = tmp_path / "runs" / "nasmith.sqlite3"
    what = nasmith.Verification(best=1, front=0, seeds=1, baselines=False)
    found = nasmith.search(task(), Scripted(BODIES), RandomSearch(4), executor(), storage, name="run", verify=what)
    status = {evaluation.candidate: evaluation.status for evaluation in found.evaluations if evaluation.purpose == "search"}
    assert [status[number] for number in sorted(status)][:3] == [Status.OK] * 3
    assert not {status[4], status[5]} & {Status.OK}  # of the wrong shape, or with an import
    best = found.best()
    assert best is not None
    (metrics,) = found.verified(best)
    assert 0 < metrics["test_error"] < 1
    folder = tmp_path / "model"
    found.export(folder, best)
    assert {"model.py", "graph_network.py", "weights.safetensors", "verify.py"} <= {path.name for path in folder.iterdir()}
    card = (folder / "README.md").read_text()
    assert "the function `get_triplet_msgs` that was found" in card and "copy it beside" not in card
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"}
    code = "import runpy, sys; sys.modules['nasmith'] = None; runpy.run_path('verify.py')"
    line = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) == pytest.approx(metrics["test_error"], abs=0.02)
