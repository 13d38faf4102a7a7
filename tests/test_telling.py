from nasmith.telling import Due
from nasmith.types import Evaluation, Script, Status


def evaluations(*numbers):
    return [Evaluation(number, Status.OK) for number in numbers]


def drained(due, **more):
    found = []
    while (evaluation := due.next(len(found), None, [], **{"over": False, **more})) is not None:
        found.append(evaluation.candidate)
    return found


def filled(script, *numbers):
    due = Due(script)
    for evaluation in evaluations(*numbers):
        due.add(evaluation)
    return due


def test_without_a_script_they_are_told_as_they_came():
    assert drained(filled(None, 3, 1, 2)) == [3, 1, 2]


def test_while_former_wishes_are_made_again_new_ones_wait():
    due = filled(None, 1)
    assert due.next(5, 7, [], over=False) is None
    assert due.next(5, None, [], over=False).candidate == 1


def test_with_a_script_they_are_told_in_its_order():
    assert drained(filled(Script((), (2, 3, 1), {}), 1, 2, 3)) == [2, 3, 1]


def test_with_a_script_stored_evaluations_go_first():
    assert filled(Script((), (1,), {}), 1).next(0, None, evaluations(9), over=False) is None


def test_at_the_end_all_are_told_whatever_waits():
    assert drained(filled(Script((), (9, 1, 2), {}), 1, 2), over=True) == [1, 2]
