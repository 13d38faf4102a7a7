import threading

import pytest

from nasmith.errors import ConfigError, UnknownNameError
from nasmith.lms.ensemble import Ensemble
from nasmith.lms.scripted import Scripted
from nasmith.protocols import HostedLanguageModel, LanguageModel, TunableLanguageModel
from nasmith.testing import ToyLM
from nasmith.types import Call, Completion, Request, Traits, Tune, Tuning


def scripted(name, reply="x", **options):
    return Scripted([reply], name=name, **options)


def toy(name):
    lm = ToyLM(broken=0.0)
    lm.name = name
    return lm


class Hosted(Scripted):
    def __init__(self, name, dollars=0.0, **traits):
        super().__init__(["x"], name=name)
        self.dollars, self.traits = dollars, Traits(**{"free": False, "exact": False, **traits})

    def check(self, record):
        record(Call(self.name, "checked"))

    def price(self, tokens_in, tokens_out):
        return None if self.dollars is None else self.dollars * (tokens_in + tokens_out)


def test_it_is_a_language_model_that_can_be_checked():
    ensemble = Ensemble([scripted("a"), scripted("b")])
    assert isinstance(ensemble, LanguageModel)
    assert isinstance(ensemble, HostedLanguageModel)
    assert ensemble.name == "a + b"


def test_a_request_goes_to_the_member_that_it_names_and_otherwise_to_the_first():
    ensemble = Ensemble([scripted("a", "of a"), scripted("b", "of b")])
    texts = [ensemble.complete(Request("p", model=model))[0].text for model in ("", "a", "b")]
    assert texts == ["of a", "of a", "of b"]


def test_a_member_that_does_not_exist_is_said():
    with pytest.raises(UnknownNameError, match="Valid: a, b"):
        Ensemble([scripted("a"), scripted("b")]).complete(Request("p", model="c"))


def test_members_need_names_of_their_own():
    with pytest.raises(ConfigError, match="two members are named a"):
        Ensemble([scripted("a"), scripted("b"), scripted("a")])
    with pytest.raises(ConfigError, match="at least one"):
        Ensemble([])


def test_it_says_what_suits_each_member_and_all_together():
    ensemble = Ensemble(
        [
            scripted("a", temperatures=(0.3,), operators={"crossover": 2.0, "infill": 6.0}),
            scripted("b", temperatures=(0.9,), operators={"crossover": 5.0}),
        ]
    )
    assert ensemble.models == {"a": {"crossover": 2.0, "infill": 6.0}, "b": {"crossover": 5.0}}
    assert ensemble.operators == {"crossover": 0.625, "infill": 0.375}
    assert ensemble.temperatures == (0.3,)


def test_traits_are_those_that_hold_for_all_and_can_be_had_for_each():
    chat = Hosted("chat", chat=True, batch=8, concurrency=4)
    ensemble = Ensemble([scripted("plain"), chat])
    assert ensemble.traits == Traits(chat=False, batch=8, concurrency=5, free=False, exact=False)
    assert (ensemble.traits_of("chat"), ensemble.traits_of("plain"), ensemble.traits_of("")) == (
        chat.traits,
        Traits(),
        Traits(),
    )
    assert Ensemble([scripted("a")]).traits == Traits()


def test_options_reach_the_member_and_are_kept_where_all_keep_them():
    class Asked(Scripted):
        def __init__(self, name):
            super().__init__(["x"], name=name)
            self.traits = Traits(constrained=True)

        def complete(self, request):
            assert list(request.options("x")) == ["1", "2"]
            return super().complete(request)

    asked = Ensemble([Asked("a"), Asked("b")])
    assert len(asked.complete(Request("p", model="b", options=lambda said: ("1", "2")))) == 1
    assert asked.traits.constrained and not Ensemble([asked.members[0], scripted("c")]).traits.constrained


def test_the_price_is_that_of_the_dearest_member_and_unknown_where_one_is():
    assert Ensemble([scripted("a"), Hosted("b", 0.5), Hosted("c", 0.25)]).price(1, 1) == 1.0
    assert Ensemble([scripted("a"), Hosted("b", None)]).price(1, 1) is None
    assert Ensemble([scripted("a")]).price(1, 1) == 0.0


def test_members_on_a_server_are_checked():
    calls = []
    Ensemble([scripted("a"), Hosted("b"), Hosted("c")]).check(calls.append)
    assert [call.model for call in calls] == ["b", "c"]


def test_all_members_are_warmed_and_closed_even_if_one_cannot_be_closed():
    done = []

    class Member(Scripted):
        def warm(self):
            done.append(("warm", self.name))

        def close(self):
            done.append(("close", self.name))
            if self.name == "b":
                raise OSError("stuck")

    ensemble = Ensemble([Member(["x"], name="a"), Member(["x"], name="b")])
    ensemble.warm()
    with pytest.raises(OSError, match="stuck"):
        ensemble.close()
    assert sorted(done) == [("close", "a"), ("close", "b"), ("warm", "a"), ("warm", "b")]


class Crowded(Scripted):
    """Notes how many calls it has at a time; each waits until `expected` calls are in some member, or gives up."""

    def __init__(self, name, inside, concurrency):
        super().__init__(["x"], name=name)
        self.inside, self.traits, self.now, self.most = inside, Traits(concurrency=concurrency), 0, 0
        self.lock = threading.Lock()

    def complete(self, request):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.inside.wait()
        with self.lock:
            self.now -= 1
        return [Completion(request.prompt, "x", self.name, 0, 0)]


def test_each_member_is_called_by_as_many_threads_as_it_takes_and_no_more():
    together = threading.Barrier(3, timeout=60)  # one call of the first and two of the second at a time, or it breaks
    members = [Crowded("one", together, 1), Crowded("two", together, 2)]
    ensemble = Ensemble(members)
    asked = [*["one"] * 4, *["two"] * 8]
    answers = []
    threads = [threading.Thread(target=lambda m=m: answers.extend(ensemble.complete(Request("p", model=m)))) for m in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.model for answer in answers) == asked
    assert [member.most for member in members] == [1, 2]


def test_it_can_be_tuned_only_where_a_member_can():
    assert not isinstance(Ensemble([scripted("a")]), TunableLanguageModel)
    assert isinstance(Ensemble([scripted("a"), toy("b")]), TunableLanguageModel)


def scales(ensemble):
    """What each toy has learned: its replies tell."""
    return [member.complete(Request("p", n=3, seed=1)) for member in ensemble.members]


def test_every_member_that_can_learns_and_keeps_a_file_of_its_own(tmp_path):
    path = tmp_path / "adapter-0.safetensors"
    ensemble, seen = Ensemble([toy("a"), scripted("b"), toy("c")]), []
    fresh = scales(ensemble)
    tuning = ensemble.tune(Tune(0, (), 1), [], path, lambda done, total: seen.append((done, total)))
    learned = scales(ensemble)
    assert [before == after for before, after in zip(fresh, learned, strict=True)] == [False, True, False]
    assert (tuning.accepted, tuning.weights, seen) == (True, "adapter-0.safetensors", [(1, 1), (1, 1)])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["adapter-0.2.safetensors", "adapter-0.safetensors"]

    again = Ensemble([toy("a"), scripted("b"), toy("c")])
    again.load(tmp_path / tuning.weights)
    assert scales(again) == learned
    again.load(None)
    assert scales(again) == fresh


class Stubborn(ToyLM):
    name = "stubborn"

    def tune(self, tune, examples, path, progress=None):
        return Tuning(tune.round, 5, (1.0, 2.0), seconds=3.0, message="it did not fall")


def test_a_member_that_does_not_learn_keeps_what_it_had(tmp_path):
    ensemble = Ensemble([Stubborn(broken=0.0), toy("eager")])
    before = scales(ensemble)[0]
    tuning = ensemble.tune(Tune(0, (), 1), [], tmp_path / "adapter-0.safetensors", None)
    assert (tuning.accepted, tuning.weights, tuning.seconds) == (True, "adapter-0.safetensors", 3.0)
    assert tuning.message == "stubborn: it did not fall"
    learned = scales(ensemble)
    assert learned[0] == before

    again = Ensemble([Stubborn(broken=0.0), toy("eager")])
    again.load(tmp_path / tuning.weights)
    assert scales(again) == learned


def test_where_no_member_learns_the_tuning_says_so(tmp_path):
    tuning = Ensemble([scripted("a"), Stubborn()]).tune(Tune(0, (), 1), [], tmp_path / "adapter-0.safetensors", None)
    assert tuning == Tuning(0, 5, (1.0, 2.0), False, "", 3.0, "stubborn: it did not fall")
