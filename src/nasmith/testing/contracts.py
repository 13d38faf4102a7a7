# ruff: noqa: D102 - a test's name says what it tests
"""What every language model, task and strategy must do, as classes of tests to inherit.

Name a class `Test…`, inherit the contract, and say how to make the component:

    from nasmith.testing import LanguageModelContract

    class TestMyModel(LanguageModelContract):
        def make(self):
            return MyModel("a-folder")

pytest runs the rest. A fixture with `autouse=True` in the class can keep in `self` what `make` needs. What a contract cannot
know stands in attributes that a subclass sets anew. Executors and storages have theirs in the modules beside this one.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from nasmith import registry
from nasmith.executors.inline import Inline
from nasmith.protocols import (
    CostAwareStrategy,
    LanguageModel,
    SpaceStrategy,
    Strategy,
    Task,
    TunableLanguageModel,
    Workload,
    traits_of,
)
from nasmith.seeding import generator
from nasmith.space import Space
from nasmith.types import (
    Brief,
    Candidate,
    Completion,
    Evaluation,
    Example,
    Job,
    Message,
    Objective,
    Outcome,
    Request,
    Status,
    Suggestion,
    Tune,
    Wish,
)

__all__ = ["LanguageModelContract", "StrategyContract", "TaskContract"]


class LanguageModelContract:
    """Tests of a `LanguageModel`. Not tested: that it writes programs.

    Attributes:
        prompt: What it is asked to continue, or, where its traits say that it chats, to answer.
        max_tokens: Limit of each reply.
        cut: Length in characters at which a reply is stopped; most replies should be longer.
        examples: What a tunable one learns from.
    """

    prompt = "def Model():\n    return [\n"
    max_tokens = 24
    cut = 5
    examples: Sequence[Example] = (Example("def Model():", "\n    return [\n        8,\n    ]\n"),) * 2

    def make(self) -> LanguageModel:
        """Return a new one; each call must return an equal one."""
        raise NotImplementedError

    @pytest.fixture
    def lm(self) -> Iterator[LanguageModel]:
        """One that is closed after the test."""
        lm = self.make()
        yield lm
        lm.close()

    def ask(self, lm: LanguageModel, prompt: str = "", **options: Any) -> list[Completion]:
        """Ask once, by messages where the model wants them; times are left out of what comes back."""
        prompt = prompt or self.prompt
        messages = (Message("system", "You write programs."), Message("user", prompt)) if traits_of(lm).chat else ()
        request = Request(prompt, **{"max_tokens": self.max_tokens, "messages": messages, "seed": 3, **options})
        return [replace(completion, seconds=0.0) for completion in lm.complete(request)]

    def test_follows_the_protocol(self, lm: LanguageModel) -> None:
        assert isinstance(lm, LanguageModel)
        assert isinstance(lm.name, str) and lm.name
        assert lm.temperatures and all(temperature >= 0 for temperature in lm.temperatures)
        assert any(lm.operators.values()) and all(weight >= 0 for weight in lm.operators.values())
        assert traits_of(lm).concurrency >= 1 and (traits_of(lm).batch or 1) >= 1

    @pytest.mark.parametrize("n", [1, 3, 8])
    def test_gives_as_many_replies_as_are_asked_for(self, lm: LanguageModel, n: int) -> None:
        n = min(n, traits_of(lm).batch or n)
        replies = self.ask(lm, n=n)
        assert len(replies) == n
        assert all(type(reply.text) is str and reply.prompt == self.prompt and reply.model for reply in replies)
        assert {reply.finish for reply in replies} <= {"stop", "length"}

    def test_counts_the_tokens_of_a_prompt_once(self, lm: LanguageModel) -> None:
        replies = self.ask(lm, n=min(3, traits_of(lm).batch or 3))
        assert sum(reply.tokens_in > 0 for reply in replies) == 1
        assert all(0 <= reply.tokens_cached <= reply.tokens_in and reply.tokens_out >= 0 for reply in replies)
        assert all(reply.cost >= 0 for reply in replies) and not (traits_of(lm).free and any(reply.cost for reply in replies))

    def test_the_same_request_gives_the_same_replies_whatever_was_asked_before(self, lm: LanguageModel) -> None:
        _needs(traits_of(lm).exact, "it does not promise the same replies to the same request")
        n = min(3, traits_of(lm).batch or 3)
        first = self.ask(lm, n=n)
        self.ask(lm, self.prompt * 2, n=n, seed=4)
        assert self.ask(lm, n=n) == first
        other = self.make()
        assert self.ask(other, n=n) == first
        other.close()

    def test_takes_as_many_requests_at_a_time_as_its_traits_say(self, lm: LanguageModel) -> None:
        threads = min(traits_of(lm).concurrency, 8)
        with ThreadPoolExecutor(threads) as pool:  # a thread alone is not the one that made it, either
            replies = list(pool.map(lambda seed: self.ask(lm, seed=seed), range(2 * threads)))
        assert [len(each) for each in replies] == [1] * (2 * threads)
        assert all(reply.prompt == self.prompt for each in replies for reply in each)
        if traits_of(lm).exact:
            assert replies == [self.ask(lm, seed=seed) for seed in range(2 * threads)]

    def test_a_reply_is_never_shorter_than_where_it_is_stopped(self, lm: LanguageModel) -> None:
        _needs(traits_of(lm).exact, "without the same reply to the same request nobody can tell")
        for seed in range(3):
            whole = self.ask(lm, seed=seed)[0].text
            stopped = self.ask(lm, seed=seed, stop=lambda text: self.cut if len(text) >= self.cut else None)[0].text
            assert stopped.startswith(whole[: self.cut])
            assert whole.startswith(stopped)

    def test_a_reply_is_made_of_the_options_that_the_request_gives(self, lm: LanguageModel) -> None:
        _needs(traits_of(lm).constrained, "it does not promise to keep to options")
        words, ends = ("64", "128", "nor_conv_1x1", "nor_conv_3x3", "é漢"), ("]", "-1]")
        follows = {"": words, **dict.fromkeys(words, (" ",)), **dict.fromkeys((f"{word} " for word in words), ends)}
        n = min(8, traits_of(lm).batch or 8)
        for reply in self.ask(lm, n=n, temperature=1.5, max_tokens=80, options=lambda said: follows.get(said, ())):
            assert reply.finish == "stop" and reply.text in {f"{word} {end}" for word in words for end in ends}

    def test_can_be_warmed_before_it_is_asked_and_closed_twice_and_disturbs_no_other(self, lm: LanguageModel) -> None:
        self.make().close()  # it has done no work
        other = self.make()
        other.warm()
        assert len(self.ask(other)) == 1
        other.close()
        other.close()
        assert len(self.ask(lm)) == 1

    def test_can_be_made_again_from_its_options(self, lm: LanguageModel) -> None:
        _check_options("lms", lm)

    def test_takes_any_text(self, lm: LanguageModel) -> None:
        prompt = self.prompt + "# é 漢字 😀 \u2028 \x7f \t\r\n"
        (reply,) = self.ask(lm, prompt)
        assert reply.prompt == prompt

    def test_goes_on_with_a_conversation(self, lm: LanguageModel) -> None:
        _needs(traits_of(lm).chat, "it is not asked by messages")
        roles = ("system", "user", "assistant", "user")
        messages = tuple(Message(role, f"{role}: {self.prompt}") for role in roles)  # type: ignore[arg-type]
        (reply,) = self.ask(lm, "the transcript", messages=messages)
        assert reply.prompt == "the transcript"

    def test_what_it_learned_can_be_loaded_and_taken_off(self, lm: LanguageModel, tmp_path: Path) -> None:
        if not isinstance(lm, TunableLanguageModel):
            pytest.skip("it cannot be tuned")
        first, path, steps = self.ask(lm), tmp_path / "adapter-0.safetensors", list[tuple[int, int]]()
        tuning = lm.tune(Tune(0, (1, 2), 7), self.examples, path, lambda *step: steps.append(step))
        assert (tuning.round, tuning.weights) == (0, path.name if tuning.accepted else "")
        assert all(0 <= done <= total for done, total in steps) and steps == sorted(steps)
        tuned = self.ask(lm)
        other = self.make()
        assert isinstance(other, TunableLanguageModel)
        if tuning.accepted:
            other.load(path)
        if traits_of(lm).exact:
            assert self.ask(other) == tuned
            lm.load(None)
            assert self.ask(lm) == first
        other.close()


class TaskContract:
    """Tests of a `Task` and its workload. The seeds are trained in this very process, so give `make` settings that are quick.

    Attributes:
        broken: A text that is no program of the task.
    """

    broken = "def Model(:\n"

    def make(self) -> Task:
        """Return a new one."""
        raise NotImplementedError

    @pytest.fixture
    def task(self) -> Task:
        """One to test."""
        return self.make()

    @pytest.fixture
    def executor(self, task: Task) -> Iterator[Inline]:
        """One that runs the task's programs in this process."""
        executor = Inline()
        executor.start(task.workload(), task.data)
        yield executor
        executor.close()

    def test_follows_the_protocol(self, task: Task) -> None:
        assert isinstance(task, Task)
        assert isinstance(task.name, str) and task.name
        names = [objective.name for objective in task.objectives]
        assert names and len(set(names)) == len(names)
        assert {objective.direction for objective in task.objectives} <= {"minimize", "maximize"}

    def test_says_what_a_program_is(self, task: Task) -> None:
        description = task.describe()
        assert description.title
        assert description == self.make().describe()
        compile(description.preamble, "<preamble>", "exec")

    def test_seeds_are_programs_in_a_fixed_order(self, task: Task) -> None:
        seeds = list(task.seeds().items())
        assert seeds and seeds == list(self.make().seeds().items())
        assert all(task.describe().entry in text for _, text in seeds)

    def test_can_be_made_again_from_its_options(self, task: Task) -> None:
        _check_options("tasks", task)

    def test_data_has_three_parts_and_only_the_first_may_hold_labels(self, task: Task) -> None:
        data = task.data()
        assert set(data) == {"train", "val", "test"}
        assert set(data["val"]) == set(data["test"]) <= set(data["train"])

    def test_the_workload_travels_without_the_data(self, task: Task) -> None:
        task.data()
        packed = pickle.dumps(task.workload())
        assert isinstance(pickle.loads(packed), Workload)
        assert len(packed) < 100_000

    def test_every_seed_trains_is_examined_and_has_a_fitness(self, task: Task, executor: Inline) -> None:
        for number, text in enumerate(task.seeds().values(), start=1):
            trained = executor.submit(Job(number, text, 3)).result()
            assert trained.status is Status.OK, trained.message
            state = task.best_state(trained)
            job = Job(number, text, 3, ("val", "test"), "examine", state or {})
            examined = trained if state is None else executor.submit(job).result()
            assert examined.status is Status.OK, examined.message
            seen = {name: array for name, array in examined.arrays.items() if not name.endswith("/test")}
            metrics = task.score(trained, replace(examined, arrays=seen), "search")
            assert all(isfinite(metrics[objective.name]) for objective in task.objectives)
            assert isfinite(task.fitness(metrics))
            assert set(metrics) <= set(task.score(trained, examined, "verify"))

    def test_a_text_that_is_no_program_fails_with_a_reason(self, executor: Inline) -> None:
        outcome = executor.submit(Job(1, self.broken, 3)).result()
        assert outcome.status in (Status.INVALID, Status.FAILED) and outcome.message

    def test_a_worker_that_returned_nothing_is_refused(self, task: Task) -> None:
        with pytest.raises(ValueError, match=r"."):
            task.best_state(Outcome(Status.OK))
        with pytest.raises(ValueError, match=r"."):
            task.score(Outcome(Status.OK), Outcome(Status.OK), "search")


class StrategyContract:
    """Tests of a `Strategy`. Whole searches are played with children that a draw by their id scores, so keep them small.

    Attributes:
        temperatures: What the language model recommends.
        operators: What the language model recommends.
        space: What it searches; None for programs.
        objectives: The task's.
    """

    space: Space | None = None
    objectives: Sequence[Objective] = (Objective("val_error", "minimize"), Objective("params", "minimize"))
    temperatures: Sequence[float] = (0.3, 0.6)
    operators: Mapping[str, float] = {"crossover": 1.0, "infill": 3.0}

    def make(self) -> Strategy:
        """Return a new one, of at most some hundred children."""
        raise NotImplementedError

    def metrics(self, candidate: int) -> dict[str, float]:
        """What the task would measure; empty where the candidate cannot be trained."""
        draw = generator(candidate, "metrics")
        if candidate > 2 and draw.random() < 0.3:
            return {}
        params, error = float(draw.randrange(100, 10_000)), draw.uniform(0.05, 0.7)
        return {"params": params, "val_error": error, "fitness": -params * error}

    def play(self, seed: int = 0, *, shuffle: int | None = None, waits: int = 0) -> list[Wish]:
        """Play a whole search and return what was asked.

        Args:
            seed: The run's.
            shuffle: Seed of the order in which the children of a round are told; None for that of their ids.
            waits: How often to ask again where the strategy waits.
        """
        strategy, asked = self.make(), list[Wish]()
        running = [] if self.space else [Candidate(1, "a"), Candidate(2, "b", index=1)]
        if isinstance(strategy, SpaceStrategy):
            strategy.enter(self.space, self.objectives)
        strategy.begin(seed, self.temperatures, self.operators)
        told = 0
        while running or not asked:  # at first the seeds, if there are any, then a round
            assert told <= strategy.planned + 2, "the search does not end"
            if shuffle is not None:
                generator(shuffle, told).shuffle(running)
            for candidate in running:
                self._tell(strategy, candidate)
            told, running = told + len(running), []
            while (action := strategy.ask()) is not None and told + len(running) <= strategy.planned + 2:
                asked.append(action)
                running += _children(action, len(asked) - 1, told + len(running) + 1)
            assert [strategy.ask() for _ in range(waits)] == [None] * waits
            if not running:
                break
        return asked

    def _tell(self, strategy: Strategy, candidate: Candidate) -> None:
        metrics = self.metrics(candidate.id)
        if metrics and not strategy.accepts(metrics):
            del metrics["fitness"]
        if isinstance(strategy, CostAwareStrategy) and candidate.step >= 0:
            strategy.paid(candidate, Completion("a prompt", "a reply", "a model", 100, 20, 0.001, 1.0))
        strategy.tell(candidate, Evaluation(candidate.id, Status.OK if metrics else Status.INVALID, metrics))

    def test_follows_the_protocol(self) -> None:
        strategy = self.make()
        assert isinstance(strategy, Strategy)
        assert strategy.planned > 0

    def test_can_be_made_again_from_its_options(self) -> None:
        _check_options("strategies", self.make())

    def test_asks_for_as_many_children_as_it_planned(self) -> None:
        asked = self.play()
        children = [len(_children(action, step, 1)) for step, action in enumerate(asked)]
        assert sum(children) == self.make().planned

    def test_asks_for_what_there_is(self) -> None:
        known, seeds = 0 if self.space else 2, []
        for action in self.play():
            assert set(action.candidates if isinstance(action, Tune) else action.parents) <= set(range(1, known + 1))
            if isinstance(action, Suggestion):
                assert self.space is not None and all(self.space.write(self.space.read(text)) for text in action.texts)
                known += len(action.texts)
            if isinstance(action, Brief):
                assert len(action.facts) == len(action.parents)
                assert action.operator in self.operators and action.sampling.temperature in self.temperatures
                known += action.sampling.n
                seeds.append(action.sampling.seed)
        assert len(set(seeds)) == len(seeds), "two briefs with one seed get the same replies"

    def test_asks_the_same_for_the_same_seed_and_otherwise_for_another(self) -> None:
        assert self.play(seed=1) == self.play(seed=1) != self.play(seed=2)

    def test_the_order_in_which_a_round_is_told_changes_nothing(self) -> None:
        assert self.play() == self.play(shuffle=1) == self.play(shuffle=2)

    def test_waiting_changes_nothing(self) -> None:
        assert self.play() == self.play(waits=3)


def _children(action: Wish, step: int, first: int) -> list[Candidate]:
    if isinstance(action, Tune):
        return []
    texts = action.texts if isinstance(action, Suggestion) else ("x",) * action.sampling.n
    return [
        Candidate(first + index, text, action.parents, action.operator, "", step, index, action.round)
        for index, text in enumerate(texts)
    ]


def _needs(holds: bool, reason: str) -> None:
    if not holds:
        pytest.skip(reason)


def _check_options(kind: registry.Kind, component: Any) -> None:
    """The constructor's arguments stand in attributes, and make the same component again."""
    described = registry.describe(kind, component)
    again = registry.create(kind, described["name"], described["options"])
    assert type(again) is type(component)
    assert registry.describe(kind, again) == described
