"""What every executor must do, as a class of tests to inherit; a subclass says how to make one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np
import pytest
from executor_workloads import Python

from nasmith.protocols import Executor
from nasmith.types import Job, Outcome, Status


class ExecutorContract:
    """Tests of the protocol; `executor` is a fixture that gives a started executor and closes it."""

    def make(self) -> Executor:
        raise NotImplementedError

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        executor = self.make()
        executor.start(Python(), lambda: {split: {"x": np.ones(3)} for split in ("train", "val", "test")})
        yield executor
        executor.close()

    @staticmethod
    def run(executor: Executor, text: str, **options: object) -> Outcome:
        return executor.submit(Job(7, text, 3, **options)).result(timeout=60)  # type: ignore[arg-type]

    def test_follows_the_protocol(self, executor: Executor) -> None:
        assert isinstance(executor, Executor)
        assert executor.slots >= 1

    def test_a_good_program_gives_its_arrays_and_the_facts_of_both_steps(self, executor: Executor) -> None:
        text = (
            "facts['params'] = 7\n-----\n"
            "arrays['a'] = np.arange(6, dtype=np.float32).reshape(2, 3)\narrays['b'] = np.array(True)\nfacts['x'] = 1.5"
        )
        outcome = self.run(executor, text)
        assert outcome.status is Status.OK
        assert outcome.arrays["a"].dtype == np.float32
        assert outcome.arrays["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert outcome.arrays["b"].shape == ()
        assert outcome.facts == {"screened": 1, "params": 7, "x": 1.5}
        assert outcome.seconds > 0

    def test_arrays_are_writable_and_own_their_memory(self, executor: Executor) -> None:
        array = self.run(executor, "arrays['a'] = np.zeros(3)").arrays["a"]
        array[0] = 1
        assert array.base is None

    def test_seed_and_splits_reach_the_training(self, executor: Executor) -> None:
        outcome = self.run(executor, "facts['seed'] = seed\nfor s in splits: arrays[s] = data[s]['x']", splits=("val", "test"))
        assert outcome.facts["seed"] == 3
        assert {name: array.tolist() for name, array in outcome.arrays.items()} == {"val": [1, 1, 1], "test": [1, 1, 1]}

    def test_data_that_a_job_does_not_name_is_not_there(self, executor: Executor) -> None:
        assert list(self.run(executor, "for s in splits: arrays[s] = np.ones(1)").arrays) == ["train", "val"]

    def test_what_a_program_does_to_its_data_is_gone_with_it(self, executor: Executor) -> None:
        assert self.run(executor, "data['val']['x'][:] = 7\narrays['x'] = data['val']['x']").arrays["x"][0] == 7
        if executor.slots > 1:  # a process of its own
            assert self.run(executor, "arrays['x'] = data['val']['x']").arrays["x"][0] == 1

    def test_a_trained_state_reaches_the_examination(self, executor: Executor) -> None:
        state = {"weight": np.arange(4, dtype=np.float32).reshape(2, 2)}
        outcome = self.run(executor, "facts['sum'] = state['weight'].sum()", action="examine", state=state, splits=("test",))
        assert (outcome.status, outcome.facts) == (Status.OK, {"screened": 1, "sum": 6})
        assert list(outcome.arrays) == ["test"]

    def test_without_training_only_the_screen_runs(self, executor: Executor) -> None:
        outcome = self.run(executor, "facts['params'] = 2\n-----\nraise RuntimeError", action="screen")
        assert (outcome.status, dict(outcome.arrays)) == (Status.OK, {})
        assert outcome.facts["params"] == 2

    def test_a_value_error_of_the_screen_is_invalid_with_its_words(self, executor: Executor) -> None:
        outcome = self.run(executor, "raise ValueError('9,000,000 parameters; 1,000,000 are allowed')\n-----\n")
        assert (outcome.status, outcome.message) == (Status.INVALID, "9,000,000 parameters; 1,000,000 are allowed")

    def test_another_error_of_the_screen_is_failed(self, executor: Executor) -> None:
        outcome = self.run(executor, "1 / 0\n-----\n")
        assert (outcome.status, outcome.message) == (Status.FAILED, "ZeroDivisionError: division by zero\n  line 1: 1 / 0")

    def test_an_error_of_the_training_is_failed_with_the_programs_own_line(self, executor: Executor) -> None:
        outcome = self.run(executor, "n = 1\nnp.ones(2).reshape(3)")
        assert outcome.status is Status.FAILED
        assert outcome.message.startswith("ValueError: cannot reshape")
        assert outcome.message.endswith("line 2: np.ones(2).reshape(3)")
        assert outcome.facts == {"screened": 1}

    def test_an_allocation_that_is_refused_is_oom(self, executor: Executor) -> None:
        assert self.run(executor, "np.ones(10**15)").status is Status.OOM

    def test_sys_exit_is_killed(self, executor: Executor) -> None:
        outcome = self.run(executor, "import sys\nsys.exit(3)")
        assert (outcome.status, outcome.message) == (Status.KILLED, "called sys.exit(3)")

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
        outcome = self.run(executor, text)
        assert outcome.status is Status.INVALID
        assert reason in outcome.message

    def test_a_message_is_trimmed_and_printable(self, executor: Executor) -> None:
        message = self.run(executor, "raise KeyError('\\x1b[31m' + 'long ' * 100_000)").message
        assert len(message) < 1000
        assert message.replace("\n", "").isprintable()

    def test_many_jobs_end_each_with_its_own_result(self, executor: Executor) -> None:
        futures: list[Future[Outcome]] = [executor.submit(Job(i, f"facts['i'] = {i}", 0)) for i in range(12)]
        assert [future.result(timeout=60).facts["i"] for future in futures] == list(range(12))

    def test_close_may_be_called_twice_and_ends_submission(self, executor: Executor) -> None:
        executor.close(wait=True)
        executor.close()
        with pytest.raises(RuntimeError, match="closed"):
            executor.submit(Job(1, "", 0))

    def test_submit_before_start_is_refused(self) -> None:
        with pytest.raises(RuntimeError, match="not started"):
            self.make().submit(Job(1, "", 0))
