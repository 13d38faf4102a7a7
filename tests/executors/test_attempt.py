from __future__ import annotations

import numpy as np
import pytest
from executor_workloads import Python

from nasmith.executors.attempt import attempt, explain, packed
from nasmith.executors.wire import unpack_outcome
from nasmith.types import Job, Outcome, Status


@pytest.mark.parametrize(
    "raised",
    [
        "MemoryError()",
        "RuntimeError('[enforce fail] DefaultCPUAllocator: can\\'t allocate memory: you tried to allocate 80 bytes')",
        "type('OutOfMemoryError', (RuntimeError,), {})('CUDA out of memory. Tried to allocate 2 GiB')",
        "OSError(12, 'Cannot allocate memory')",
        "ValueError('raises on a forward pass') from RuntimeError('can\\'t allocate memory')",
    ],
)
@pytest.mark.parametrize("where", ["", "\n-----\n"])
def test_every_way_to_say_that_memory_ran_out_is_oom(raised: str, where: str) -> None:
    assert attempt(Python(), Job(1, f"raise {raised}{where}", 0), {}).status is Status.OOM


def test_a_program_that_speaks_of_memory_is_not_out_of_memory() -> None:
    assert attempt(Python(), Job(1, "raise KeyError('out of memory')", 0), {}).status is Status.FAILED


def test_ctrl_c_is_not_a_candidates_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        attempt(Python(), Job(1, "raise KeyboardInterrupt", 0), {})


def test_the_traceback_is_the_programs_own_lines_and_no_librarys() -> None:
    outcome = attempt(Python(), Job(1, "def inner():\n    return np.ones(2).reshape(3)\ninner()", 0), {})
    assert outcome.message.splitlines()[1:] == ["  line 3: inner()", "  line 2 in inner: return np.ones(2).reshape(3)"]


def test_a_long_traceback_keeps_its_last_lines() -> None:
    outcome = attempt(Python(), Job(1, "def f(n):\n    return f(n - 1) if n else 1 / 0\nf(50)", 0), {})
    assert outcome.message.splitlines()[1:] == ["  line 2 in f: return f(n - 1) if n else 1 / 0"] * 3


def test_an_exception_that_cannot_say_what_it_is_still_has_its_type() -> None:
    text = "class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd"
    assert attempt(Python(), Job(1, text, 0), {}).message.startswith("Odd: (its message cannot be read)")


def test_a_private_exception_gives_only_its_words() -> None:
    class _Rejected(Exception):  # noqa: N818
        pass

    assert explain(_Rejected("no Model"), "") == "no Model"


def test_a_result_whose_methods_raise_is_invalid() -> None:
    class Trap:
        def __array__(self, *args: object, **options: object) -> object:
            raise ArithmeticError("trapped")

    outcome = unpack_outcome(packed(Outcome(Status.OK, {"a": Trap()}), 1000), 1000)
    assert (outcome.status, outcome.message) == (Status.INVALID, "the result cannot be read: trapped")


def test_a_job_with_a_folder_trains_there() -> None:
    class Long(Python):
        def fit_in(self, text, seed, data, folder):
            return {"where": np.array(len(folder))}, {"seed": float(seed)}

    outcome = attempt(Long(), Job(1, "facts['i'] = 1", 5, folder="/runs/1-5"), {})
    assert outcome.status is Status.OK and outcome.facts["seed"] == 5 and outcome.arrays["where"] == 9
