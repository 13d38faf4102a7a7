from __future__ import annotations

from dataclasses import replace

import pytest
from briefs import DESCRIPTION, PARENTS, brief, plan, plan_chat

from nasmith.errors import UnknownNameError
from nasmith.propose import CHAT_OPERATORS, OPERATORS, requests


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


def test_an_unknown_operator_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"crossover, infill, regrow"):
        requests(replace(brief("infill"), operator="infil"), PARENTS, DESCRIPTION)


def test_parents_must_be_those_of_the_brief():
    with pytest.raises(ValueError, match=r"\(3, 8\)"):
        requests(brief("infill"), PARENTS[::-1], DESCRIPTION)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_limit_of_tokens_can_be_set(operator):
    planned = requests(brief(operator), PARENTS, DESCRIPTION, max_tokens=17)
    assert {one.request.max_tokens for one in planned} == {17}


@pytest.mark.parametrize(
    ("chat", "operator", "message"),
    [
        (True, "infill", "operator of a chat model 'infill'.* Valid: crossover, draft, edit, fix"),
        (True, "", "operator of a chat model ''.* Valid: crossover, draft, edit, fix"),
        (False, "draft", "operator of a base model 'draft'.* Valid: crossover, infill, regrow"),
    ],
)
def test_an_operator_for_another_kind_of_model_is_refused(chat, operator, message):
    with pytest.raises(UnknownNameError, match=message):
        plan(operator, chat=chat)


@pytest.mark.parametrize("operator", CHAT_OPERATORS)
def test_a_chat_model_is_asked_once_for_all_replies(operator):
    request = plan_chat(operator, n=7).request
    assert (request.n, request.temperature, request.max_tokens) == (7, 0.5, 4096)
    assert [message.role for message in request.messages] == ["system", "user"]


@pytest.mark.parametrize("operator", CHAT_OPERATORS)
def test_the_limit_of_an_answers_tokens_can_be_set(operator):
    parents = PARENTS[:1]
    asked = brief(operator, parents=parents, facts=({"error": "e", "num_params": "1"},))
    (planned,) = requests(asked, parents, DESCRIPTION, chat=True, max_tokens=17)
    assert planned.request.max_tokens == 17


@pytest.mark.parametrize("operator", CHAT_OPERATORS)
def test_the_same_brief_leads_to_the_same_messages_and_another_seed_to_another_request(operator):
    def shown(seed):
        request = plan_chat(operator, seed=seed).request
        return request.prompt, request.messages, request.seed

    assert shown(5) == shown(5)
    assert shown(5) != shown(6)
