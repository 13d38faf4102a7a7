"""The executors' own tests inherit the contract; here it must find what is wrong with others."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest

from nasmith.executors.inline import Inline
from nasmith.testing import ExecutorContract, PythonWorkload
from nasmith.types import Job, Outcome, Status


class TestInline(ExecutorContract):
    def make(self) -> Inline:
        return Inline(output_mb=1)


class Forgetful(Inline):
    """Loses what the program measured, and calls every failure its own."""

    def submit(self, job: Job) -> Future[Outcome]:
        outcome = super().submit(job).result()
        future: Future[Outcome] = Future()
        status = outcome.status if outcome.status is Status.OK else Status.ERROR
        future.set_result(replace(outcome, status=status, facts={}))
        return future


def test_an_executor_that_breaks_the_rules_is_found() -> None:
    executor = Forgetful(output_mb=1)
    executor.start(PythonWorkload())
    contract = TestInline()
    with pytest.raises(AssertionError):
        contract.test_a_good_program_gives_its_arrays_and_the_facts_of_both_steps(executor)
    with pytest.raises(AssertionError):
        contract.test_a_program_that_goes_wrong_says_how_and_where(executor, "1 / 0\n-----\n", Status.FAILED, ".*")
