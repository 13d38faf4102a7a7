# ruff: noqa: D102 - a test's name says what it tests
"""What every executor must do, as a class of tests to inherit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from nasmith.protocols import Executor
from nasmith.testing.python_workload import PythonWorkload
from nasmith.types import Job, Outcome, Status

__all__ = ["ExecutorContract"]


class ExecutorContract:
    """Tests of an `Executor`. Inherit them in a class that pytest collects, and say how to make one.

        class TestMyExecutor(ExecutorContract):
            def make(self):
                return MyExecutor(output_mb=1)

    A result of more than 1 MB of arrays must be refused, so make it with that limit. The programs are those of
    `nasmith.testing.PythonWorkload`.
    """

    def make(self) -> Executor:
        """Return a new executor, not started."""
        raise NotImplementedError

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        """One that is started, and closed after the test."""
        executor = self.make()
        executor.start(PythonWorkload(), lambda: {split: {"x": np.ones(3)} for split in ("train", "val", "test")})
        yield executor
        executor.close()

    def test_follows_the_protocol(self, executor: Executor) -> None:
        assert isinstance(executor, Executor)
        assert executor.slots >= 1

    def test_a_good_program_gives_its_arrays_and_the_facts_of_both_steps(self, executor: Executor) -> None:
        text = (
            "facts['params'] = 7\n-----\n"
            "arrays['a'] = np.arange(6, dtype=np.float32).reshape(2, 3)\narrays['b'] = np.array(True)\nfacts['x'] = 1.5"
        )
        outcome = _run(executor, text)
        assert outcome.status is Status.OK
        assert outcome.arrays["a"].dtype == np.float32
        assert outcome.arrays["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert outcome.arrays["b"].shape == ()
        assert outcome.facts == {"screened": 1, "params": 7, "x": 1.5}
        assert outcome.seconds > 0

    def test_arrays_are_writable_and_own_their_memory(self, executor: Executor) -> None:
        array = _run(executor, "arrays['a'] = np.zeros(3)").arrays["a"]
        array[0] = 1
        assert array.base is None

    def test_the_seed_and_the_named_data_reach_the_training_and_no_other(self, executor: Executor) -> None:
        outcome = _run(executor, "facts['seed'] = seed\nfor s in splits: arrays[s] = data[s]['x']", splits=("val", "test"))
        assert outcome.facts["seed"] == 3
        assert {name: array.tolist() for name, array in outcome.arrays.items()} == {"val": [1, 1, 1], "test": [1, 1, 1]}
        assert list(_run(executor, "for s in splits: arrays[s] = np.ones(1)").arrays) == ["train", "val"]

    def test_what_a_program_does_to_its_data_is_gone_with_it(self, executor: Executor) -> None:
        assert _run(executor, "data['val']['x'][:] = 7\narrays['x'] = data['val']['x']").arrays["x"][0] == 7
        if executor.slots > 1:  # a process of its own
            assert _run(executor, "arrays['x'] = data['val']['x']").arrays["x"][0] == 1

    def test_a_trained_state_reaches_the_examination(self, executor: Executor) -> None:
        state = {"weight": np.arange(4, dtype=np.float32).reshape(2, 2)}
        outcome = _run(executor, "facts['sum'] = state['weight'].sum()", action="examine", state=state, splits=("test",))
        assert (outcome.status, outcome.facts) == (Status.OK, {"screened": 1, "sum": 6})
        assert list(outcome.arrays) == ["test"]

    def test_without_training_only_the_screen_runs(self, executor: Executor) -> None:
        outcome = _run(executor, "facts['params'] = 2\n-----\nraise RuntimeError", action="screen")
        assert (outcome.status, dict(outcome.arrays)) == (Status.OK, {})
        assert outcome.facts["params"] == 2

    @pytest.mark.parametrize(
        ("text", "status", "message"),
        [
            ("raise ValueError('9,000 parameters')\n-----\n", Status.INVALID, r"9,000 parameters"),
            ("1 / 0\n-----\n", Status.FAILED, r"ZeroDivisionError: division by zero\n  line 1: 1 / 0"),
            ("n = 1\nint('x')", Status.FAILED, r"ValueError: invalid literal.*\n  line 2: int\('x'\)"),  # of the training
            ("np.ones(10**15)", Status.OOM, r"(?s).*"),
            ("import sys\nsys.exit(3)", Status.KILLED, r"called sys\.exit\(3\)"),
        ],
    )
    def test_a_program_that_goes_wrong_says_how_and_where(
        self, executor: Executor, text: str, status: Status, message: str
    ) -> None:
        outcome = _run(executor, text)
        assert outcome.status is status
        assert re.fullmatch(message, outcome.message)

    def test_an_error_of_the_training_leaves_what_the_screen_measured(self, executor: Executor) -> None:
        assert _run(executor, "facts['params'] = 7\n-----\n1 / 0").facts == {"screened": 1, "params": 7}

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("arrays['a'] = np.array([object()])", "array 'a' has type object"),
            ("arrays['a'] = np.array(['x'])", "array 'a' has type <U1"),
            ("arrays[3] = np.ones(1)", "not printable text"),
            ("facts['f'] = 'fast'", "fact 'f' is not a number"),
            ("arrays['a'] = np.zeros(200_000)", "the result holds 1.6 MB of arrays; 1.0 MB are allowed"),
        ],
    )
    def test_a_result_that_cannot_travel_is_invalid_with_the_reason(self, executor: Executor, text: str, reason: str) -> None:
        outcome = _run(executor, text)
        assert outcome.status is Status.INVALID
        assert reason in outcome.message

    def test_a_message_is_trimmed_and_printable(self, executor: Executor) -> None:
        message = _run(executor, "raise KeyError('\\x1b[31m' + 'long ' * 100_000)").message
        assert len(message) < 1000
        assert message.replace("\n", "").isprintable()

    def test_many_jobs_end_each_with_its_own_result(self, executor: Executor) -> None:
        futures: list[Future[Outcome]] = [executor.submit(Job(i, f"facts['i'] = {i}", 0)) for i in range(12)]
        assert [future.result(timeout=60).facts["i"] for future in futures] == list(range(12))

    def test_takes_jobs_only_between_start_and_close_which_may_come_twice(self, executor: Executor) -> None:
        with pytest.raises(RuntimeError, match="not started"):
            self.make().submit(Job(1, "", 0))
        executor.close(wait=True)
        executor.close()
        with pytest.raises(RuntimeError, match="closed"):
            executor.submit(Job(1, "", 0))


def _run(executor: Executor, text: str, **options: Any) -> Outcome:
    """Run one program to its end."""
    return executor.submit(Job(7, text, 3, **options)).result(timeout=60)
