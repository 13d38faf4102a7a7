"""The contracts hold for the components of nasmith, and find what is wrong with others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lms.conftest import tiny  # noqa: F401 - a fixture
from lms.llama_server import llama_server
from nasmith.errors import ConfigError
from nasmith.lms.ensemble import Ensemble
from nasmith.lms.huggingface import HuggingFace
from nasmith.lms.openai_compatible import OpenAICompatible
from nasmith.lms.scripted import Scripted
from nasmith.lms.smollm2 import SmolLM2
from nasmith.protocols import Data
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.strategies.few_shot import FewShot
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.testing import EchoServer, LanguageModelContract, StrategyContract, TaskContract, ToyLM, ToyTask
from nasmith.types import Brief, Completion, Outcome, Purpose, Request, Traits, Tune


class TestToyLM(LanguageModelContract):
    def make(self) -> ToyLM:
        return ToyLM()


class TestScripted(LanguageModelContract):
    def make(self) -> Scripted:
        return Scripted(["\n    return [\n        7,\n    ]\n", "another reply", "a third"])


class Asked(Scripted):
    """Wants messages, two replies at most, and several requests at a time."""

    traits = Traits(chat=True, batch=2, concurrency=4)

    def complete(self, request: Request) -> list[Completion]:
        assert request.messages and request.n <= 2
        return super().complete(request)


class TestModelThatIsAsked(LanguageModelContract):
    def make(self) -> Asked:
        return Asked(["a reply", "another reply"])


class TestHuggingFace(LanguageModelContract):
    @pytest.fixture(autouse=True)
    def _keep(self, tiny: Path) -> None:  # noqa: F811 - the fixture
        self.folder = tiny

    def make(self) -> HuggingFace:
        return HuggingFace(self.folder, dtype="float32", virtual_tokens=4, tuning_epochs=2, tuning_batch=2)


@pytest.mark.lm
class TestSmolLM2(LanguageModelContract):
    max_tokens = 8

    def make(self) -> SmolLM2:
        return SmolLM2(tuning_epochs=1, tuning_batch=1, tuning_examples=1, tuning_tokens=32)


class Served:
    """Has a server while each test runs; it answers with two dozen words."""

    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with EchoServer(lambda body: " ".join(f"word{number}" for number in range(24))) as self.server:
            yield


class TestOpenAICompatibleThatIsAsked(Served, LanguageModelContract):
    def make(self) -> OpenAICompatible:
        return OpenAICompatible(f"vllm/echo@{self.server.url}", batch=2)


class TestOpenAICompatibleThatContinues(Served, LanguageModelContract):
    def make(self) -> OpenAICompatible:
        return OpenAICompatible(f"local/echo@{self.server.url}")


@pytest.fixture(scope="module")
def llama_cpp() -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.mark.lm
class TestOpenAICompatibleAtLlamaCpp(LanguageModelContract):
    max_tokens = 8

    @pytest.fixture(autouse=True)
    def _keep(self, llama_cpp: str) -> None:
        self.url = llama_cpp

    def make(self) -> OpenAICompatible:
        return OpenAICompatible(f"local/smollm2@{self.url}")


class TestEnsemble(LanguageModelContract):
    def make(self) -> Ensemble:
        return Ensemble([ToyLM(), Scripted(["\n    return [\n        7,\n    ]\n"])])


class TestToyTask(TaskContract):
    def make(self) -> ToyTask:
        return ToyTask()


class TestMnist1d(TaskContract):
    def make(self) -> Mnist1d:
        return Mnist1d(steps=10, evaluations=2)


class TestEvoPrompting(StrategyContract):
    def make(self) -> EvoPrompting:
        return EvoPrompting(rounds=3, prompts=3, samples=4, survivors=3)


class TestFewShot(StrategyContract):
    def make(self) -> FewShot:
        return FewShot(prompts=3, samples=4)


class BadLM(ToyLM):
    """Breaks one rule."""

    def __init__(self, rule: str = "") -> None:
        super().__init__()
        self.rule, self.asked = rule, 0
        self.traits = Traits(constrained=rule == "options")

    def complete(self, request: Request) -> list[Completion]:
        self.asked += 1
        replies = super().complete(request)
        if self.rule == "count":
            return replies + replies[:1]
        if self.rule == "prompt":
            return [replace(reply, prompt=reply.prompt.strip()) for reply in replies]
        if self.rule == "tokens":
            return [replace(reply, tokens_in=10) for reply in replies]
        if self.rule == "free":
            return [replace(reply, cost=0.5) for reply in replies]
        if self.rule == "state":
            return [replace(reply, text=f"{reply.text}{self.asked}") for reply in replies]
        if self.rule == "short":
            return [replace(reply, text=reply.text[:3]) for reply in replies] if request.stop else replies
        return replies


@pytest.mark.parametrize(
    ("rule", "test", "arguments"),
    [
        ("count", "gives_as_many_replies_as_are_asked_for", (3,)),
        ("prompt", "takes_any_text", ()),
        ("tokens", "counts_the_tokens_of_a_prompt_once", ()),
        ("free", "counts_the_tokens_of_a_prompt_once", ()),
        ("state", "the_same_request_gives_the_same_replies_whatever_was_asked_before", ()),
        ("short", "a_reply_is_never_shorter_than_where_it_is_stopped", ()),
        ("options", "a_reply_is_made_of_the_options_that_the_request_gives", ()),
        ("state", "takes_as_many_requests_at_a_time_as_its_traits_say", ()),
    ],
)
def test_a_language_model_that_breaks_a_rule_is_found(rule: str, test: str, arguments: tuple[int, ...]) -> None:
    class Contract(LanguageModelContract):
        def make(self) -> BadLM:
            return BadLM(rule)

    with pytest.raises(AssertionError):
        getattr(Contract(), f"test_{test}")(BadLM(rule), *arguments)


class BadStrategy(EvoPrompting):
    """Breaks one rule."""

    def __init__(self, rule: str = "", rounds: int = 2) -> None:
        super().__init__(rounds=rounds, prompts=2, samples=3, survivors=2)
        self.rule, self._waited, self._last = rule, 0, 0

    def begin(self, seed: int, temperatures: Any, operators: Mapping[str, float]) -> None:
        super().begin(0 if self.rule == "seed" else seed, temperatures, operators)

    def tell(self, candidate: Any, evaluation: Any) -> None:
        self._last = candidate.id
        super().tell(candidate, evaluation)

    def ask(self) -> Brief | Tune | None:
        action = super().ask()
        if action is None:
            self._waited += 1
        if not isinstance(action, Brief):
            return action
        if self.rule == "order":
            return replace(action, target={"last": str(self._last)})
        if self.rule == "wait":
            return replace(action, target={"waited": str(self._waited)})
        if self.rule == "plan":
            return replace(action, sampling=replace(action.sampling, n=2))
        if self.rule == "parents":
            return replace(action, parents=(7, 900))
        return action


@pytest.mark.parametrize(
    ("rule", "test"),
    [
        ("seed", "asks_the_same_for_the_same_seed_and_otherwise_for_another"),
        ("order", "the_order_in_which_a_round_is_told_changes_nothing"),
        ("wait", "waiting_changes_nothing"),
        ("plan", "asks_for_as_many_children_as_it_planned"),
        ("parents", "asks_for_what_there_is"),
    ],
)
def test_a_strategy_that_breaks_a_rule_is_found(rule: str, test: str) -> None:
    class Contract(StrategyContract):
        def make(self) -> BadStrategy:
            return BadStrategy(rule)

    with pytest.raises(AssertionError):
        getattr(Contract(), f"test_{test}")()


class Trusting(ToyTask):
    """Believes whatever comes, and gives away its labels."""

    def data(self) -> Data:
        return {split: {**part, **({} if split == "train" else {"y": part["x"]})} for split, part in super().data().items()}

    def best_state(self, outcome: Outcome) -> Mapping[str, object]:
        return {}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        return {"params": 1.0, "val_error": 0.0}


@pytest.mark.parametrize(
    "test", ["data_has_three_parts_and_only_the_first_may_hold_labels", "a_worker_that_returned_nothing_is_refused"]
)
def test_a_task_that_breaks_a_rule_is_found(test: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(TestToyTask(), f"test_{test}")(Trusting())


def test_an_option_that_is_not_kept_is_found() -> None:
    class Hidden(ToyLM):
        def __init__(self, secret: int = 1) -> None:
            super().__init__()

    with pytest.raises(ConfigError, match="keep the constructor's argument"):
        TestToyLM().test_can_be_made_again_from_its_options(Hidden())


def test_the_fakes_do_without_pytest() -> None:
    code = "import sys, nasmith.testing as t; t.ToyLM(), t.PythonWorkload(); sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_failure_of_a_contract_shows_its_values() -> None:
    with pytest.raises(AssertionError, match="assert 3 == 1"):
        TestToyLM().test_counts_the_tokens_of_a_prompt_once(BadLM("tokens"))
