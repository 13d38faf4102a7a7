from __future__ import annotations

from nasmith.report.code import side_by_side, stylesheet


def test_equal_lines_stand_next_to_each_other_and_others_are_marked() -> None:
    rows = side_by_side("a = 1\nb = 2\nc = 3\n", "a = 1\nc = 3\nd = 4\n")
    assert [row.changed for row in rows] == [False, True, False, True]
    assert rows[1].right is None and rows[3].left is None


def test_code_is_escaped() -> None:
    (row,) = side_by_side("x = '<script>'", "x = '<script>'")
    assert row.left is not None and "<script>" not in row.left and "&lt;script&gt;" in row.left


def test_a_string_over_several_lines_keeps_every_line_whole() -> None:
    text = 'def f():\n    """one\n    two\n    """\n    return 1\n'
    rows = side_by_side(text, text)
    assert len(rows) == 5
    assert all(row.left is not None and row.left.count("<span") == row.left.count("</span") for row in rows)


def test_text_that_is_no_program_is_shown_all_the_same() -> None:
    rows = side_by_side("", "this is ( not python\x0c\u2028at all\n")
    assert rows and all(row.changed for row in rows)


def test_colours_exist_for_light_and_dark() -> None:
    assert "prefers-color-scheme: dark" in stylesheet()
