import pytest

from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.verdicts import judge
from nasmith.types import Status

LIMITS = Limits(timeout_seconds=5, memory_bytes=10**9, output_bytes=8 * 10**6, threads=1, cpu_seconds=3)


@pytest.mark.parametrize(
    ("cause", "status", "words"),
    [
        ("timeout", Status.TIMEOUT, "took longer than 5 s"),
        ("cpu", Status.TIMEOUT, "more than 3 s of processor time"),
        ("memory", Status.OOM, "more than 1000 MB of memory"),
        ("threads", Status.KILLED, "too many threads"),
        ("output", Status.INVALID, "more than the 8 MB that a result may take"),
        ("printed", Status.INVALID, "printed more than the 8 MB that it may: it should print and write less, or output_mb"),
        ("disk", Status.INVALID, "wrote more than the 8 MB of files that it may"),
    ],
)
def test_what_a_supervisor_saw_becomes_a_status_with_words(cause, status, words):
    outcome = judge({"cause": cause, "seconds": 1.5}, bytearray(), LIMITS)
    assert (outcome.status, outcome.seconds) == (status, 1.5) and words in outcome.message


def test_our_own_fault_is_told_as_ours():
    outcome = judge({"cause": "error", "message": "no folder"}, bytearray(), LIMITS)
    assert outcome.status is Status.ERROR and outcome.message == "no folder"


@pytest.mark.parametrize(
    ("code", "more", "status", "words"),
    [
        (-9, {"oom": True}, Status.OOM, "memory ran out"),
        (-9, {"oom": False}, Status.KILLED, "SIGKILL"),
        (-14, {"oom": False}, Status.TIMEOUT, "took longer than it gave itself"),
        (3, {"oom": False}, Status.KILLED, "exited with code 3 without a result"),
        (None, {"oom": False}, Status.KILLED, "could not be ended"),
    ],
)
def test_how_a_process_ended_becomes_a_status(code, more, status, words):
    verdict = {"cause": "exit", "code": code, "seconds": 1.0, "tail": "last words", **more}
    outcome = judge(verdict, bytearray(), LIMITS)
    assert outcome.status is status and words in outcome.message
