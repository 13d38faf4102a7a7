from __future__ import annotations

from pathlib import Path

import pytest

from nasmith.errors import StorageError
from nasmith.storage.rescue import Rescue
from nasmith.types import Completion

REPLIES = [Completion("prompt ü\ud800", f"text {n}\n\0", "paid", 10, 5, 0.25, 1.5, "length") for n in range(3)]


def test_what_is_kept_comes_back_in_order(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path / "otter")
    rescue.reserve()
    size = rescue.path.stat().st_size
    assert rescue.keep(3, 0, REPLIES) and rescue.keep(4, 8, REPLIES[:1])
    assert rescue.kept() == [(3, 0, REPLIES), (4, 8, REPLIES[:1])]
    assert rescue.path.stat().st_size == size  # written over what was reserved


def test_what_a_reply_had_in_the_cache_and_why_there_is_none_is_kept(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path)
    rescue.reserve()
    replies = [Completion("p", "", "paid", 10, 0, finish="failed", tokens_cached=8, message="no key \ud800\0")]
    assert rescue.keep(3, 0, replies)
    assert rescue.kept() == [(3, 0, replies)]


def test_replies_that_an_older_version_kept_are_read(tmp_path: Path) -> None:
    line = (
        b'[3, 4, [{"prompt": "p", "text": "t", "model": "paid", "tokens_in": 10, "tokens_out": 5, "cost": 0.25, '
        b'"seconds": 1.5, "finish": "length"}]]\n'
    )
    rescue = Rescue(tmp_path)
    rescue.path.write_bytes(line + bytes(100))
    assert rescue.kept() == [(3, 4, [Completion("p", "t", "paid", 10, 5, 0.25, 1.5, "length")])]


def test_more_than_was_reserved_is_kept_where_there_is_room(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path)
    rescue.reserve()
    long = [Completion("p" * 300_000, "t", "paid", 1, 1)]
    assert rescue.keep(0, 0, long) and rescue.keep(1, 0, REPLIES)
    assert rescue.kept() == [(0, 0, long), (1, 0, REPLIES)]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path)
    rescue.reserve()
    rescue.keep(3, 0, REPLIES)
    whole = rescue.path.read_bytes().rstrip(b"\0")
    rescue.path.write_bytes(whole + whole[: len(whole) // 2] + bytes(100))
    assert rescue.kept() == [(3, 0, REPLIES)]


def test_it_is_removed_unless_it_keeps_something(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path / "otter")
    rescue.reserve()
    rescue.keep(3, 0, REPLIES)
    rescue.remove()
    assert rescue.kept()
    rescue.reserve()
    rescue.remove()
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    assert not Rescue(tmp_path).keep(0, 0, REPLIES)
    assert Rescue(tmp_path).kept() == []


def test_no_room_at_the_beginning_is_said_then(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make"):
        Rescue(tmp_path / "file").reserve()


def test_two_databases_with_one_folder_do_not_take_each_others_replies(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path, "a.sqlite3")
    rescue.reserve()
    rescue.keep(3, 0, REPLIES)
    assert Rescue(tmp_path, "b.sqlite3").kept() == []
