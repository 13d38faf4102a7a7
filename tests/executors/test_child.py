from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest
from executor_workloads import Python, holds

from nasmith.executors.processes import Processes
from nasmith.types import Job, Outcome, Status


@pytest.fixture(scope="module", params=["strict", "off"])
def executor(request: pytest.FixtureRequest) -> Iterator[Processes]:
    if request.param == "strict" and not holds():
        pytest.skip("the sandbox cannot hold here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "secret")
        patch.setenv("NASMITH_CACHE", "/somewhere")
        executor = Processes(workers=1, sandbox=request.param, timeout_seconds=20, memory_mb=400, output_mb=2)
        executor.start(Python())
    yield executor
    executor.close()


def run(executor: Processes, text: str) -> Outcome:
    outcome = executor.submit(Job(1, text, 0)).result(timeout=60)
    assert outcome.status is Status.OK, outcome.message
    return outcome


def test_a_candidate_has_no_descriptor_but_its_pipes(executor: Processes) -> None:
    text = "import os\nfor n in range(256):\n  try: os.fstat(n); facts[str(n)] = 1\n  except OSError: pass"
    assert set(run(executor, text).facts) - {"screened"} == {"0", "1", "2", "3"}


def test_standard_input_is_empty(executor: Processes) -> None:
    assert run(executor, "import sys\nfacts['read'] = len(sys.stdin.read())").facts["read"] == 0


def test_it_is_the_leader_of_a_session_of_its_own(executor: Processes) -> None:
    if executor.sandbox == "off":  # the sandbox does not answer this question
        facts = run(executor, "import os\nfacts['alone'] = os.getsid(0) == os.getpid() == os.getpgid(0)").facts
        assert facts["alone"] == 1


def test_variables_that_python_does_not_need_stay_behind(executor: Processes) -> None:
    text = "import os\nfacts['key'] = 'OPENAI_API_KEY' in os.environ\nfacts['cache'] = 'NASMITH_CACHE' in os.environ"
    facts = run(executor, text).facts
    assert (facts["key"], facts["cache"]) == (0, executor.sandbox == "off")  # in the sandbox there are none at all


def test_files_and_core_dumps_are_limited(executor: Processes) -> None:
    text = "import resource\nfacts['file'], facts['core'] = (resource.getrlimit(k)[1] for k in (%d, %d))"
    facts = run(executor, text % (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)).facts
    assert (facts["file"], facts["core"]) == (2_000_000 if executor.sandbox == "off" else 0, 0)


def test_memory_that_is_reserved_but_never_touched_is_limited_too(executor: Processes) -> None:
    outcome = executor.submit(Job(1, "kept = np.empty(10**9, np.int8)", 0)).result(timeout=60)
    assert outcome.status is Status.OOM
    most = 5 * 10**8 if executor.sandbox == "off" else 3 * 10**8  # outside, programs may reserve more than they use
    assert run(executor, f"kept = np.empty({most}, np.int8)").status is Status.OK


def test_files_of_the_user_are_not_where_it_runs(executor: Processes) -> None:
    assert run(executor, "import os\nfacts['root'] = os.getcwd() == '/'").facts["root"] == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/oom_score_adj"), reason="needs Linux")  # noqa: PTH110
def test_it_goes_first_when_the_machine_runs_out_of_memory(executor: Processes) -> None:
    if executor.sandbox == "off":  # the sandbox shows no /proc
        assert run(executor, "facts['score'] = int(open('/proc/self/oom_score_adj').read())").facts["score"] == 1000
