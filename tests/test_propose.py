from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from nasmith.errors import UnknownNameError
from nasmith.propose import OPERATORS, children, example, infill, requests
from nasmith.types import Brief, Candidate, Completion, Description, Sampling

DESCRIPTION = Description("toy", "def Model():")
CNN = """def Model():
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.LazyConv1d(8, kernel_size=3),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
"""
MLP = """def Model():
    return nn.Sequential(
        nn.LazyLinear(100),
        nn.LazyLinear(10),
    )
"""
HELPERS = """class Base(nn.Sequential):
    pass


class Residual(Base):
    def forward(self, x):
        return x + super().forward(x)


"""
RESIDUAL = HELPERS + MLP.replace("nn.LazyLinear(100)", "Residual(nn.LazyLinear(40))")
PARENTS = [Candidate(3, CNN), Candidate(8, MLP)]


def brief(operator, n=16, parents=PARENTS, seed=1):
    return Brief(
        operator=operator,
        parents=tuple(parent.id for parent in parents),
        facts=({"num_params": "4800", "val_accuracy": "0.865"}, {"num_params": "100", "val_accuracy": "0.600"})[: len(parents)],
        target={"num_params": "4300", "val_accuracy": "0.882"},
        sampling=Sampling(n, 0.5, seed),
    )


def plan(operator, parents=PARENTS, **options):
    return requests(brief(operator, parents=parents, **options), parents, DESCRIPTION)


def reply(text):
    return Completion("prompt", text, "lm", 1, 1)


def test_the_crossover_prompt_is_the_papers():
    (planned,) = plan("crossover")
    assert planned.request.prompt == (
        '"""Metrics:\n'
        "{'num_params': '4800', 'val_accuracy': '0.865'}\n"
        '"""\n'
        f"{CNN}\n"
        '"""Metrics:\n'
        "{'num_params': '100', 'val_accuracy': '0.600'}\n"
        '"""\n'
        f"{MLP}\n"
        '"""Metrics:\n'
        "{'num_params': '4300', 'val_accuracy': '0.882'}\n"
        '"""\n'
        "def Model():"
    )
    assert (planned.request.n, planned.request.temperature, planned.parents) == (16, 0.5, (3, 8))


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 40])
def test_the_requests_ask_for_as_many_replies_as_the_brief(operator, n):
    planned = plan(operator, n=n)
    assert sum(one.request.n for one in planned) == n
    assert all(one.request.n for one in planned)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_same_brief_leads_to_the_same_requests(operator):
    def shown(seed):
        return [(p.request.prompt, p.request.n, p.request.seed, p.head, p.tail, p.parents) for p in plan(operator, seed=seed)]

    assert shown(5) == shown(5)
    assert len({str(shown(seed)) for seed in range(20)}) > 1


@pytest.mark.parametrize("operator", OPERATORS)
def test_requests_of_one_brief_have_seeds_of_their_own(operator):
    seeds = [planned.request.seed for planned in plan(operator)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_child_of_what_stood_there_is_the_parent(operator):
    texts = {parent.text for parent in PARENTS}
    for planned in plan(operator):
        whole = next(text for text in texts if text.startswith(planned.head) and text.rstrip().endswith(planned.tail.rstrip()))
        stood = whole[len(planned.head) : len(whole.rstrip()) - len(planned.tail.rstrip())]
        (child,) = children(planned, [reply(stood + "\n\n\ndef Model():")])
        assert child.text == whole


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("text", ["", "\n", "  \n \n"])
def test_a_reply_with_nothing_in_it_makes_an_empty_child(operator, text):
    for planned in plan(operator):
        assert [child.text for child in children(planned, [reply(text)])] == [""]


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_reply_that_does_not_parse_still_makes_a_child(operator):
    for planned in plan(operator):
        (child,) = children(planned, [reply("\n        nn.Lazy(((")])
        assert "nn.Lazy(((" in child.text


def test_what_follows_a_whole_program_is_cut():
    (planned,) = plan("crossover")
    (child,) = children(planned, [reply('\n    return nn.Linear(40, 10)   \n\n\n"""Metrics:\n')])
    assert child.text == "def Model():\n    return nn.Linear(40, 10)\n"
    assert (child.parents, child.operator) == ((3, 8), "crossover")


def test_the_request_stops_where_the_reply_is_cut():
    for operator in OPERATORS:
        for planned in plan(operator):
            assert planned.request.stop
            assert planned.request.stop("\n        nn.ReLU(),") is None
    (planned,) = plan("crossover")
    assert planned.request.stop("\n    return nn.Linear(40, 10)\n") is not None


def test_infill_rewrites_one_line_of_one_parent():
    for planned in plan("infill"):
        rewritten = CNN if planned.parents[0] == 3 else MLP
        (child,) = children(planned, [reply("\n        nn.GELU(),\n        nn.Tanh(),\n")])
        assert child.operator == "infill"
        assert "nn.GELU(),\n" in child.text
        assert "nn.Tanh()" not in child.text
        assert len(child.text.splitlines()) == len(rewritten.splitlines())
        assert len(set(child.text.splitlines()) - set(rewritten.splitlines())) == 1


def test_infill_shows_the_other_parent_then_the_target_then_the_program_so_far():
    for seed in range(6):
        for planned in plan("infill", seed=seed):
            first, second = ((3, CNN), (8, MLP)) if planned.parents[0] == 3 else ((8, MLP), (3, CNN))
            assert planned.parents == (first[0], second[0])
            assert planned.request.prompt.endswith("'num_params': '4300', 'val_accuracy': '0.882'}\n\"\"\"\n" + planned.head)
            assert first[1].startswith(planned.head)
            assert not planned.request.prompt.endswith("\n")


def test_infill_takes_each_parent_sooner_or_later():
    assert {planned.parents[0] for seed in range(20) for planned in plan("infill", seed=seed)} == {3, 8}


def test_infill_of_twice_the_same_parent_names_it_once():
    twin = [PARENTS[0], PARENTS[0]]
    assert {planned.parents for planned in plan("infill", parents=twin)} == {(3,)}


def test_infill_of_a_program_without_such_lines_asks_for_a_whole_one():
    parents = [Candidate(1, "def Model(): return nn.Linear(40, 10)\n")]
    (planned,) = plan("infill", parents=parents)
    assert planned.operator == "crossover"


def test_a_child_gets_the_helpers_that_it_uses():
    parents = [Candidate(1, RESIDUAL), Candidate(2, MLP)]
    (planned,) = plan("crossover", parents=parents)
    using, plain = children(
        planned, [reply("\n    return Residual(nn.Linear(40, 10))\n"), reply("\n    return nn.Linear(40, 10)\n")]
    )
    assert using.text == HELPERS + "def Model():\n    return Residual(nn.Linear(40, 10))\n"
    assert plain.text == "def Model():\n    return nn.Linear(40, 10)\n"


def test_infill_keeps_the_helpers_of_the_rewritten_parent():
    parents = [Candidate(1, RESIDUAL)]
    for planned in plan("infill", parents=parents):
        for child in children(planned, [reply("\n        nn.LazyLinear(5),")]):
            assert child.text.count("class Residual(") == 1
            ast.parse(child.text)


def test_infill_brings_helpers_that_the_other_parent_showed():
    parents = [Candidate(1, RESIDUAL), Candidate(2, MLP)]
    made = []
    for seed in range(10):
        for planned in plan("infill", parents=parents, seed=seed):
            if planned.parents[0] == 2:
                made += children(planned, [reply("\n        Residual(nn.LazyLinear(40)),")])
    assert made
    assert all(child.text.startswith(HELPERS) for child in made)


def test_infill_can_keep_a_layers_kind_and_ask_for_its_arguments():
    made = set()
    for seed in range(10):
        planned = infill(brief("infill", n=16, seed=seed), PARENTS, DESCRIPTION, arguments=1.0)
        for one in planned:
            if one.head.endswith("nn.LazyConv1d("):
                made.update(child.text for child in children(one, [reply("4, kernel_size=5),\n        nn.Tanh()")]))
    assert made == {CNN.replace("8, kernel_size=3", "4, kernel_size=5")}


def test_infill_can_insert_a_line():
    parents = [Candidate(1, CNN)]
    for planned in infill(brief("infill", parents=parents), parents, DESCRIPTION, replaced=0):
        (child,) = children(planned, [reply("\n        nn.GELU(),")])
        assert child.text.replace("        nn.GELU(),\n", "") == CNN


def test_regrow_keeps_the_beginning_of_a_parent():
    for planned in plan("regrow"):
        (child,) = children(planned, [reply("\n        nn.GELU(),\n    )\n\n\ndef")])
        assert child.text == planned.head + "\n        nn.GELU(),\n    )\n"
        assert any(parent.text.startswith(planned.head) for parent in PARENTS)


def test_an_unknown_operator_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"crossover, infill, regrow"):
        requests(replace(brief("infill"), operator="infil"), PARENTS, DESCRIPTION)


def test_parents_must_be_those_of_the_brief():
    with pytest.raises(ValueError, match=r"\(3, 8\)"):
        requests(brief("infill"), PARENTS[::-1], DESCRIPTION)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_limit_of_tokens_can_be_set(operator):
    planned = requests(brief(operator), PARENTS, DESCRIPTION, 17)
    assert {one.request.max_tokens for one in planned} == {17}


def test_an_example_is_the_prompt_and_the_rest_of_the_program():
    for operator in OPERATORS:
        for planned in plan(operator):
            (child,) = children(planned, [reply("\n        nn.GELU(),\n    )\n")])
            learned = example(planned.request.prompt, child.text, DESCRIPTION)
            assert learned.prompt == planned.request.prompt
            assert (learned.prompt + learned.text).endswith(child.text)


def test_an_example_leaves_out_helpers_that_stand_above_the_program():
    (planned,) = plan("crossover", parents=[Candidate(1, RESIDUAL)])
    (child,) = children(planned, [reply("\n    return Residual(nn.Linear(40, 10))\n")])
    assert example(planned.request.prompt, child.text, DESCRIPTION).text == "\n    return Residual(nn.Linear(40, 10))\n"


def test_an_example_of_another_prompt_is_refused():
    with pytest.raises(ValueError, match="does not end with"):
        example("def Model():\n    return nn.Sequential(\n", "def Model():\n    return 1\n", DESCRIPTION)
