"""Whole searches and comparisons on tasks with other objectives than the paper's two: every strategy, any sign, no crash."""

import pytest

import nasmith
from nasmith import analysis
from nasmith.comparing import compare
from nasmith.executors.inline import Inline
from nasmith.storage.memory import Memory
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.strategies.few_shot import FewShot
from nasmith.strategies.local_search import LocalSearch
from nasmith.strategies.random_search import RandomSearch
from nasmith.strategies.regularized_evolution import RegularizedEvolution
from nasmith.testing import ToyLM
from nasmith.types import Brief
from objective_toys import LoneToy, ScoreToy, TightToy

STRATEGIES = {
    "evoprompting": lambda: EvoPrompting(rounds=3, prompts=2, samples=4, survivors=2),
    "evoprompting by rank": lambda: EvoPrompting(rounds=3, prompts=2, samples=4, survivors=2, selection="pareto"),
    "few-shot": lambda: FewShot(prompts=3, samples=8),
    "random": lambda: RandomSearch(24),
    "regularized-evolution": lambda: RegularizedEvolution(24, population=5),
    "local-search": lambda: LocalSearch(24),
}


def searched(task, strategy):
    storage = Memory()
    verify = nasmith.Verification(best=2, seeds=2)
    result = nasmith.search(task, ToyLM(), STRATEGIES[strategy](), Inline(), storage, name="run", seed=3, verify=verify)
    assert result.run.finished
    return analysis.read(storage, "run")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("task", "names"), [(ScoreToy(), {"score", "latency_ms"}), (LoneToy(), {"combined_score"})])
def test_a_search_asks_for_what_the_task_wants_and_finds_better_than_the_seeds(strategy, task, names):
    records = searched(task, strategy)
    briefs = [wish for wish in records.asked if isinstance(wish, Brief) and wish.operator != "fix"]
    assert briefs
    for brief in briefs:
        assert set(brief.target) == names and all(set(facts) == names for facts in brief.facts)
    scored = analysis.scored(records)
    seed = analysis.best_seed(scored)
    assert seed is not None and max(item.fitness for item in scored) > seed.fitness
    assert analysis.verified(records, task)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seeds_that_break_a_bound_are_where_a_search_begins_and_never_its_result(strategy):
    records = searched(TightToy(), strategy)
    assert sum(candidate.step >= 0 for candidate in records.candidates.values()) >= 24
    found = analysis.scored(records)
    assert found and all(item.metrics["params"] <= 25 for item in found)
    shown = {parent for wish in records.asked if isinstance(wish, Brief) for parent in wish.parents}
    assert shown & {1, 2}


def test_strategies_are_compared_by_the_tasks_fitness(tmp_path):
    made = compare(
        "objective_toys:ScoreToy", ["random", "local-search"], 2, 10,
        lm="nasmith.testing:ToyLM", executor="inline", storage=tmp_path / "runs.sqlite3",
    )  # fmt: skip
    assert made.measure == "fitness" and made.optimum is None
    for runs in made.curves.values():
        for run in runs.values():
            values = [value for value in run if value is not None]
            assert len(run) == 10 and values and values == sorted(values)
