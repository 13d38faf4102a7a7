from __future__ import annotations

import pytest
from briefs import CNN, DESCRIPTION, MLP, PARENTS, brief, framed, plan, plan_framed, reply
from hypothesis import given
from hypothesis import strategies as st

from framed import FRAMED, frame_of
from nasmith.frames import Frame
from nasmith.propose import OPERATORS, Templates, children, infill
from nasmith.source import end_of_program
from nasmith.types import Candidate, Description
from programs import CLASSES, PROGRAMS


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


def test_prompts_of_base_models_are_the_users_where_there_are_some(tmp_path):
    (tmp_path / "example.jinja").write_text("# {{ metrics.num_params }} parameters\n{{ program }}\n")
    (tmp_path / "target.jinja").write_text("# {{ target | listed }}")
    (planned,) = plan("crossover", parents=PARENTS[1:], prompts=Templates(tmp_path))
    assert planned.request.prompt == (f"# 4800 parameters\n{MLP}\n# num_params = 4300, val_accuracy = 0.882\ndef Model():")
    assert planned.request.stop_texts[0] == "\n# num_params = 4300, val_accuracy = 0.882"


def before_stop_texts(text, texts):
    """What a server gives that ends a reply before the first of some texts."""
    return text[: min([len(text), *(at for at in map(text.find, texts) if at >= 0)])]


def test_a_reply_may_end_where_the_next_prompt_would_begin():
    for operator in ("crossover", "regrow"):
        for planned in plan(operator):
            texts = planned.request.stop_texts
            assert len(texts) <= 4
            assert before_stop_texts('    )\n\n"""Metrics:\n{}\n"""\ndef Model():', texts) == "    )\n"
            assert before_stop_texts("    )\n\n\ndef Model():", texts) == "    )\n\n"


def test_a_header_that_could_stand_in_a_program_ends_no_reply(tmp_path):
    (tmp_path / "target.jinja").write_text('"""\n{{ target }}\n"""\n')
    (planned,) = plan("crossover", prompts=Templates(tmp_path))
    assert planned.request.stop_texts == ("\ndef ", "\nclass ", "\nif __name__")


STOPS = plan("crossover")[0].request.stop_texts
STATEMENTS = st.sampled_from(
    [
        "    x = F.relu(x)\n",
        "    def inner(x):\n        return x\n",
        "    class Inner(nn.Module):\n        pass\n",
        "    if __name__:\n        return x\n",
        '    """One line."""\n',
        '    """Closed at the margin\n"""\n',
        '    """\nMetrics:\n    def f():\n"""\n',
        "    x = [\n        1,\n    ]\n",
        "    # def Model():\n",
        "# class Model:\n",
        "\n",
    ]
)
MORE = st.sampled_from(["", "def Model():\n", "class Other:\n", "if __name__ == '__main__':\n", '"""Metrics:\n', "print(1)\n"])


@given(st.lists(STATEMENTS, max_size=8), st.sampled_from(["", "    return x\n"]), st.lists(MORE, max_size=3))
def test_stop_texts_never_cut_into_a_program(body, last, more):
    text = "\n" + "".join(body) + last + "".join(more)
    end = end_of_program("def Model():", text)
    whole = (text if end is None else text[:end]).rstrip()
    assert before_stop_texts(text, STOPS).startswith(whole)


@pytest.mark.parametrize("program", [*PROGRAMS.values(), CLASSES])
def test_stop_texts_leave_the_seeds_whole(program):
    first = "class Model(nn.Module):" if program is CLASSES else "def Model():"
    rest = program[program.index(first) + len(first) :].rstrip()
    assert before_stop_texts(rest + '\n\n\n"""Metrics:\n', STOPS).rstrip() == rest


# Programs of which only marked parts may change.


@pytest.mark.parametrize("name", FRAMED)
@pytest.mark.parametrize("operator", OPERATORS)
def test_only_lines_between_marks_are_rewritten(operator, name):
    _, parents = framed(name)
    for seed in range(6):
        for planned in plan_framed(operator, name, seed=seed):
            text = next(one.text for one in parents if one.id == planned.parents[0]).replace("\r\n", "\n")
            first, last = planned.head.count("\n") + 1, text.count("\n") + 1 - planned.tail.count("\n")
            assert any(start <= first <= last < end + 1 for start, end in frame_of(name).spans(text))
            assert planned.request.prompt.endswith(planned.head)


def test_a_whole_program_is_not_asked_for_where_parts_are_fixed():
    assert {planned.operator for planned in plan_framed("crossover", "method")} == {"infill"}
    made = infill(brief("infill", n=4), framed("two")[1], framed("two")[0], replaced=9)
    assert all(planned.tail.count("# EVOLVE-BLOCK-END") in (1, 2) for planned in made)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_reply_ends_at_a_mark(operator):
    for planned in plan_framed(operator, "method"):
        text = "\n        y = x\n        # nasmith: end\n        return x\n"
        assert text[: planned.request.stop(text)].strip() == "y = x"


def test_the_rest_of_a_part_ends_with_the_function_around_it():
    for planned in plan_framed("regrow", "two"):
        text = "\n    x = 1\n    return x\n\n\ndef other():\n"
        if "def search" in planned.head:
            assert text[: planned.request.stop(text)] == "\n    x = 1\n    return x\n\n\n"
            assert planned.tail.startswith("\n# EVOLVE-BLOCK-END\n")
    for planned in plan_framed("regrow", "method"):
        text = "\n        y = 1\n\n    def other(self):\n"
        assert text[: planned.request.stop(text)] == "\n        y = 1\n\n"
        assert planned.tail.startswith("\n        # nasmith: end\n        return x + y\n")


@pytest.mark.parametrize("part", ["", "    a, b,\n", "    Linear(\n        1,\n    ),\n    ReLU(),\n", "    # nothing yet\n"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_part_without_statements_can_be_rewritten_too(operator, part):
    text = f"net = Sequential(\n    # nasmith: begin\n{part}    # nasmith: end\n)\n"
    description = Description("toy", "", fixed=Frame.of(text).fixed)
    for planned in plan(operator, parents=[Candidate(1, text)], description=description):
        (child,) = children(planned, [reply("\n    Tanh(),\n    # nasmith: end\n")])
        assert "    Tanh(),\n" in Frame.of(text).parts(child.text)[0]


# Classes, and programs without an entry.


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_class_is_continued_as_a_function_is(operator):
    description = Description("toy", "class Model(nn.Module):")
    for planned in plan(operator, parents=[Candidate(1, CLASSES)], description=description):
        if operator == "crossover":
            assert planned.request.prompt.endswith('"""\nclass Model(nn.Module):')
        (child,) = children(planned, [reply("\n        y = x\n        return y\n\n\nprint(1)\n")])
        assert "        y = x\n" in child.text and "print" not in child.text
        if operator == "infill":
            assert child.text.count("\n") == CLASSES.count("\n")


def test_a_class_has_as_much_room_as_its_parents():
    description = Description("toy", "class Model(nn.Module):")
    sizes = {}
    for length in (1, 20, 400):
        (planned,) = plan("crossover", parents=[Candidate(1, CLASSES * length)], description=description)
        sizes[length] = planned.request.max_tokens
    assert sizes[1] == max(240, len(CLASSES) // 2) and sizes[1] < sizes[20] <= sizes[400] == 2048
    assert plan("crossover", parents=[Candidate(1, CLASSES)])[0].request.max_tokens == 240


def test_a_program_without_an_entry_is_asked_for_behind_the_target_alone():
    (planned,) = plan("crossover", description=Description("toy", ""))
    assert planned.request.prompt.endswith("'val_accuracy': '0.882'}\n\"\"\"\n")
    assert planned.request.stop_texts == ('\n"""Metrics:', "\nif __name__")
    assert planned.request.stop("import math\n\n\ndef f():\n    return 1\n\n\ndef g():\n    return f()\n") is None
