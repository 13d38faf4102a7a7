from __future__ import annotations

import pytest
from briefs import reply

from nasmith.errors import UnknownNameError
from nasmith.propose import DESIGN_OPERATORS, Templates, children, requests
from nasmith.space import Choice, Disguise, Position, Space
from nasmith.testing import TOY_SPACE, ToySpaceTask
from nasmith.types import Brief, Candidate, Description, Sampling

OPERATIONS = (Choice("0", "zeroize", "drops all"), Choice("1", "convolve", "a 3x3 convolution"))
SECRET = Space("secret", tuple(Position(f"edge {i}", OPERATIONS) for i in range(3)), template="|{}|{}|{}|", written="name")
CHANNELS = Space(
    "channels",
    tuple(
        Position(f"layer {number}", tuple(Choice(str(k), str(k * base)) for k in (1, 2)))
        for number, base in enumerate((64, 64, 64, 128, 64), start=1)
    ),
    template="{}" * 5,
    shown="name",
)
PARENTS = [Candidate(1, "0000"), Candidate(4, "0101"), Candidate(5, "0002"), Candidate(6, "")]
FACTS = ({"accuracy": "60.00"}, {"accuracy": "58.00"}, {"error": "fails the constraint: it is too wide."}, {"error": "none"})
REPLIES = ["Narrow. [0, 0, 0, 0]", "<think>hm</think>Zigzag. [0, 1, 0, 1]", "Wide. [0, 0, 0, 2]", "I cannot."]


def plan(form, parents=PARENTS, facts=FACTS, replies=REPLIES, *, space=TOY_SPACE, chat=True, target=None, **options):
    sampling = Sampling(options.pop("n", 1), 0.5, 7)
    brief = Brief(form, tuple(parent.id for parent in parents), facts[: len(parents)], target or {}, sampling)
    description = options.pop("description", ToySpaceTask().describe())
    (planned,) = requests(brief, parents, description, chat=chat, space=space, replies=replies, **options)
    return planned


def turns(planned):
    return [(message.role, message.content) for message in planned.request.messages]


@pytest.mark.parametrize("form", DESIGN_OPERATORS)
def test_a_request_is_as_the_brief_wants_it(form):
    planned = plan(form, n=3)
    request = planned.request
    assert (request.n, request.temperature, request.seed, request.max_tokens) == (3, 0.5, 7, 4096)
    assert (planned.operator, planned.parents, planned.space) == (form, (1, 4, 5, 6), TOY_SPACE)
    assert planned.known == ((0, 0, 0, 0), (0, 1, 0, 1), (0, 0, 0, 2))
    assert request.options is None and request.stop is None
    assert all(content in request.prompt for _, content in turns(planned))
    assert plan(form, max_tokens=17).request.max_tokens == 17


@pytest.mark.parametrize("form", DESIGN_OPERATORS)
def test_the_first_request_states_the_problem(form):
    (system, _), (user, problem) = turns(plan(form, [], (), []))
    assert (system, user) == ("system", "user")
    assert "Choose a width for each of four layers." in problem and "4 positions" in problem
    assert "1. layer 1\n2. layer 2\n3. layer 3\n4. layer 4\n" in problem
    assert "- 0: none\n- 1: narrow\n- 2: wide\n" in problem
    assert "a list of 4 numbers" in problem
    assert "Results" not in problem and "# Principles" not in problem
    assert not problem.endswith("\n") and "\n\n\n" not in problem


def test_the_rebuilt_form_says_all_in_one_message_and_wants_the_list_alone():
    messages = turns(plan("rebuilt", PARENTS[:2]))
    assert [role for role, _ in messages] == ["system", "user"]
    results = "- [0, 0, 0, 0] gives an accuracy of 60.00%.\n- [0, 1, 0, 1] gives an accuracy of 58.00%.\n"
    assert results in messages[1][1]
    assert "Answer with its list and nothing else." in messages[1][1]


def test_the_running_form_goes_on_with_the_answers_as_they_were():
    messages = turns(plan("running", PARENTS[:2]))
    assert [role for role, _ in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[2][1] == "Narrow. [0, 0, 0, 0]" and "an accuracy of 60.00%" in messages[3][1]
    assert messages[4][1] == "Zigzag. [0, 1, 0, 1]" and "an accuracy of 58.00%" in messages[5][1]
    assert "Results" not in messages[1][1] and "Say why" in messages[1][1]
    former = plan("running", PARENTS[:1]).request.messages
    assert plan("running", PARENTS[:2]).request.messages[: len(former)] == former


def test_the_restarted_form_asks_for_principles_and_then_states_them():
    first = turns(plan("restarted", [], (), []))[1][1]
    assert '"Principles:"' in first
    replies = ["Principles:\n1. Be narrow.\n\n[0, 0, 0, 0]", "[0, 1, 0, 1]"]
    messages = turns(plan("restarted", PARENTS[:2], FACTS, replies))
    assert [role for role, _ in messages] == ["system", "user"]
    assert "# Principles\n\n1. Be narrow.\n" in messages[1][1] and "[0, 1, 0, 1] gives" in messages[1][1]
    lent = turns(plan("restarted", [PARENTS[3], PARENTS[1]], ({}, FACTS[1]), replies))
    assert "1. Be narrow.\n" in lent[1][1] and len(lent) == 2
    failed = turns(plan("restarted", PARENTS[3:], FACTS[3:], replies[:1]))
    assert "# Principles" not in failed[1][1] and '"Principles:"' in failed[1][1] and failed[2][1] == replies[0]


@pytest.mark.parametrize("form", DESIGN_OPERATORS)
def test_what_failed_in_this_iteration_is_answered_with_what_was_wrong(form):
    messages = turns(plan(form))
    assert [role for role, _ in messages[-4:]] == ["assistant", "user"] * 2
    assert messages[-4][1] == "Wide. [0, 0, 0, 2]"
    assert "cannot be used: fails the constraint: it is too wide.\n" in messages[-3][1]
    assert messages[-2][1] == "I cannot." and "cannot be used: none.\n" in messages[-1][1]


def test_an_answer_of_which_nothing_is_known_is_left_out_or_is_its_design():
    messages = turns(plan("running", replies=[]))
    assert [content for role, content in messages if role == "assistant"] == ["[0, 0, 0, 0]", "[0, 1, 0, 1]", "[0, 0, 0, 2]"]
    assert [role for role, _ in messages] == ["system", *["user", "assistant"] * 3, "user"]


@pytest.mark.parametrize("form", DESIGN_OPERATORS)
def test_a_disguised_space_is_told_without_its_names(form):
    hidden = Disguise(SECRET, 1).space
    parents = [Candidate(1, hidden.write((0, 0, 1))), Candidate(2, "")]
    described = Description("A space", "a design", statement="Choose.")
    for chat in (True, False):
        planned = plan(form, parents, FACTS[1:3], [], space=hidden, chat=chat, description=described)
        assert "slot 3" in planned.request.prompt
        for word in ("edge", "zeroize", "convolve", "drops", "3x3", "secret"):
            assert word not in planned.request.prompt.lower()


def test_positions_with_the_same_choices_are_told_together():
    problem = turns(plan("rebuilt", [], (), [], space=CHANNELS))[1][1]
    assert "Choices at positions 1, 2, 3 and 5:\n\n- 64\n- 128\n\nChoices at position 4:\n\n- 128\n- 256\n" in problem


def test_a_base_model_continues_a_list_from_the_worst_to_the_best():
    planned = plan("running", chat=False, target={"accuracy": "64.00"}, n=5)
    request = planned.request
    assert request.messages == () and (request.n, request.temperature) == (5, 1.0)  # the brief says 0.5
    lines = request.prompt.split("\n")
    assert lines[-3:] == ["accuracy 58.00: 0, 1, 0, 1", "accuracy 60.00: 0, 0, 0, 0", "accuracy 64.00:"]
    assert request.options(" 0,") == (" 0,", " 1,", " 2,") and request.options(" 0, 1, 2, 0") == ()
    assert request.options(" 0, 1, 0,") == (" 0", " 2")  # the model was shown what is missing
    assert request.stop(" 0, 1, 2, 0\nx") == 11
    assert {plan(form, chat=False).request.prompt for form in DESIGN_OPERATORS} == {plan("running", chat=False).request.prompt}
    assert plan("rebuilt", [], (), [], chat=False).request.prompt.endswith("the worst first:\naccuracy 100.00:")


def test_the_longest_design_fits_the_limit_of_tokens():
    longest = "".join(f" {position.choices[1].name}," for position in CHANNELS.positions)
    assert plan("rebuilt", [], (), [], space=CHANNELS, chat=False).request.max_tokens >= len(longest)


@pytest.mark.parametrize("chat", [True, False])
def test_children_are_designs_as_the_space_writes_them(chat):
    texts = ["[0, 1, 2, 0]", "rather [0, 1, 0, 2] than [0, 1, 0, 1]", "[0, 1, 2]", "", " 0, 1, 1, 1\naccuracy 90: 2, 2, 2, 2\n"]
    made = children(plan("rebuilt", chat=chat), [reply(text) for text in texts])
    assert [child.text for child in made] == ["0120", "0102", "", "", "2222" if chat else "0111"]
    assert [child.flaw for child in made[2:4]] == [
        "the list has 3 numbers; 4 are needed, one for each position",
        "the reply was empty",
    ]
    assert {child.operator for child in made} == {"rebuilt"}


def test_a_reply_that_was_cut_or_failed_says_so():
    cut = reply("[0, 1,", finish="length")
    failed = reply("", finish="failed", message="no credit")
    assert [child.flaw for child in children(plan("rebuilt"), [cut, failed])] == [
        "the reply was cut at its limit of tokens: the list has 2 numbers; 4 are needed, one for each position",
        "no credit",
    ]


def test_programs_are_not_asked_for_designs_nor_the_other_way_round():
    with pytest.raises(UnknownNameError, match=r"operator for designs 'crossover'.* Valid: rebuilt, restarted, running"):
        plan("crossover")
    with pytest.raises(UnknownNameError, match="operator of a chat model 'rebuilt'"):
        plan("rebuilt", space=None)


def test_a_users_words_stand_in_for_ours(tmp_path):
    (tmp_path / "design_feedback.jinja").write_text("{{ conversation }}: {{ accuracy }}{{ error }}!\n")
    (tmp_path / "design_line.jinja").write_text("{{ words }} {{ experiments | length }} {{ target }}")
    templates = Templates(tmp_path)
    templates.check(ToySpaceTask().describe())
    assert turns(plan("running", prompts=templates))[3][1] == "running: 60.00!"
    assert turns(plan("rebuilt", prompts=templates))[-1][1] == "rebuilt: none!"
    assert plan("rebuilt", prompts=templates, chat=False, target={"accuracy": "1"}).request.prompt == "numbers 2 1"
