from __future__ import annotations

import os
import signal
import sys

import pytest

from nasmith.arms import lineup
from nasmith.errors import RunStoppedError
from nasmith.fleet import Order, made_whole, processors, recommendations
from nasmith.testing import ToySpaceTask

TASK = "nasmith.testing:ToySpaceTask"


def orders(strategy="toy_strategies:Guess", count=5):
    (arm,) = lineup(TASK, [strategy], 6)
    return [Order(f"run.{seed}", arm.config, seed, "compare-toy") for seed in range(count)]


def never():
    return False


def test_every_order_is_made_once_in_the_memory_of_its_own():
    made = list(made_whole(orders(), 1, never))
    assert [order.seed for order, _, _ in made] == [0, 1, 2, 3, 4]
    for order, memory, recommended in made:
        (run,) = memory.runs()
        assert (run.name, run.config["seed"], run.config["comparison"]) == (order.name, order.seed, "compare-toy")
        assert run.finished and len(memory.evaluations(order.name)) == 6
        assert recommended is None


def test_workers_make_the_same_and_leave_this_process_as_it_was():
    main, environment = dict(sys.modules["__main__"].__dict__), dict(os.environ)
    alone = {order.seed: memory.candidates(order.name) for order, memory, _ in made_whole(orders(), 1, never)}
    together = {order.seed: memory.candidates(order.name) for order, memory, _ in made_whole(orders(), 2, never)}
    assert together == alone
    assert sys.modules["__main__"].__dict__ == main and dict(os.environ) == environment
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_begins_no_more(workers):
    seen = []
    for made in made_whole(orders(count=20), workers, lambda: bool(seen)):
        seen.append(made)
    assert 1 <= len(seen) <= 2 * workers


def test_a_failure_is_raised_after_what_is_under_way():
    seen = []
    with pytest.raises(RunStoppedError, match=r"run 'run\.1' could not be made: unknown design"):
        seen.extend(order.seed for order, _, _ in made_whole(orders("toy_strategies:Broken", 3), 1, never))
    assert seen == [0]
    seen.clear()
    made = made_whole(orders("toy_strategies:Broken", 3), 2, never)
    with pytest.raises(RunStoppedError, match=r"run\.1"):
        for order, _, _ in made:
            seen.append(order.seed)
    assert sorted(seen) == [0, 2]


class Deadly:
    """End the process that asks."""

    suits = frozenset({"spaces"})
    lm_free = frozenset({"spaces"})
    planned = 5

    def enter(self, space, objectives):
        pass

    def begin(self, seed, temperatures, operators):
        pass

    def accepts(self, metrics):
        return True

    def tell(self, candidate, evaluation):
        pass

    def ask(self):
        os._exit(3)


def test_a_worker_that_ends_is_said():
    with pytest.raises(RunStoppedError, match="a worker process of the comparison ended"):
        list(made_whole(orders("test_fleet:Deadly"), 2, never))


def test_what_a_strategy_recommends_is_found_again_from_the_records():
    ((order, memory, recommended),) = made_whole(orders("toy_strategies:Stubborn", 1), 1, never)
    assert recommended == [1] * 6
    assert recommendations(memory, order.name, ToySpaceTask()) == recommended


def test_there_is_a_processor():
    assert processors() >= 1
